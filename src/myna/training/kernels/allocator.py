"""Memory that the C library keeps instead of handing it back and asking for it anew.

A step makes and drops the same large tensors over and over. glibc maps each into fresh
pages, which the kernel fills with zeros and counts in one by one: about a quarter of a
step's time on a small model. Told once (mallopt(3)), it keeps what was freed for the next.
"""

from __future__ import annotations

import ctypes
import platform

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h."""
MOST = 2**31 - 1
"""The largest value that mallopt takes, in bytes."""
LINE = "memory that is freed is kept for the next step"


def keep_freed() -> bool:
    """Have this process keep memory that is freed; False where that is not to be had.

    It is for processes that train: the most that they ever held is what they go on
    holding.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(MMAP_THRESHOLD, MOST) and mallopt(TRIM_THRESHOLD, MOST))
