"""Stop strings: where a client wants a text to end."""

from __future__ import annotations

from collections.abc import Sequence


class StopReader:
    """Gives a streamed text out up to the first stop string in it.

    The stop string that is complete first ends the text, the longest of several; what may
    be the beginning of one is held back. However a text is cut into pieces, the same
    comes out.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self.found = False
        self._stops = [stop for stop in stops if stop]
        self._held = ""

    def feed(self, piece: str) -> str:
        """The text that is certain now; nothing once a stop string was found."""
        if self.found:
            return ""
        self._held += piece
        ends = [(at + len(stop), at) for stop in self._stops if (at := self._held.find(stop)) >= 0]
        if ends:
            self.found = True
            return self._held[: min(ends)[1]]
        certain = len(self._held) - self._may_begin()
        out, self._held = self._held[:certain], self._held[certain:]
        return out

    def finish(self) -> str:
        """What was held back, where the text has ended without a stop string."""
        return "" if self.found else self._held

    def _may_begin(self) -> int:
        """The length of the longest end of the held text that may begin a stop string."""
        longest = max(map(len, self._stops), default=1) - 1
        for size in range(min(longest, len(self._held)), 0, -1):
            end = self._held[-size:]
            if any(stop.startswith(end) for stop in self._stops):
                return size
        return 0
