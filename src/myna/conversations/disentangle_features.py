"""Features for disentanglement: of single messages, and of pairs of message and candidate.

They are computed from `MessageArrays`: people, times, names called and words, as arrays.

The candidates of a message are itself (distance 0: it starts a conversation) and the messages
before it, distance 1 the one just before. No feature depends on a language or a platform.
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
"""The columns of messages that `message_arrays` reads, where they exist."""

TRAITS = ("asks", "ends asking", "command", "link", "length", "calls a stranger", "trails off")
"""Features of a text alone: the columns of `MessageArrays.traits`."""


@dataclass(frozen=True)
class MessageArrays:
    """Messages in order, as arrays; people are numbered separately in each stretch.

    `first` is the first row of the message's stretch. `called` has the people that a message
    calls by name or replies to (-1: none), the most certain first; `certainty` is one of
    `MARKED`, `OUTER` and `INNER`. `word_rows` and `words` are the words of all messages, in
    order, as rows and word numbers; `word_weights` is the evidence (0 to 1) of sharing a word,
    0 for names.
    """

    people: Ints
    first: Ints
    minutes: Floats
    called: Ints
    certainty: npt.NDArray[np.int8]
    traits: Floats
    word_rows: Ints
    words: Ints
    word_weights: Floats

    @property
    def length(self) -> int:
        """Number of messages."""
        return len(self.people)


def message_arrays(messages: pl.DataFrame) -> MessageArrays:
    """Convert messages, in order, to arrays.

    Args:
        messages: `author_id`, `author` and `text`; and, if they exist, the others of
            `COLUMNS`. `person` is preferred to `author_id`, `time` to `sent_at`; a change of
            `conversation` starts a stretch.
    """
    person = "person" if "person" in messages.columns else "author_id"
    columns = messages.select([name for name in COLUMNS if name in messages.columns])
    rows = columns.with_row_index("row").with_columns(
        pl.col("text").fill_null(""), stretch=_stretch(columns), target=reply_targets(columns)
    )
    rows = rows.with_columns(
        number=pl.struct("stretch", person).rank("dense").cast(pl.Int64) - 1,
        first=pl.col("row").min().over("stretch").cast(pl.Int64),
    )
    people = rows["number"].to_numpy()
    words = name_mentions.split_words(rows)
    calls, is_name = name_mentions.find_calls(rows, words, people)
    called, certainty = name_mentions.strongest_calls(calls, rows.height)
    words = words.with_columns(id=pl.col("word").rank("dense").cast(pl.Int64) - 1, name=is_name)
    kinds = words.group_by("id").agg(pl.col("name").any(), n=pl.col("row").n_unique()).sort("id")
    rarity = np.log((rows.height + 1) / (kinds["n"].to_numpy() + 0.5)) / np.log(rows.height + 2)
    return MessageArrays(
        people=people,
        first=rows["first"].to_numpy(),
        minutes=_minutes(rows),
        called=called,
        certainty=certainty,
        traits=_traits(rows, words, certainty),
        word_rows=words["row"].to_numpy().astype(np.int64),
        words=words["id"].to_numpy(),
        word_weights=np.where(kinds["name"].to_numpy(), 0, rarity.clip(0, 1)).astype(np.float32),
    )


def reply_targets(messages: pl.DataFrame) -> pl.Series:
    """Return the row that each message replies to on the platform; -1 for none.

    Only an earlier message of its stretch counts. The arguments are those of `message_arrays`.
    """
    none = pl.Series(np.full(messages.height, -1))
    if not {"id", "reply_to"} <= set(messages.columns):
        return none
    rows = messages.select("id", "reply_to", stretch=_stretch(messages)).with_row_index("row")
    replies = (
        rows.filter(pl.col("reply_to").is_not_null())
        .join(
            rows.select("stretch", reply_to="id", target=pl.col("row").cast(pl.Int64)),
            on=["stretch", "reply_to"],
        )
        .filter(pl.col("target") < pl.col("row"))
    )
    return none.scatter(replies["row"], replies["target"])


def _stretch(messages: pl.DataFrame) -> pl.Expr:
    if "conversation" not in messages.columns:
        return pl.repeat(0, pl.len(), dtype=pl.UInt32)
    return pl.col("conversation").rle_id()


def _minutes(rows: pl.DataFrame) -> Floats:
    """Return whole minutes since the first message; one without a time has that of the last."""
    name = "time" if "time" in rows.columns else "sent_at"
    if name not in rows.columns or rows[name].null_count() == rows.height:
        return np.zeros(rows.height, np.float32)
    times = rows[name].forward_fill().backward_fill()
    minutes: Floats = (times - times[0]).dt.total_minutes().to_numpy().astype(np.float32)
    return minutes


def _traits(rows: pl.DataFrame, words: pl.DataFrame, certainty: npt.NDArray[np.int8]) -> Floats:
    text = rows["text"].str
    marked = words.filter(pl.col("certainty") == name_mentions.MARKED)["row"].to_numpy()
    stranger = np.zeros(rows.height, bool)
    stranger[marked] = True
    stranger &= certainty[:, 0] < name_mentions.MARKED
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
"""Candidates of a message, itself included: 99 of 100 answers are so near."""

MAX_OCCURRENCES = 12
"""Earlier occurrences that a word is compared with."""

LENGTH = TRAITS.index("length")

NO_DISTANCE = 6.0
"""Stands for the logarithm of a missing distance."""


@dataclass(frozen=True)
class Neighbours:
    """For each message, the rows and people around it (-1: none).

    `before`, `after`: the author's messages before and after. `called_by`: the last message
    before that calls the author; `calls_next`: the next one that does. `addressed`: the person
    that the author called last; `partner`: the author of `called_by`.
    """

    before: Ints
    after: Ints
    called_by: Ints
    calls_next: Ints
    addressed: Ints
    partner: Ints


@dataclass(frozen=True)
class SharedWords:
    """The words shared by the message `row` and its candidate at `distance`, with `weight`."""

    row: Ints
    distance: Ints
    weight: Floats


def find_neighbours(messages: MessageArrays) -> Neighbours:
    """Find the rows and people around each message."""
    length, people = messages.length, messages.people
    order = np.argsort(people, kind="stable")
    same = people[order[1:]] == people[order[:-1]]
    before, after = np.full((2, length), -1)
    before[order[1:][same]] = order[:-1][same]
    after[order[:-1][same]] = order[1:][same]
    called_by, calls_next = _calls_around(messages)

    # The author's own last call, carried forward along the author's messages.
    has = messages.called[order, 0] >= 0
    has[:1] = True
    has[1:] |= ~same
    since = np.maximum.accumulate(np.where(has, np.arange(length), 0))
    latest = np.empty(length, np.int64)
    latest[order] = messages.called[order[since], 0]
    return Neighbours(
        before,
        after,
        called_by,
        calls_next,
        addressed=np.where(before >= 0, latest[before], -1),
        partner=np.where(called_by >= 0, people[called_by], -1),
    )


def _calls_around(messages: MessageArrays) -> tuple[Ints, Ints]:
    """Find the last message before each one that calls its author, and the next one after."""
    length, people = messages.length, messages.people
    calling, rank = np.nonzero(messages.called >= 0)
    keys = np.sort(messages.called[calling, rank] * (length + 1) + calling)
    if not len(keys):
        return np.full(length, -1), np.full(length, -1)
    at = np.searchsorted(keys, people * (length + 1) + np.arange(length))
    earlier, later = keys[np.maximum(at - 1, 0)], keys[np.minimum(at, len(keys) - 1)]
    was = (at > 0) & (earlier // (length + 1) == people)
    will = (at < len(keys)) & (later // (length + 1) == people)
    return (np.where(was, earlier % (length + 1), -1), np.where(will, later % (length + 1), -1))


def shared_words(messages: MessageArrays) -> SharedWords:
    """Find the words that messages share with candidates, sorted by row."""
    order = np.argsort(messages.words, kind="stable")
    row, word = messages.word_rows[order], messages.words[order]
    counts = messages.word_weights[word] > 0
    counts[1:] &= (row[1:] != row[:-1]) | (word[1:] != word[:-1])
    row, word = row[counts], word[counts]
    shared: list[tuple[Ints, Ints, Floats]] = []
    for lag in range(1, MAX_OCCURRENCES + 1):
        ago = row[lag:] - row[:-lag]
        near = (word[lag:] == word[:-lag]) & (ago < CANDIDATES)
        shared.append((row[lag:][near], ago[near], messages.word_weights[word[lag:][near]]))
    rows, distance, weight = (np.concatenate(arrays) for arrays in zip(*shared, strict=True))
    order = np.argsort(rows, kind="stable")
    return SharedWords(rows[order], distance[order], weight[order])


def message_features(messages: MessageArrays, neighbours: Neighbours) -> Floats:
    """Compute the features of single messages: (messages, features)."""
    rows, minutes = np.arange(messages.length), messages.minutes
    has, after = neighbours.before >= 0, neighbours.after
    begin, stretch = np.unique(messages.first, return_inverse=True)
    sizes = np.bincount(stretch, minlength=len(begin))
    calls = np.bincount(stretch, messages.called[:, 0] >= 0, len(begin))
    durations = minutes[begin + sizes - 1] - minutes[begin] if len(begin) else minutes
    features = (
        messages.called[:, 0] >= 0,
        messages.certainty[:, 0] == MARKED,
        messages.called[:, 1] >= 0,
        ~has,
        np.log1p(np.diff(minutes, prepend=minutes[:1]).clip(0)),
        np.where(has, np.log1p((minutes - minutes[neighbours.before]).clip(0)), NO_DISTANCE),
        np.where(has, np.log1p(rows - np.where(has, neighbours.before, rows)), NO_DISTANCE),
        neighbours.called_by > neighbours.before,
        after == rows + 1,
        np.where(after >= 0, np.log1p(np.maximum(after - rows, 0)), NO_DISTANCE),
        np.log1p(rows - messages.first) / 4,
        ((calls + 1) / (sizes + 4))[stretch],
        np.log1p(durations.clip(0) / sizes)[stretch],
    )
    values = [np.asarray(feature, np.float32) for feature in features]
    return np.concatenate([messages.traits, np.stack(values, axis=1)], axis=1)


def pair_features(
    messages: MessageArrays, neighbours: Neighbours, shared: SharedWords, start: int, end: int
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Compute the features of the rows [start, end) with their candidates.

    Returns:
        (features, rows, candidates), and a mask of existing candidates: (rows, candidates).
    """
    shape = (end - start, CANDIDATES)
    row, distance = np.arange(start, end)[:, None], np.arange(CANDIDATES)
    candidate = row - distance

    def near(column: npt.NDArray[Any], missing: int = -2) -> npt.NDArray[Any]:
        return _candidates(column, start, end, missing)

    def mine(column: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return column[start:end, None]

    me, them = mine(messages.people), near(messages.people)
    same = them == me
    calls, called = np.zeros((2, *shape), np.int8)
    for column, certainty in zip(messages.called.T, messages.certainty.T, strict=True):
        np.maximum(calls, (them == mine(column)) * mine(certainty), out=calls)
        np.maximum(called, (near(column) == me) * near(certainty, 0), out=called)
    i_call, they_call = mine(messages.called[:, 0]), near(messages.called[:, 0], -1)
    both_call = (i_call >= 0) & (they_call >= 0)
    same_call = both_call & (they_call == i_call)
    spoke_again, answered = near(neighbours.after, -1), near(neighbours.calls_next, -1)
    latest = (spoke_again < 0) | (spoke_again >= row)
    was_answered = (answered >= 0) & (answered < row)
    later = candidate > mine(neighbours.before)
    addressed = mine(neighbours.addressed)
    # Later messages are evidence as well: the people that I call next, the one who calls me next.
    then = messages.called[neighbours.after[start:end]]
    then[neighbours.after[start:end] < 0] = -1
    caller = np.where(neighbours.calls_next >= 0, messages.people[neighbours.calls_next], -1)
    overlap = np.minimum(_overlap(shared, start, end), 3)
    gap = (mine(messages.minutes) - near(messages.minutes)).clip(0)
    features = (
        np.log(np.maximum(distance, 1)),
        distance == 1,
        distance == 2,
        distance == 3,
        np.log1p(gap),
        gap == 0,
        same,
        candidate == mine(neighbours.before),
        latest,
        latest & same,
        later,
        *(calls == certainty for certainty in (MARKED, OUTER, INNER)),
        (i_call >= 0) & (calls == 0),
        *(called == certainty for certainty in (MARKED, OUTER, INNER)),
        (they_call >= 0) & (called == 0),
        candidate == mine(neighbours.called_by),
        (calls > 0) & latest,
        (called > 0) & later,
        them == addressed,
        (them == addressed) & latest,
        them == mine(neighbours.partner),
        near(neighbours.addressed) == me,
        near(neighbours.partner) == me,
        (near(neighbours.addressed) == addressed) & (addressed >= 0),
        same_call,
        same_call & same,
        both_call & ~same_call & same,
        was_answered,
        was_answered & latest,
        (them == then[:, :1]) | (them == then[:, 1:2]),
        them == mine(caller),
        overlap,
        overlap / np.sqrt(1 + 4 * near(messages.traits[:, LENGTH], 0)),
        overlap > 0.7,
    )
    values = np.empty((len(features) + 1, *shape), np.float32)
    for number, feature in enumerate(features):
        values[number] = feature
    values[:-1, :, 0] = 0  # the pair of a message and itself has the last feature only
    values[-1] = distance == 0
    return values, candidate >= mine(messages.first)


def _candidates(column: npt.NDArray[Any], start: int, end: int, missing: int) -> npt.NDArray[Any]:
    """Return a column's values at the candidates of the rows [start, end)."""
    reach = start - CANDIDATES + 1
    part = column[max(reach, 0) : end]
    if reach < 0:
        part = np.concatenate([np.full(-reach, missing, column.dtype), part])
    windows = np.lib.stride_tricks.sliding_window_view(part, CANDIDATES)
    return np.ascontiguousarray(windows[:, ::-1])


def _overlap(shared: SharedWords, start: int, end: int) -> Floats:
    begin, stop = np.searchsorted(shared.row, (start, end))
    at = (shared.row[begin:stop] - start) * CANDIDATES + shared.distance[begin:stop]
    size = (end - start) * CANDIDATES
    total = np.bincount(at, shared.weight[begin:stop], size)
    return total.astype(np.float32).reshape(-1, CANDIDATES)
