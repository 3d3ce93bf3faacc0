"""The machine that trains: its free memory, and how fast it multiplies matrices."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import psutil
import torch

_CGROUP = Path("/sys/fs/cgroup")


def free_memory(device: torch.device) -> int:
    """The bytes that are free on `device`, whatever its size.

    Of the CPU's memory a container's limit may leave less than the system says.
    """
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    free = psutil.virtual_memory().available
    with contextlib.suppress(OSError, ValueError):  # no container, or no limit
        limit = int((_CGROUP / "memory.max").read_text())
        stat = dict(line.split() for line in (_CGROUP / "memory.stat").read_text().splitlines())
        used = int((_CGROUP / "memory.current").read_text()) - int(stat["inactive_file"])
        free = min(free, limit - used)
    return int(free)


def matmul_rate(device: torch.device, dtype: torch.dtype, seconds: float = 0.2) -> float:
    """Floating-point operations a second of a matrix product on `device`: its own peak.

    The sizes are those of a small model's layers on a CPU, of a large one's on a GPU.
    """
    rows, columns = (512, 1536) if device.type == "cpu" else (4096, 8192)
    left = torch.randn(rows, columns, device=device, dtype=dtype)
    right = torch.randn(columns, columns, device=device, dtype=dtype)
    best, begun = 0.0, time.monotonic()
    _wait(device)
    while time.monotonic() - begun < seconds or not best:
        start = time.perf_counter()
        torch.mm(left, right)
        _wait(device)
        best = max(best, 2 * rows * columns * columns / (time.perf_counter() - start))
    return best


def name(device: torch.device) -> str:
    """What a device is called, for people."""
    if device.type == "cuda":
        kind = "ROCm" if torch.version.hip else "CUDA"
        return f"{torch.cuda.get_device_name(device)} ({kind})"
    if device.type == "mps":
        return "Apple GPU (MPS)"
    threads = torch.get_num_threads()
    return f"CPU ({threads} thread{'s' if threads > 1 else ''})"


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
