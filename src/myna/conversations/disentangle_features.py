"""Features of who answers whom: of single messages, and of a message with its candidates.

They are made of a `Talk`: people, times, names called and words, as arrays.

The candidates of a message are itself (place 0: it starts a conversation) and the messages
before it, place 1 the one just before. Nothing here knows a language or a platform.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from myna.conversations import name_mentions
from myna.conversations.name_mentions import INNER, MARKED, OUTER

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

COLUMNS = (
    *("author_id", "author", "text", "person", "handle", "time", "sent_at", "conversation"),
    *("id", "reply_to", "mentions"),
)
"""What is looked at of messages."""

TRAITS = ("asks", "ends asking", "command", "link", "length", "calls a stranger", "trails off")
"""What is told of a message by its text alone: the columns of `Talk.traits`."""


@dataclass(frozen=True)
class Talk:
    """Messages in order, as arrays; people are numbered anew in each stretch.

    `first` is the row that the message's stretch begins at. `called` has the people that a
    message calls by name or answers by a link (-1 for none), the surest first, `surely` how
    sure that is. `said_in` and `said` are the words of all messages, in order, as rows and
    as numbers, `weights` by number what it tells that two messages share a word (0 to 1; a
    name tells nothing).
    """

    people: Ints
    first: Ints
    minutes: Floats
    called: Ints
    surely: npt.NDArray[np.int8]
    traits: Floats
    said_in: Ints
    said: Ints
    weights: Floats

    @property
    def length(self) -> int:
        """The number of messages."""
        return len(self.people)


def read_talk(messages: pl.DataFrame) -> Talk:
    """The arrays of messages that stand in order.

    Args:
        messages: `author_id`, `author` and `text`; and, where they are there, the others of
            `COLUMNS`. `person` comes before `author_id`, `time` before `sent_at`; where
            `conversation` changes, a stretch begins.
    """
    person = "person" if "person" in messages.columns else "author_id"
    known = messages.select([name for name in COLUMNS if name in messages.columns])
    rows = known.with_row_index("row").with_columns(
        pl.col("text").fill_null(""), stretch=_stretch(known), target=targets(known)
    )
    rows = rows.with_columns(
        number=pl.struct("stretch", person).rank("dense").cast(pl.Int64) - 1,
        first=pl.col("row").min().over("stretch").cast(pl.Int64),
    )
    people = rows["number"].to_numpy()
    said = name_mentions.words(rows)
    found, is_name = name_mentions.calls(rows, said, people)
    called, surely = name_mentions.strongest(found, rows.height)
    said = said.with_columns(id=pl.col("word").rank("dense").cast(pl.Int64) - 1, name=is_name)
    kinds = said.group_by("id").agg(pl.col("name").any(), n=pl.col("row").n_unique()).sort("id")
    told = np.log((rows.height + 1) / (kinds["n"].to_numpy() + 0.5)) / np.log(rows.height + 2)
    return Talk(
        people=people,
        first=rows["first"].to_numpy(),
        minutes=_minutes(rows),
        called=called,
        surely=surely,
        traits=_traits(rows, said, surely),
        said_in=said["row"].to_numpy().astype(np.int64),
        said=said["id"].to_numpy(),
        weights=np.where(kinds["name"].to_numpy(), 0, told.clip(0, 1)).astype(np.float32),
    )


def targets(messages: pl.DataFrame) -> pl.Series:
    """The row that each message answers by a link of the platform, -1 where there is none.

    Only an earlier message of its stretch counts. The arguments are those of `read_talk`.
    """
    none = pl.Series(np.full(messages.height, -1))
    if not {"id", "reply_to"} <= set(messages.columns):
        return none
    rows = messages.select("id", "reply_to", stretch=_stretch(messages)).with_row_index("row")
    found = (
        rows.filter(pl.col("reply_to").is_not_null())
        .join(
            rows.select("stretch", reply_to="id", target=pl.col("row").cast(pl.Int64)),
            on=["stretch", "reply_to"],
        )
        .filter(pl.col("target") < pl.col("row"))
    )
    return none.scatter(found["row"], found["target"])


def _stretch(messages: pl.DataFrame) -> pl.Expr:
    if "conversation" not in messages.columns:
        return pl.repeat(0, pl.len(), dtype=pl.UInt32)
    return pl.col("conversation").rle_id()


def _minutes(rows: pl.DataFrame) -> Floats:
    """Whole minutes since the first message; a message without a time has the last one's."""
    name = "time" if "time" in rows.columns else "sent_at"
    if name not in rows.columns or rows[name].null_count() == rows.height:
        return np.zeros(rows.height, np.float32)
    times = rows[name].forward_fill().backward_fill()
    minutes: Floats = (times - times[0]).dt.total_minutes().to_numpy().astype(np.float32)
    return minutes


