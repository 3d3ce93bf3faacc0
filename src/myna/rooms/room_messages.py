"""The messages of a live room: said, quoted, edited, deleted, in versions, and read again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from myna.conversations import name_mentions
from myna.errors import RoomError, SpeakingError
from myna.people import CLONE_MARK, sanitize_name
from myna.persona.clone import Clone
from myna.rooms.members import RoomMembers
from myna.rooms.prompt_history import PromptHistory
from myna.rooms.store import Message, RoomStore

TRANSCRIPT_NOTICE = (
    f"Made with myna. Lines marked{CLONE_MARK} were written by a language model, not by the "
    "people whose names they have."
)


class RoomMessages(RoomMembers):
    """A room's messages, in the store and in the history that prompts show."""

    def __init__(
        self, clone: Clone, store: RoomStore, room_id: str, settings: dict[str, Any]
    ) -> None:
        super().__init__(clone, store, room_id, settings)
        self._history = PromptHistory(clone, store, room_id)
        self.speaking_turn: int | None = None
        """The turn that a persona says now."""

    def say(
        self,
        person: str,
        text: str,
        *,
        key: str | None = None,
        to: Sequence[str] = (),
        reply_to: int | None = None,
    ) -> Message | None:
        """Add a human's message; they join if they are not here.

        Args:
            person: the author.
            text: nothing in it can end the message or begin another one.
            key: the message's id elsewhere.
            to: the personas that it is for, if the client knows better than the text.
            reply_to: the id of the message that it quotes; a persona's makes it for them.

        Returns:
            The message; None if its key is known already (it was delivered twice), or if it
            has no visible character.

        Raises:
            RoomError: it is longer than 20,000 characters, or quotes no message of this room.
        """
        if not any(char.isprintable() and not char.isspace() for char in text):
            return None
        person = sanitize_name(person)
        with self._lock:
            quoted = None if reply_to is None else self._store.find(self.id, reply_to)
            if reply_to is not None and quoted is None:
                raise RoomError("the message to reply to is not here any more")
            if quoted is not None and quoted.by_clone and not to:
                to = [quoted.person]
            message = self._store.add(self.id, person, text, key=key, to=to, reply_to=reply_to)
            if message is not None:
                self.join(person)
                self._history.add(message)
        return message

    @property
    def is_empty(self) -> bool:
        """True where prompts show no message."""
        with self._lock:
            return not self._history.messages

    def begin(self, topic: str = "") -> list[Message]:
        """Begin an empty room with a real moment of the chats, or with one about a topic.

        Its messages are stored as those of the people who wrote them; see
        `myna.persona.scenes.Beginnings.draw`. Empty where there is no such moment, or prompts
        show messages already.
        """
        with self._lock:
            beginnings = self._clone.beginnings
            if beginnings is None or not self.is_empty:
                return []
            scene = beginnings.draw(self.personas, self.audience, self._clone.rng, topic)
            begun = []
            for turn in scene.before if scene else ():
                message = self._store.add(self.id, turn.person, turn.text)
                assert message is not None  # noqa: S101  # it has no key
                self._history.add(message)
                begun.append(message)
            return begun

    def addressed(self) -> list[str]:
        """The personas here that the latest messages of humans are for, and that did not answer.

        By `to`, or else by names with which the text begins or that have an @ in front. Empty
        if the messages are for all.
        """
        with self._lock:
            here, answered, addressed = self.personas, set[str](), dict[str, None]()
            is_human = False
            for message in reversed(self._history.messages):
                if message.by_clone:
                    if is_human:
                        break
                    answered.add(message.person)
                    continue
                is_human = True
                named = message.to or name_mentions.named_people(message.text, here, addressed=True)
                addressed |= dict.fromkeys(n for n in named if n in here and n not in answered)
            return list(addressed)

    def edit(self, message: int | str, text: str, revision: int | None = None) -> Message:
        """Replace the text of a message, given by its id (int) or its key (str).

        Raises:
            RoomError: there is no such message, or the text is empty or too long.
            EditConflictError: `revision` is not its newest: somebody else edited it meanwhile.
        """
        with self._lock:
            edited = self._store.edit(self.id, message, text, revision)
            self._history.replace(edited)
        return edited

    def delete(self, message: int | str) -> Message:
        """Erase a message's text; returns the message as it was.

        Raises:
            RoomError: there is no such message.
        """
        with self._lock:
            erased = self._store.delete(self.id, message)
            self._history.remove([erased])
        return erased

    def forget(self) -> None:
        """Show no message up to now in prompts; nothing is erased."""
        with self._lock:
            self._history.forget(self._store.forget(self.id))

    def catch_up(self) -> list[tuple[str, Message]]:
        """Read the changes that another process made in this room.

        Returns each message that is new ("message"), "edited" or "deleted".
        """
        with self._lock:
            settings = self._store.settings(self.id)
            if settings is not None and settings != self._settings:
                self._settings = settings
                self._history.reset()
            return self._history.catch_up()

    def messages(self, last: int | None = None, before: int | None = None) -> list[Message]:
        """All messages in order, or only the `last` ones, or those before a message."""
        first = None if before is None else self._store.find(self.id, before)
        return self._store.messages(self.id, last, first)

    def search(self, words: str) -> list[Message]:
        """The newest messages of all rooms with all of these words."""
        return self._store.search(words)

    def transcript(self) -> str:
        """All messages as text, each clone's marked as such, so that copies are, too."""
        messages = self.messages()
        names = ((m.person + CLONE_MARK * m.by_clone, m.text) for m in messages)
        lines = [f"{name}: {text}".replace("\n", "\n    ") for name, text in names]
        head = [TRANSCRIPT_NOTICE, ""] if any(m.by_clone for m in messages) else []
        return "\n".join([*head, *lines, ""])

    def versions(self, turn: int) -> dict[int, list[Message]]:
        """The messages of each version of a turn."""
        return self._store.versions(self.id, turn)

    def version_numbers(self) -> dict[int, list[int]]:
        """The versions of each turn that has several."""
        return self._store.version_numbers(self.id)

    def show_version(self, turn: int, version: int) -> list[Message]:
        """Show a version of a turn in place of another; returns its messages.

        Raises:
            RoomError: the turn has no such version.
            SpeakingError: it is being said now.
        """
        with self._lock:
            if self.speaking_turn == turn:
                raise SpeakingError("this turn is being said: wait, or stop it")
            before = [m for messages in self.versions(turn).values() for m in messages]
            shown = self._store.show_version(self.id, turn, version)
            self._show(before, shown)
        return shown

    def _show(self, hidden: Sequence[Message], shown: Sequence[Message]) -> None:
        """Show messages in prompts in place of others."""
        self._history.remove(hidden)
        for message in shown:
            self._history.add(message)

    def _on_members_changed(self) -> None:
        self._history.reset()
