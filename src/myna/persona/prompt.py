"""Prompts: a chat's history as token ids after which a persona speaks.

Every prompt is made here, in the format of the samples that the adapter was trained with:
texts are cleaned by the same rules, redacted in the same way, and rendered by the same
renderer.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from myna.artifacts import PromptFormat
from myna.cleaning.normalize import apply_text_rules
from myna.cleaning.redact import redact_text
from myna.config import Sampling
from myna.people import sanitize_name
from myna.rendering.render import Segment, encode_segments, render_segments
from myna.rendering.spec import RenderingSpec
from myna.rendering.tokenizer import Tokenizer
from myna.rendering.turns import (
    LOOKS_LIKE_TURN,
    MAX_PEOPLE_NAMED,
    Turn,
    TurnLine,
    may_be_turn,
    merge_turns,
    system_line,
    unescape,
)

TRIMMED_SHARE = 0.5
"""Share of the budget that is used after a history is trimmed: in big steps, so that the
prompt's beginning, and with it the engine's cache, stays the same for long."""
RECENT_MESSAGES = 4
"""Messages at a prompt's end that nothing recalled is put between."""


@dataclass(frozen=True)
class PromptMessage:
    """A message as samples show it: cleaned and redacted."""

    person: str
    text: str


def prompt_message(prompt_format: PromptFormat, person: str, text: str) -> PromptMessage:
    """Clean and redact a message that somebody wrote, as `prepare` does it.

    Its text is empty where nothing in it can be seen.
    """
    text = redact_text(apply_text_rules(text, prompt_format.rules), prompt_format.redaction)
    return PromptMessage(sanitize_name(person), text)


@dataclass
class PromptBuilder:
    """A chat's history, and the prompts made of it.

    `members` are everyone present, personas and humans; with the names of the channel they
    fill the system line as in training. `prompt_budget` is the most tokens of a prompt.
    """

    format: PromptFormat
    """Of the samples that the model was trained on."""
    tokenizer: Tokenizer
    members: list[str]
    prompt_budget: int
    space: str = ""
    channel: str = ""
    messages: list[PromptMessage] = field(default_factory=list)
    """The history. Messages that `prepare` made may be put in as they are."""
    name: str = ""
    """The persona whom the system line names, where one sample is for all personas."""
    platform: str = ""
    day: str = field(default_factory=lambda: datetime.now().astimezone().date().isoformat())
    recalled: list[PromptMessage] = field(default_factory=list)
    """Messages of past chats, put before the `RECENT_MESSAGES` last ones: near the end, so
    that what comes before them stays the same, and with it the engine's cache."""
    _first: int = 0
    """The index of the first message that prompts show."""
    _cut: int = 0
    """Characters left out at its beginning."""

    @property
    def spec(self) -> RenderingSpec:
        """The rendering that the model was trained with."""
        return self.format.spec

    def add(self, person: str, text: str) -> None:
        """Add a message; nothing in its text can end it or begin another one."""
        message = prompt_message(self.format, person, text)
        if message.text:
            self.messages.append(message)

    def discard_trimmed(self) -> int:
        """Drop the messages that prompts do not show any more; returns their number."""
        trimmed, self._first = self._first, 0
        del self.messages[:trimmed]
        return trimmed

    def header(self, person: str | None = None) -> str:
        """The system line and its end, as a turn of `person` has it."""
        line = system_line(
            self.format.samples.system_lines[0],
            people=self.members,
            space=self.space,
            channel=self.channel,
            name=(person or "") if self.spec.per_persona else self.name,
            date=self.day,
            platform=self.platform,
        )
        return line + self.spec.header_end

    def turns(self) -> list[Turn]:
        """The turns that prompts show."""
        messages = self.messages[self._first :]
        if self._cut:
            first = messages[0]
            messages[0] = PromptMessage(first.person, first.text[self._cut :].lstrip())
        if self.recalled:
            i = max(len(messages) - RECENT_MESSAGES, 0)
            messages[i:i] = self.recalled
        return merge_turns((message.person, TurnLine(message.text)) for message in messages)

    def prompt(self, person: str, opening: str = "") -> list[int]:
        """Token ids after which `person` speaks; a long history is trimmed from its beginning.

        `opening` is the first line of their turn, which they continue.
        """
        return self._fitting_ids(person, opening)

    def prompt_before_name(self) -> list[int]:
        """Token ids after which the model itself names the next speaker."""
        return self._fitting_ids(None)

    def name_ids(self, person: str) -> list[int]:
        """The ids of a name and its colon, as they follow `prompt_before_name`."""
        before = self.prompt_before_name()
        return self._ids(person)[len(before) :]

    def with_breakers(self, sampling: Sampling) -> Sampling:
        """`sampling` with DRY's sequence breakers of this chat.

        The ends of turns and lines, and each member's name with what follows it. Not the colon
        alone, which the texts have as well, in times and smileys.
        """
        if not sampling.dry_multiplier:
            return sampling
        delimiters = dict.fromkeys(
            delimiter for between in self.spec.between.values() for delimiter in between
        )
        breakers = ["\n", *(d.text for d in delimiters if d.control)]
        for delimiter in delimiters:
            if delimiter.named:
                # Engines look each breaker up in the whole vocabulary; personas come first.
                names = map(self.spec.written_name, self.members[:MAX_PEOPLE_NAMED])
                breakers += [name + delimiter.text for name in names]
        return replace(sampling, dry_sequence_breakers=tuple(dict.fromkeys(breakers)))

    def _fitting_ids(self, person: str | None, opening: str = "") -> list[int]:
        """The ids, of the newest messages only where all of them exceed the budget.

        The last message always stays, of a very long one its end.
        """
        ids = self._ids(person, opening)
        if len(ids) > self.prompt_budget:
            self._trim()
            ids = self._ids(person, opening)
        while len(ids) > self.prompt_budget and (left := self._chars_of_first()) > 1:
            self._cut += left // 2
            ids = self._ids(person, opening)
        return ids

    def trim_if_full(self, free_share: float) -> bool:
        """Trim the history where less than this share of the budget is free; True if so."""
        is_full = len(self._ids(None)) > self.prompt_budget * (1 - free_share)
        if is_full:
            self._trim()
        return is_full

    def _trim(self) -> None:
        while self._first < len(self.messages) - 1:
            self._first, self._cut = self._first + 1, 0
            if len(self._ids(None)) <= self.prompt_budget * TRIMMED_SHARE:
                return

    def _chars_of_first(self) -> int:
        """Characters of the first message that prompts show."""
        return len(self.messages[self._first].text) - self._cut if self.messages else 0

    def _ids(self, person: str | None, opening: str = "") -> list[int]:
        segments = render_segments(
            self.spec, self.header(person), self.turns(), persona=person, next_person=person
        )
        if opening and person is not None:
            prefix = self.spec.prefix(self.spec.role(person, person))
            segments.append(Segment(prefix + opening))
        special = self.spec.add_special_tokens
        return encode_segments(segments, self.tokenizer, add_special_tokens=special)[0]

    def turn_reader(self) -> TurnReader:
        """A reader of a persona's turn, by the rendering."""
        return TokenEndedReader() if self.spec.ends_with_control_token else TurnReader()


