"""A room: who is in it, what was said, and the prompt that a persona answers.

Every prompt is made here, in the format of the samples that the adapter was trained with:
texts are cleaned by the same rules, redacted in the same way, and rendered by the same
renderer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from myna.artifacts import PromptFormat
from myna.cleaning.normalize import apply_text_rules
from myna.cleaning.redact import redact_text
from myna.people import plain_name
from myna.rendering.render import Segment, encode_segments, render_segments
from myna.rendering.spec import RenderingSpec
from myna.rendering.tokenizer import Tokenizer
from myna.rendering.turns import (
    LOOKS_LIKE_TURN,
    Turn,
    TurnLine,
    may_be_turn,
    merge_turns,
    system_line,
    unescape,
)

TRIM = 0.5
"""Share of the context that stays when a history is trimmed: in big steps, so that the
prompt's beginning, and with it the engine's cache, stays the same for long."""


RECENT = 4
"""Lines at a prompt's end that nothing recalled is put between."""


@dataclass(frozen=True)
class Line:
    """A message as samples show it: cleaned and redacted."""

    person: str
    text: str


def line_of(prompt_format: PromptFormat, person: str, text: str) -> Line:
    """A message that somebody wrote, cleaned and redacted as `prepare` does it.

    Its text is empty where nothing can be seen in it.
    """
    text = redact_text(apply_text_rules(text, prompt_format.rules), prompt_format.redaction)
    return Line(plain_name(person), text)


@dataclass
class Room:
    """A live chat.

    `members` are everyone present, personas and humans; with the names of the place they
    fill the system line as in training. `most_tokens` bounds a prompt.
    """

    format: PromptFormat
    """Of the samples that the model was trained on."""
    tokenizer: Tokenizer
    members: list[str]
    most_tokens: int
    space: str = ""
    channel: str = ""
    lines: list[Line] = field(default_factory=list)
    """What was said. Messages that `prepare` made may be put in as they are."""
    name: str = ""
    """The persona whom the system line names, where one sample has room for all."""
    platform: str = ""
    day: str = field(default_factory=lambda: datetime.now().astimezone().date().isoformat())
    recalled: list[Line] = field(default_factory=list)
    """Lines of past chats that prompts show before the last `RECENT` ones: near the end, so
    that what comes before them stays the same, and with it the engine's cache."""
    _from: int = 0
    """The first line that prompts show."""
    _cut: int = 0
    """Characters left out at its beginning."""

    @property
    def spec(self) -> RenderingSpec:
        """The rendering that the model was trained with."""
        return self.format.spec

    def say(self, person: str, text: str) -> None:
        """Add a message: whatever it looks like, it stays one of its author's."""
        line = line_of(self.format, person, text)
        if line.text:
            self.lines.append(line)

    def let_go(self) -> int:
        """Drop the lines that prompts do not show any more; how many those are."""
        gone, self._from = self._from, 0
        del self.lines[:gone]
        return gone

    def header(self, person: str | None = None) -> str:
        """The system line, as `person` has it."""
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
        """The history that prompts show."""
        lines = self.lines[self._from :]
        if self._cut:
            lines[0] = Line(lines[0].person, lines[0].text[self._cut :].lstrip())
        if self.recalled:
            at = max(len(lines) - RECENT, 0)
            lines[at:at] = self.recalled
        return merge_turns((line.person, TurnLine(line.text)) for line in lines)

    def prompt(self, person: str, opening: str = "") -> list[int]:
        """Token ids after which `person` speaks; the oldest words go if it is long.

        `opening` is the first line of what they say, which they go on from.
        """
        return self._fitting(person, opening)

    def before_cue(self) -> list[int]:
        """Token ids after which the model itself names who speaks."""
        return self._fitting(None)

    def cue_ids(self, person: str) -> list[int]:
        """The ids of a name and its colon, as they follow `before_cue`."""
        before = self.before_cue()
        return self._ids(person)[len(before) :]

    def _fitting(self, person: str | None, opening: str = "") -> list[int]:
        """The ids, of the newest messages only once all of them are too many.

        The very last message stays, of a very long one its end.
        """
        ids = self._ids(person, opening)
        if len(ids) > self.most_tokens:
            self._drop_oldest()
            ids = self._ids(person, opening)
        while len(ids) > self.most_tokens and (left := self._left()) > 1:
            self._cut += left // 2
            ids = self._ids(person, opening)
        return ids

    def make_space(self, share: float) -> bool:
        """Let the oldest lines go now, where less than a share of the longest prompt is free.

        Returns whether they did.
        """
        full = len(self._ids(None)) > self.most_tokens * (1 - share)
        if full:
            self._drop_oldest()
        return full

    def _drop_oldest(self) -> None:
        while self._from < len(self.lines) - 1:
            self._from, self._cut = self._from + 1, 0
            if len(self._ids(None)) <= self.most_tokens * TRIM:
                return

    def _left(self) -> int:
        """Characters of the first line that prompts show."""
        return len(self.lines[self._from].text) - self._cut if self.lines else 0

    def _ids(self, person: str | None, opening: str = "") -> list[int]:
        segments = render_segments(
            self.spec,
            self.header(person),
            self.turns(),
            persona=person,
            next_person=person,
        )
        if opening and person is not None:
            lead = self.spec.prefix(self.spec.role(person, person))
            segments.append(Segment(lead + opening))
        ids, _ = encode_segments(
            segments, self.tokenizer, add_special_tokens=self.spec.add_special_tokens
        )
        return ids

    def reader(self) -> TurnReader:
        """What reads a persona's turn out of a stream."""
        return WholeReader() if self.spec.ends_with_control_token else TurnReader()


class TurnReader:
    """Reads a streamed turn: gives its words out and notices where it ends.

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
        """The words that are certain now."""
        if self.ended:
            return ""
        self._held += piece
        out = ""
        while not self.ended:
            line, newline, rest = self._held.partition("\n")
            if self._first:
                # Behind its own name any line is the person's. The newline waits: it
                # may be what ends the turn.
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
        """The words still held back when the model has ended.

        `cut` says that it was stopped instead: a last line that may be half a name then
        goes, rather than being taken for the person's words.
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
            return ""  # what is held back is held because it may be a name
        return self._tidy("\n" + unescape(line)) if line.strip() else ""

    def _tidy(self, out: str) -> str:
        if not self._given:
            out = out.lstrip()
            self._given = bool(out)
        return out


class WholeReader(TurnReader):
    """Reads a turn that a control token ends: any line until then is the persona's own.

    The token itself never comes as text: with it, the stream ends.
    """

    def feed(self, piece: str) -> str:
        """The words that are certain now: all but blanks, which may be the last ones."""
        held = self._held + piece
        words = held.rstrip()
        self._held = held[len(words) :]
        return self._tidy(words)

    def finish(self, *, cut: bool = False) -> str:
        """Nothing: what is held back are blanks."""
        self.ended = True
        return ""
