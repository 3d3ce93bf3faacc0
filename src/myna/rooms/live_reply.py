"""A persona's turn in a live room while it is generated, stored message by message."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing

from myna.engines.queueing import Queue
from myna.messages import normalize_text
from myna.persona.turn import GeneratedTurn, with_leading_blanks
from myna.rendering.turns import entry_line_of
from myna.rooms.store import Message


class LiveReply:
    """A persona's turn: iterate once over its text, `messages()` or `events()` to generate it.

    Each line is a message, stored as soon as it is complete; an entry of a journal is one
    message. Text comes redacted: what may be part of personal data is held back until it is
    clear. `close`, or leaving a `with` block, stops the generation; complete messages stay.

    Attributes:
        person: the persona who speaks.
        turn: the number that all its messages share.
        prompt_tokens: the length of the prompt.
        completed: the messages completed so far.
        finish_reason: "stop" (the model ended the turn), "length" (the longest turn) or
            "cancelled"; None before, and where the engine failed.
        next_person: the next speaker that the model named, once the turn ended.
        replaced: the messages of the version of the turn that this one replaces, once it
            started.
        continued: the message that the turn goes on with, as it was.
        is_cancelled: asked before each piece; once it is true, the turn stops as by `close`.
    """

    def __init__(
        self,
        generated: GeneratedTurn,
        queue: Queue,
        room_id: str,
        turn: int,
        save: Callable[[LiveReply, str, Message | None], Message],
        on_end: Callable[[LiveReply], None],
        on_start: Callable[[], list[Message]] = list,
        continued: Message | None = None,
    ) -> None:
        """`save` stores a message of this reply, in place of another if one is given.

        `on_end` is called once.

        `on_start` is called when it is this turn's time in the queue; returns the messages
        that it replaces.
        """
        self.person = generated.person
        self.turn = turn
        self.prompt_tokens = len(generated.prompt_ids)
        self.completed: list[Message] = []
        self.finish_reason: str | None = None
        self.next_person: str | None = None
        self._generated = generated
        generated.is_cancelled = self._is_stopped
        self._queue = queue
        self._room_id = room_id
        self._save = save
        self._on_end = on_end
        self._on_start = on_start
        self.replaced: list[Message] = []
        self.continued = self._to_continue = continued
        self._has_ended = False
        self._stopped = threading.Event()
        self.is_cancelled: Callable[[], bool] = lambda: False
        self._lock = threading.Lock()  # held while events are generated
        self._events = self._run()

    def __iter__(self) -> Iterator[str]:
        """Pieces of text; a newline starts the next message."""
        return (event for event in self.events() if isinstance(event, str) and event)

    def messages(self) -> Iterator[Message]:
        """Whole messages, each when it is complete."""
        return (event for event in self.events() if isinstance(event, Message))

    def events(self) -> Iterator[str | Message]:
        """Pieces of text, and each message when it is complete, in order.

        A piece may be empty: nothing new was said meanwhile.

        Raises:
            BusyError: too many wait for the engine.
            EngineError: the engine failed; complete messages stay.
        """
        while True:
            with self._lock:
                event = next(self._events, None)
            if event is None:
                return
            yield event

    def close(self) -> None:
        """Stop the generation; may be called from another thread, and again.

        If another thread waits for the next piece, it stops when that comes.
        """
        self._stopped.set()
        if self._lock.acquire(blocking=False):
            try:
                self._events.close()
                self._end()
            finally:
                self._lock.release()

    def __enter__(self) -> LiveReply:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def _run(self) -> Generator[str | Message]:
        splitter = _MessageSplitter(self._generated.opening, self.continued)
        try:
            with (
                self._queue.slot(self._room_id, self._is_stopped),
                closing(self._pieces()) as pieces,
            ):
                self.replaced = self._on_start()
                if self.replaced:
                    yield ""  # so that whoever shows them hides them now
                for piece in pieces:
                    if not piece:
                        yield ""
                    yield from self._complete(splitter.feed(piece))
            if not self._stopped.is_set():
                yield from self._complete(splitter.finish())
                self.finish_reason = self._generated.finish_reason
        finally:
            self._end()

    def _pieces(self) -> Generator[str]:
        return with_leading_blanks(self._generated) if self.continued else iter(self._generated)

    def _is_stopped(self) -> bool:
        if self.is_cancelled():
            self._stopped.set()
        return self._stopped.is_set()

    def _complete(self, parts: Iterator[tuple[str, bool]]) -> Iterator[str | Message]:
        for text, is_message in parts:
            if not is_message:
                yield text
                continue
            continued, self._to_continue = self._to_continue, None
            if continued is None or text != continued.text:
                message = self._save(self, text, continued)
                self.completed.append(message)
                yield message

    def _end(self) -> None:
        if self._has_ended:
            return
        self._has_ended = True
        if self._stopped.is_set():
            self.finish_reason = "cancelled"
        self.next_person = self._generated.next_person
        self._on_end(self)


class _MessageSplitter:
    """Split streamed text into messages, one a line; an entry's lines stay together.

    Yields pairs: new text and False, or a whole message and True. All text together is the
    messages, joined by newlines. A continued message comes first, with what is new.
    """

    def __init__(self, opening: str, continued: Message | None) -> None:
        self._is_entry = bool(entry_line_of(opening))
        self._message = f"{opening}\n" if self._is_entry else ""
        self._blanks = ""
        """Blanks that count only if more text of the message follows."""
        self._has_text = continued is not None
        """True once the message has text of its own."""
        if continued is not None:
            self._message = continued.text
        self._is_later = False
        """True once a message was yielded."""

    def feed(self, piece: str) -> Iterator[tuple[str, bool]]:
        for i, line in enumerate(_tidy_piece(piece).split("\n")):
            if i and not self._is_entry:
                yield from self.finish()
            elif i and self._has_text:
                self._blanks += "\n"
            text = self._blanks + (line if self._has_text else line.lstrip())
            kept = text.rstrip()
            self._blanks = text[len(kept) :] if self._has_text or kept else ""
            if kept:
                yield "\n" * (self._is_later and not self._has_text) + kept, False
                self._message += kept
                self._has_text = True

    def finish(self) -> Iterator[tuple[str, bool]]:
        """The message, if it has text."""
        if self._has_text:
            message, self._message, self._blanks, self._has_text = self._message, "", "", False
            self._is_later = True
            yield message, True


def _tidy_piece(piece: str) -> str:
    """A piece without control characters, its line ends as newlines; its blanks stay."""
    return piece if piece.isprintable() else normalize_text(f".{piece}.")[1:-1]
