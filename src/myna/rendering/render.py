r"""The reference: how a conversation becomes segments, token ids and a loss mask.

    segments  A chat.\n │Ben:│ tea?  │\n │Ana:│ yes│\nplease │\n │Ben:
    kind      0         │0   │0      │0  │0   │1   │1        │2  │2
    person              │    │       │   │    │Ana │Ana      │Ana│Ana
    ids       49 11743 …│… 42│7188 47│198│… 42│9805│198 38984│198│… 42
                                               ├─ words ────┤
                                               ├─ target span of Ana ───┤
    loss mask           │    │       │   │    │yes │yes yes  │yes│yes yes

`render_segments` makes the first three lines, `encode_segments` the ids and the mask. A
prompt is the same text up to where somebody's words begin: token for token the beginning of
a training sample. The name of the next speaker is trained with the words before it, so that
a model learns to stop. `myna.rendering.spec` has the text between turns.

The same for millions of windows, in columns: `render_batch` and `encode`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from myna.rendering.spec import RenderingSpec
from myna.rendering.tokenizer import Tokenizer
from myna.rendering.turns import Turn, escape_turn

CONTEXT, REPLY, END = 0, 1, 2
"""Kinds of segments and tokens: not trained; words of a reply; what opens or ends its turn."""


@dataclass(frozen=True)
class Segment:
    """A piece of a sample's text and its kind; a control token is one by itself.

    `person` is the one with whose words it is trained; None for context.
    """

    text: str
    kind: int = CONTEXT
    control: bool = False
    person: str | None = None


def render_segments(
    spec: RenderingSpec,
    header: str,
    turns: Sequence[Turn],
    *,
    persona: str | None = None,
    next_person: str | None = None,
) -> list[Segment]:
    """The segments of turns below a header.

    Args:
        spec: the rendering.
        header: the system line, with its end.
        turns: in order.
        persona: the person whose sample it is, where each persona has their own.
        next_person: the speaker behind the last turn: all up to their words is included; None
            at the end of a conversation.
    """
    segments = [Segment(opening.text, CONTEXT, opening.control) for opening in spec.opening]
    segments.append(Segment(header))
    role, ended = "start", None  # of the turn before, and the person trained to end it
    for turn in turns:
        before, role = role, spec.role(turn.person, persona)
        opened = turn.person if turn.lines[0].trained else None
        segments += _between(spec, f"{before}>{role}", turn.person, ended=ended, opened=opened)
        texts = [line.text for line in turn.lines]
        texts = escape_turn(texts) if role in spec.escaped else texts
        prefix = spec.prefix(role)
        for line, text in zip(turn.lines, texts, strict=True):
            kind, person = (REPLY, turn.person) if line.trained else (CONTEXT, None)
            segments.append(Segment(prefix + text, kind, person=person))
            prefix = "\n"
        ended = turn.person if turn.lines[-1].trained and turn.ends else None
    after = "end" if next_person is None else spec.role(next_person, persona)
    return segments + _between(spec, f"{role}>{after}", next_person or "", ended=ended, opened=None)


def _between(
    spec: RenderingSpec, step: str, name: str, *, ended: str | None, opened: str | None
) -> list[Segment]:
    """The segments from one turn to the next, that of `name`.

    `ended` and `opened` are the people trained to end and to open their turns so.
    """
    segments = []
    for delimiter in spec.between[step]:
        text = (spec.written_name(name) if delimiter.named else "") + delimiter.text
        person = {"ends": ended, "opens": opened}.get(delimiter.trained)
        kind = CONTEXT if person is None else END
        segments.append(Segment(text, kind, delimiter.control, person))
    return segments


def encode_segments(
    segments: Iterable[Segment],
    tokenizer: Tokenizer,
    *,
    add_special_tokens: bool = True,
    add_eos: bool = False,
) -> tuple[list[int], list[bool]]:
    """The token ids of segments, and the loss mask of a sample made of them.

    All text between control tokens is tokenised in one piece. A token has a loss if the
    segments that its first and its last character stand in are both trained.

    Args:
        segments: of one sample or prompt.
        tokenizer: the base model's.
        add_special_tokens: see `RenderingSpec`.
        add_eos: True to put the end token behind them, trained as the last segment is.

    Raises:
        ModelError: the model has no such control token.
    """
    segments = list(segments)
    ids = list(tokenizer.bos_ids) if add_special_tokens else []
    mask = [False] * len(ids)
    for control, run in groupby(segments, key=lambda segment: segment.control):
        pieces = list(run)
        if control:
            ids += [tokenizer.require_control_id(piece.text) for piece in pieces]
            mask += [piece.kind != CONTEXT for piece in pieces]
            continue
        trained = [piece.kind != CONTEXT for piece in pieces for _ in piece.text]
        text_tokenizer = tokenizer if add_special_tokens else tokenizer.after_control_token
        encoding = text_tokenizer.encode("".join(piece.text for piece in pieces))
        ids += encoding.ids
        covered = (trained[start : max(end, start + 1)] for start, end in encoding.offsets)
        mask += [bool(own) and own[0] and own[-1] for own in covered]
    if add_eos:
        ids.append(tokenizer.eos_id)
        mask.append(segments[-1].kind != CONTEXT)
    return ids, [False, *mask[1:]]  # nothing stands before the first, so it has no loss