class TurnReader:
    """Read a streamed turn: give out its text, and notice its end.

    A turn ends with a line that looks like the beginning of somebody's turn. So a line
    after the first is held back until it cannot be one any more. `next_person` is the
    name that the model wrote there, if any.
    """

    def __init__(self) -> None:
        self.ended = False
        self.next_person: str | None = None
        self._held = ""
        self._first = True
        self._given = False

    def feed(self, piece: str) -> str:
        """Take a piece; returns the text that certainly belongs to the turn."""
        if self.ended:
            return ""
        self._held += piece
        out = ""
        while not self.ended:
            line, newline, rest = self._held.partition("\n")
            if self._first:
                # After their own name any line is the person's. The newline waits: it
                # may be the end of the turn.
                out += line
                self._held = newline + rest
                if not newline:
                    break
                self._first = False
                continue
            line, newline, rest = rest.partition("\n")  # held is "\n" + a line
            start = LOOKS_LIKE_TURN.match(line + newline)
            if start and (newline or start.end() < len(line)):
                self.ended = True
                self.next_person = line[: start.end() - 1]
            elif newline:
                out += "\n" + unescape(line)
                self._held = newline + rest
            elif may_be_turn(line):
                break
            else:
                out += "\n" + unescape(line)
                self._held = ""
                self._first = True  # the rest of this line is the person's
        return self._tidy(out)

    def finish(self, *, cut: bool = False) -> str:
        """The text still held back when the model has ended.

        `cut`: it was stopped instead. A last line that may be half a name is then dropped.
        """
        if self.ended:
            return ""
        line = self._held[1:]
        start = LOOKS_LIKE_TURN.match(line)
        self.ended = True
        if start and start.end() == len(line):
            self.next_person = line[:-1]
            return ""
        if cut:
            return ""
        return self._tidy("\n" + unescape(line)) if line.strip() else ""

    def _tidy(self, out: str) -> str:
        if not self._given:
            out = out.lstrip()
            self._given = bool(out)
        return out


class TokenEndedReader(TurnReader):
    """Read a turn that a control token ends: any line until then is the persona's own.

    The token itself never comes as text: with it, the stream ends.
    """

    def feed(self, piece: str) -> str:
        """Take a piece; returns the text so far but for trailing blanks, which may be the last."""
        held = self._held + piece
        text = held.rstrip()
        self._held = held[len(text) :]
        return self._tidy(text)

    def finish(self, *, cut: bool = False) -> str:
        """End the turn; only blanks are held back, and they are dropped."""
        self.ended = True
        return ""
