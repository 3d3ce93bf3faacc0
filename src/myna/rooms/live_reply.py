"""A persona's turn in a live room: whole messages out of a stream, stored one by one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing

from myna.engines.queueing import Queue
from myna.messages import tidy
from myna.persona.turn import GeneratedTurn
from myna.rooms.store import Message


class Reply:
    """A persona's turn as it comes in, once: iterate over the pieces, or over `messages()`
    or `events()`. Each line is a message, stored as soon as it is complete; an entry that
    was asked for is one message.

    Text comes redacted: what may be part of personal data is held back until it is clear.
    `close`, or leaving a `with` block, stops the generation; what was complete is kept.

    Attributes:
        person: who speaks.
        turn: the number that all its messages share.
        prompt_tokens: the length of the prompt.
        said: the messages completed so far.
        finish_reason: "stop" (they had said it), "length" (the longest turn) or
            "cancelled"; None before, and where the engine failed.
        next_person: whom the model named as the next speaker, once it ended.
        erased: the messages of the turn that this one takes the place of, once it began.
        gone: tells whether nobody listens any more; then it stops, as by `close`.
    """

    def __init__(
        self,
        said: GeneratedTurn,
        queue: Queue,
        room: str,
        turn: int,
        store: Callable[[str, str, int], Message],
        ended: Callable[[], None],
        begun: Callable[[], list[Message]] = list,
    ) -> None:
        """`store` keeps a message of a person and a turn; `ended` hears of the end, once.

        `begun` makes way for it when the engine is there for it, and says what it erased.
        """
        self.person = said.person
        self.turn = turn
        self.prompt_tokens = len(said.prompt_ids)
        self.said: list[Message] = []
        self.finish_reason: str | None = None
        self.next_person: str | None = None
        self._generated = said
        said.is_cancelled = self._is_stopped
        self._queue = queue
        self._room = room
        self._store = store
        self._ended = ended
        self._begun = begun
        self.erased: list[Message] = []
        self._over = False
        self._stopped = threading.Event()
        self.gone: Callable[[], bool] = lambda: False
        self._lock = threading.Lock()  # held while the source runs
        self._source = self._run()

    def __iter__(self) -> Iterator[str]:
        """Pieces of text; a newline begins the next message."""
        return (event for event in self.events() if isinstance(event, str))

    def messages(self) -> Iterator[Message]:
        """Whole messages, one by one as they complete."""
        return (event for event in self.events() if isinstance(event, Message))

    def events(self) -> Iterator[str | Message]:
        """Both in order: pieces of text, and each message once it is complete.

        Raises:
            BusyError: too many wait for the engine.
            EngineError: the engine failed; what was complete is kept.
        """
        while True:
            with self._lock:
                event = next(self._source, None)
            if event is None:
                return
            yield event

    def close(self) -> None:
        """Stop; may be called from another thread, and again.

        While another thread waits for the next piece, that one stops when it comes.
        """
        self._stopped.set()
        if self._lock.acquire(blocking=False):
            try:
                self._source.close()
                self._end()
            finally:
                self._lock.release()

    def __enter__(self) -> Reply:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def _run(self) -> Generator[str | Message]:
        cut = _Cut(self._generated.opening)
        try:
            with (
                self._queue.slot(self._room, self._is_stopped),
                closing(iter(self._generated)) as pieces,
            ):
                self.erased = self._begun()
                for piece in pieces:
                    for words, is_whole in cut.feed(piece):
                        yield self._keep(words) if is_whole else words
            if not self._stopped.is_set():
                for words, is_whole in cut.finish():
                    yield self._keep(words) if is_whole else words
                self.finish_reason = self._generated.finish_reason
        finally:
            self._end()

    def _is_stopped(self) -> bool:
        if self.gone():
            self._stopped.set()
        return self._stopped.is_set()

    def _keep(self, text: str) -> Message:
        message = self._store(self.person, text, self.turn)
        self.said.append(message)
        return message

    def _end(self) -> None:
        if self._over:
            return
        self._over = True
        if self._stopped.is_set():
            self.finish_reason = "cancelled"
        self.next_person = self._generated.next_person
        self._ended()


class _Cut:
    """Cuts streamed words into messages, one a line; an entry's lines stay together.

    What it gives are pairs: words and False, or a whole message and True. All words
    together are the messages, joined by newlines.
    """

    def __init__(self, opening: str) -> None:
        self._entry = bool(opening)
        self._said = f"{opening}\n" if opening else ""
        self._blank = ""
        """Blanks that count only if words follow them in the message."""
        self._begun = False
        """Whether this message has words."""
        self._next = False
        """Whether messages were given."""

    def feed(self, piece: str) -> Iterator[tuple[str, bool]]:
        for place, line in enumerate(_plain(piece).split("\n")):
            if place and not self._entry:
                yield from self.finish()
            elif place and self._begun:
                self._blank += "\n"
            words = line if self._begun else line.lstrip()
            text = self._blank + words
            kept = text.rstrip()
            self._blank = text[len(kept) :] if self._begun or kept else ""
            if kept:
                yield "\n" * (self._next and not self._begun) + kept, False
                self._said += kept
                self._begun = True

    def finish(self) -> Iterator[tuple[str, bool]]:
        """The message, if it has words."""
        if self._begun:
            said, self._said, self._blank, self._begun = self._said, "", "", False
            self._next = True
            yield said, True


def _plain(piece: str) -> str:
    """A piece without control characters, its line ends as newlines; its blanks stay."""
    if piece.isprintable():
        return piece
    return tidy(f".{piece}.")[1:-1]
