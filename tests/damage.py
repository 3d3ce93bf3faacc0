"""Damage to files: pieces lost, doubled, moved, or foreign."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import settings
from hypothesis import strategies as st

NASTY = (
    b"\0", b"\xff", b"\xef\xbb\xbf", b"\n", b"\r", b"\r\n", b'"', b"'", b"{", b"}", b"[", b"]",
    b",", b":", b";", b"\t", b"<", b">", b"/", b"\\", b"\\x0B", b"\\ud800", b"null", b"true",
    b"-1", b"0",
    b"1e999", b"99999999999999999999", b"0000-00-00", b"9999-12-31T23:59:59Z", b"[]", b"{}", b'""',
    "\u200e\u202f\u2028🎉".encode(), "日本".encode(), b"</div>", b"<div>", b"&#0;", b"@", b"%s",
    b"{{", b"}}", b"{%", b"%}",
)  # fmt: skip


MAX_USUAL_EXAMPLES = 100
"""Examples of a property, unless new ones are searched for."""


def examples(few: int) -> int:
    """So many examples, or as many as there are for each test when searching for new ones."""
    profile = settings().max_examples
    return profile if profile > MAX_USUAL_EXAMPLES else few


@st.composite
def mutilations(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """Something that happens to a file: pieces lost, doubled, moved, or foreign."""
    edits = draw(
        st.lists(
            st.tuples(
                st.floats(0, 1),
                st.integers(0, 40),
                st.sampled_from(NASTY) | st.binary(max_size=8) | st.floats(0, 1),
            ),
            min_size=1,
            max_size=4,
        )
    )

    def apply(data: bytes) -> bytes:
        for at, length, new in edits:
            begin = int(at * len(data))
            if isinstance(new, float):
                begin_2 = int(new * len(data))
                new = data[begin_2 : begin_2 + length]
            data = data[:begin] + new + data[begin + length :]
        return data

    return apply