def _traits(rows: pl.DataFrame, said: pl.DataFrame, surely: npt.NDArray[np.int8]) -> Floats:
    text = rows["text"].str
    opened = said.filter(pl.col("surely") == name_mentions.MARKED)["row"].to_numpy()
    stranger = np.zeros(rows.height, bool)
    stranger[opened] = True
    stranger &= surely[:, 0] < name_mentions.MARKED
    traits = (
        text.contains(r"[?？؟]"),
        text.contains(r"[?？؟][\s\p{P}]*$"),
        text.contains(r"^[!./$~][\w/]"),
        text.contains(r"https?://|www\."),
        (text.len_chars().cast(pl.Float32) + 1).log() / 4,
        stranger,
        text.contains(r"(?:\.\.+|…|,)\s*$"),
    )
    return np.stack([np.asarray(trait, np.float32) for trait in traits], axis=1)


CANDIDATES = 64
"""Candidates of a message, itself among them: 99 of 100 answers are that near."""

OCCURRENCES = 12
"""A word is compared with so many occurrences of it before."""

LENGTH = TRAITS.index("length")

NEVER = 6.0
"""Stands for the logarithm of a distance where there is none."""


@dataclass(frozen=True)
class Threads:
    """For each message of a talk, rows and people around it (-1: none).

    `before`, `after`: the author's message before and the one after. `called_by`: the last
    message before that calls the author; `calls_next`: the next that does. `addressed`:
    whom the author called last; `partner`: who wrote `called_by`.
    """

    before: Ints
    after: Ints
    called_by: Ints
    calls_next: Ints
    addressed: Ints
    partner: Ints


@dataclass(frozen=True)
class Shared:
    """The words that messages share: in `row` with that at `place`, and their `weight`."""

    row: Ints
    place: Ints
    weight: Floats


def threads(talk: Talk) -> Threads:
    """Threads: who spoke and who was called around each message."""
    length, people = talk.length, talk.people
    order = np.argsort(people, kind="stable")
    same = people[order[1:]] == people[order[:-1]]
    before, after = np.full((2, length), -1)
    before[order[1:][same]] = order[:-1][same]
    after[order[:-1][same]] = order[1:][same]
    called_by, calls_next = _calls_around(talk)

    # The author's own last call, carried along the author's messages.
    has = talk.called[order, 0] >= 0
    has[:1] = True
    has[1:] |= ~same
    since = np.maximum.accumulate(np.where(has, np.arange(length), 0))
    latest = np.empty(length, np.int64)
    latest[order] = talk.called[order[since], 0]
    return Threads(
        before,
        after,
        called_by,
        calls_next,
        addressed=np.where(before >= 0, latest[before], -1),
        partner=np.where(called_by >= 0, people[called_by], -1),
    )


