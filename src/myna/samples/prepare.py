"""From stored messages to samples, with the ledger that accounts for all of them.

prepared/
messages.parquet    the messages that stay: person, text, conversation, part, trained
samples.parquet     segments, token ids and labels, replies; `part` is the split
ledger.json
manifest.json
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import polars as pl

from myna import people as people_
from myna import stages
from myna import workspace as workspace_
from myna.cleaning import rules
from myna.cleaning.ledger import Action, Ledger, Row, Share
from myna.config import Settings
from myna.conversations import holdout, sessions
from myna.errors import SettingsError, WorkspaceError
from myna.samples import rendering
from myna.samples.conversation import MOST_NAMED, Conversation, conversations
from myna.samples.rendering import REPLY, Segment
from myna.samples.tokenizer import Tokenizer
from myna.samples.tokens import Reply, Sample, encode, runs
from myna.samples.turns import Turn
from myna.samples.windows import cut
from myna.workspace import Workspace

BATCH = 512
"""Samples tokenised at a time."""

SAMPLE_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "part": pl.String,
    "conversation": pl.Int64,
    "space": pl.String,
    "channel": pl.String,
    "segments": pl.List(pl.Struct({"text": pl.String, "label": pl.UInt8})),
    "ids": pl.List(pl.Int32),
    "labels": pl.List(pl.UInt8),
    "replies": pl.List(
        pl.Struct({"person": pl.String, "start": pl.Int32, "end": pl.Int32, "characters": pl.Int32})
    ),
}


@dataclass
class Draft:
    """A sample before it has tokens."""

    conversation: Conversation
    segments: list[Segment]
    speakers: list[str]
    messages: list[int]
    ends: bool


@dataclass
class Prepared:
    """What a run of prepare yields."""

    messages: pl.DataFrame
    samples: pl.DataFrame
    ledger: Ledger
    personas: list[str] = field(default_factory=list)


def read_messages(workspace: Workspace) -> pl.DataFrame:
    """All imported messages.

    Raises:
        WorkspaceError: nothing has been imported.

    """
    files = sorted(workspace.messages.glob("*.parquet"))
    if not files:
        raise WorkspaceError(
            f"{workspace.root} has no messages: bring some in with `myna import PATH`"
        )
    return pl.concat([pl.read_parquet(f) for f in files])


def prepare(
    messages: pl.DataFrame,
    people: people_.People,
    settings: Settings,
    tokenizer: Tokenizer,
    say: Callable[[str], None] = lambda _: None,
) -> Prepared:
    """Clean, split and render messages.

    Raises:
        SettingsError: the samples are shorter than their own system line.
        PeopleError: nobody may be cloned.

    """
    ledger = Ledger()
    say(f"cleaning {messages.height:,} messages")
    kept = rules.clean(people_.assign(messages, people), ledger)
    kept = sessions.split(kept, settings.conversations.gap_minutes)
    kept = holdout.hold_out(kept, settings.split)
    kept = kept.with_columns(doubled=holdout.near_duplicates(kept) & pl.col("trained"))
    kept = kept.with_columns(
        trained=pl.col("trained") & ~pl.col("doubled"),
        rule=pl.when("doubled").then(pl.lit("near-duplicate")).otherwise("rule"),
    )

    drafts = list(_drafts(kept, settings, tokenizer))
    rows: list[dict[str, Any]] = []
    placed: set[int] = set()
    for start in range(0, len(drafts), BATCH):
        batch = drafts[start : start + BATCH]
        encodings = tokenizer.encode_batch(["".join(s.text for s in d.segments) for d in batch])
        for draft, encoding in zip(batch, encodings, strict=True):
            sample = encode(draft.segments, tokenizer, ends=draft.ends, encoding=encoding)
            rows.append(_row(draft, sample))
            placed.update(draft.messages)
        say(f"rendered {len(rows):,} samples")
    samples = pl.DataFrame(rows, schema=SAMPLE_SCHEMA)
    _account(ledger, kept, placed)
    columns = ("channel", "person", "sent_at", "text", "conversation", "part", "trained")
    return Prepared(
        kept.select("source", "space", "thread", "id", *columns),
        samples,
        ledger,
        people_.personas(people),
    )


def write(prepared: Prepared, workspace: Workspace, settings: Settings, tokenizer: str) -> None:
    """Store what `prepare` yielded; the old output stays until the new one is whole."""
    parts = Counter(prepared.samples["part"])
    tokens = prepared.samples.select(
        pl.col("ids").list.len().sum().alias("tokens"),
        pl.col("labels").list.eval(pl.element() > 0).list.sum().sum().alias("trained"),
    ).row(0)
    with (
        workspace_.clear_disk_errors(workspace.prepared),
        workspace_.folder(workspace.prepared) as new,
    ):
        prepared.messages.write_parquet(new / "messages.parquet")
        prepared.samples.write_parquet(new / "samples.parquet")
        workspace_.write_json(new / "ledger.json", prepared.ledger.to_json())
        workspace_.write_manifest(
            new,
            inputs=stages.prepare_inputs(workspace),
            settings=stages.prepare_settings(settings),
            counts={
                "tokenizer": tokenizer,
                "fingerprint": workspace_.fingerprint(new / "samples.parquet"),
                "messages": prepared.ledger.messages,
                "samples": dict(parts),
                "tokens": tokens[0],
                "trained_tokens": tokens[1],
                "personas": prepared.personas,
                "channels": _channels(prepared.messages),
                "conversations": prepared.messages["conversation"].n_unique(),
            },
        )


def _channels(messages: pl.DataFrame) -> list[dict[str, Any]]:
    """The channels and who speaks in them, the busiest first."""
    people = pl.col("person").value_counts(sort=True).struct.field("person")
    return (
        messages.group_by("space", "channel")
        .agg(pl.len().alias("messages"), people.head(MOST_NAMED).alias("people"))
        .sort("messages", descending=True)
        .to_dicts()
    )


def read_samples(workspace: Workspace, part: str | None = None) -> pl.DataFrame:
    """The samples of one split, or all.

    Raises:
        WorkspaceError: `prepare` has not been run.

    """
    path = workspace.prepared / "samples.parquet"
    if not path.exists():
        raise WorkspaceError(f"{workspace.root} has no samples: make them with `myna prepare`")
    samples = pl.read_parquet(path)
    return samples if part is None else samples.filter(pl.col("part") == part)


def _drafts(kept: pl.DataFrame, settings: Settings, tokenizer: Tokenizer) -> Iterator[Draft]:
    for conversation in conversations(kept):
        header = rendering.system_line(
            settings.samples.system,
            space=conversation.space,
            channel=conversation.channel,
            people=conversation.people,
        )
        cues = tokenizer.count(
            [header, *{"\n" + rendering.cue(t.person) for t in conversation.turns}]
        )
        room = settings.samples.max_tokens - len(tokenizer.bos) - 1 - cues[0] - max(cues[1:])
        if room < settings.samples.max_tokens // 4:
            raise SettingsError(
                f"samples.max_tokens = {settings.samples.max_tokens} leaves no room below a "
                f"system line of {cues[0]} tokens: raise the one or shorten the other"
            )
        overlap = settings.samples.overlap_tokens
        for window in cut(conversation.turns, tokenizer.count, room=room, overlap=overlap):
            parts = [p for turn in window.turns for p in turn.parts]
            yield Draft(
                conversation,
                rendering.transcript(header, window.turns, next_person=window.next_person),
                [s for turn in window.turns for s in _speakers(turn)],
                [p.message for p in parts if p.trained and p.message is not None],
                ends=conversation.whole and window.next_person is None,
            )


def _speakers(turn: Turn) -> list[str]:
    """The person, once for each run of trained parts of their turn."""
    marks = [False, *(part.trained for part in turn.parts)]
    return [turn.person for a, b in pairwise(marks) if b and not a]


def _row(draft: Draft, sample: Sample) -> dict[str, Any]:
    conversation = draft.conversation
    return {
        "part": conversation.part,
        "conversation": conversation.number,
        "space": conversation.space,
        "channel": conversation.channel,
        "segments": [{"text": s.text, "label": s.label} for s in sample.segments],
        "ids": sample.ids,
        "labels": sample.labels,
        "replies": [vars(reply) for reply in _replies(draft, sample)],
    }


def _replies(draft: Draft, sample: Sample) -> list[Reply]:
    """The trained runs of words, one for each turn, with their characters."""
    texts: list[str] = []
    before = False
    for segment in draft.segments:
        now = segment.label == REPLY
        if now and before:
            texts[-1] += segment.text
        elif now:
            texts.append(segment.text[1:])  # without the blank behind the name
        before = now
    return [
        Reply(person, start, end, len(text))
        for person, text, (start, end) in zip(
            draft.speakers, texts, runs(sample.labels), strict=True
        )
    ]


def _account(ledger: Ledger, kept: pl.DataFrame, placed: set[int]) -> None:
    """Enter what became of every message that stayed, from the samples themselves."""
    ended = kept.with_row_index("row").with_columns(
        placed=pl.col("row").is_in(list(placed)),
        characters=pl.col("text").str.len_chars(),
    )
    why = {rule.name: rule.why for rule in rules.RULES}
    why["near-duplicate"] = "held out, but nearly stands in train"
    context = ended.filter(~pl.col("placed") & ~pl.col("trained"))
    for name, rows in context.partition_by("rule", as_dict=True).items():
        rule = str(name[0])
        ledger.rows.append(_entry(rule, "context", why.get(rule, ""), rows))
    actions: tuple[Action, ...] = ("tune", "test", "train")
    names = {"tune": "tune", "test": "test", "train": "kept"}
    for action in actions:
        part = ended.filter(pl.col("placed") & (pl.col("part") == action))
        if part.height:
            name = names[action]
            ledger.rows.append(_entry(name, action, rules.DESCRIPTIONS[name], part))
    for (person,), own in sorted(
        ended.group_by("person"), key=lambda group: -int(group[1]["characters"].sum())
    ):
        share = Share(str(person), int(own["characters"].sum()))
        for action in actions:
            part = own.filter(pl.col("placed") & (pl.col("part") == action))
            setattr(share, action, int(part["characters"].sum()))
            share.replies[action] = part.height
        ledger.people.append(share)


def _entry(name: str, action: Action, why: str, part: pl.DataFrame) -> Row:
    return Row(name, action, why, part.height, int(part["characters"].sum()), rules.examples(part))