def _calls_around(talk: Talk) -> tuple[Ints, Ints]:
    """The last message before each one that calls its author, and the next after."""
    length, people = talk.length, talk.people
    calling, place = np.nonzero(talk.called >= 0)
    keys = np.sort(talk.called[calling, place] * (length + 1) + calling)
    if not len(keys):
        return np.full(length, -1), np.full(length, -1)
    at = np.searchsorted(keys, people * (length + 1) + np.arange(length))
    earlier, later = keys[np.maximum(at - 1, 0)], keys[np.minimum(at, len(keys) - 1)]
    was = (at > 0) & (earlier // (length + 1) == people)
    will = (at < len(keys)) & (later // (length + 1) == people)
    return (
        np.where(was, earlier % (length + 1), -1),
        np.where(will, later % (length + 1), -1),
    )


def shared_words(talk: Talk) -> Shared:
    """The words that messages share with candidates, a row's together."""
    order = np.argsort(talk.said, kind="stable")
    row, word = talk.said_in[order], talk.said[order]
    fresh = talk.weights[word] > 0
    fresh[1:] &= (row[1:] != row[:-1]) | (word[1:] != word[:-1])
    row, word = row[fresh], word[fresh]
    found: list[tuple[Ints, Ints, Floats]] = []
    for lag in range(1, OCCURRENCES + 1):
        ago = row[lag:] - row[:-lag]
        near = (word[lag:] == word[:-lag]) & (ago < CANDIDATES)
        found.append((row[lag:][near], ago[near], talk.weights[word[lag:][near]]))
    at, place, weight = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.argsort(at, kind="stable")
    return Shared(at[order], place[order], weight[order])


def single(talk: Talk, thread: Threads) -> Floats:
    """Features of single messages: (messages, features)."""
    rows, minutes = np.arange(talk.length), talk.minutes
    has, after = thread.before >= 0, thread.after
    begin, stretch = np.unique(talk.first, return_inverse=True)
    many = np.bincount(stretch, minlength=len(begin))
    calls = np.bincount(stretch, talk.called[:, 0] >= 0, len(begin))
    lasts = minutes[begin + many - 1] - minutes[begin] if len(begin) else minutes
    features = (
        talk.called[:, 0] >= 0,
        talk.surely[:, 0] == MARKED,
        talk.called[:, 1] >= 0,
        ~has,
        np.log1p(np.diff(minutes, prepend=minutes[:1]).clip(0)),
        np.where(has, np.log1p((minutes - minutes[thread.before]).clip(0)), NEVER),
        np.where(has, np.log1p(rows - np.where(has, thread.before, rows)), NEVER),
        thread.called_by > thread.before,
        after == rows + 1,
        np.where(after >= 0, np.log1p(np.maximum(after - rows, 0)), NEVER),
        np.log1p(rows - talk.first) / 4,
        ((calls + 1) / (many + 4))[stretch],
        np.log1p(lasts.clip(0) / many)[stretch],
    )
    told = [np.asarray(feature, np.float32) for feature in features]
    return np.concatenate([talk.traits, np.stack(told, axis=1)], axis=1)


def pairs(
    talk: Talk, thread: Threads, shared: Shared, start: int, end: int
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Features of the rows start to end with their candidates.

    Returns:
        (features, rows, candidates), and which candidates there are: (rows, candidates).
    """
    shape = (end - start, CANDIDATES)
    row, place = np.arange(start, end)[:, None], np.arange(CANDIDATES)
    candidate = row - place

    def near(column: npt.NDArray[Any], missing: int = -2) -> npt.NDArray[Any]:
        return _candidates(column, start, end, missing)

    def mine(column: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return column[start:end, None]

    me, them = mine(talk.people), near(talk.people)
    same = them == me
    calls, called = np.zeros((2, *shape), np.int8)
    for column, surely in zip(talk.called.T, talk.surely.T, strict=True):
        np.maximum(calls, (them == mine(column)) * mine(surely), out=calls)
        np.maximum(called, (near(column) == me) * near(surely, 0), out=called)
    i_call, they_call = mine(talk.called[:, 0]), near(talk.called[:, 0], -1)
    both_call = (i_call >= 0) & (they_call >= 0)
    same_call = both_call & (they_call == i_call)
    spoke_again, answered = near(thread.after, -1), near(thread.calls_next, -1)
    latest = (spoke_again < 0) | (spoke_again >= row)
    was_answered = (answered >= 0) & (answered < row)
    later = candidate > mine(thread.before)
    addressed = mine(thread.addressed)
    # What comes after tells as well: whom I call next, who calls me next.
    then = talk.called[thread.after[start:end]]
    then[thread.after[start:end] < 0] = -1
    caller = np.where(thread.calls_next >= 0, talk.people[thread.calls_next], -1)
    overlap = np.minimum(_overlap(shared, start, end), 3)
    gap = (mine(talk.minutes) - near(talk.minutes)).clip(0)
    features = (
        np.log(np.maximum(place, 1)),
        place == 1,
        place == 2,
        place == 3,
        np.log1p(gap),
        gap == 0,
        same,
        candidate == mine(thread.before),
        latest,
        latest & same,
        later,
        *(calls == surely for surely in (MARKED, OUTER, INNER)),
        (i_call >= 0) & (calls == 0),
        *(called == surely for surely in (MARKED, OUTER, INNER)),
        (they_call >= 0) & (called == 0),
        candidate == mine(thread.called_by),
        (calls > 0) & latest,
        (called > 0) & later,
        them == addressed,
        (them == addressed) & latest,
        them == mine(thread.partner),
        near(thread.addressed) == me,
        near(thread.partner) == me,
        (near(thread.addressed) == addressed) & (addressed >= 0),
        same_call,
        same_call & same,
        both_call & ~same_call & same,
        was_answered,
        was_answered & latest,
        (them == then[:, :1]) | (them == then[:, 1:2]),
        them == mine(caller),
        overlap,
        overlap / np.sqrt(1 + 4 * near(talk.traits[:, LENGTH], 0)),
        overlap > 0.7,
    )
    told = np.empty((len(features) + 1, *shape), np.float32)
    for number, feature in enumerate(features):
        told[number] = feature
    told[:-1, :, 0] = 0  # of a message with itself nothing is told but that it is itself
    told[-1] = place == 0
    return told, candidate >= mine(talk.first)


def _candidates(column: npt.NDArray[Any], start: int, end: int, missing: int) -> npt.NDArray[Any]:
    """A column's values at the candidates of the rows start to end."""
    reach = start - CANDIDATES + 1
    part = column[max(reach, 0) : end]
    if reach < 0:
        part = np.concatenate([np.full(-reach, missing, column.dtype), part])
    windows = np.lib.stride_tricks.sliding_window_view(part, CANDIDATES)
    return np.ascontiguousarray(windows[:, ::-1])


def _overlap(shared: Shared, start: int, end: int) -> Floats:
    begin, stop = np.searchsorted(shared.row, (start, end))
    at = (shared.row[begin:stop] - start) * CANDIDATES + shared.place[begin:stop]
    size = (end - start) * CANDIDATES
    total = np.bincount(at, shared.weight[begin:stop], size)
    return total.astype(np.float32).reshape(-1, CANDIDATES)
