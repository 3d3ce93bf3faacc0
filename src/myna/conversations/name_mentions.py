"""Name mentions: the people that a message names, addresses or calls.

`named_people` searches one message for the names of people present. `split_words`,
`find_calls` and `strongest_calls` work on tables of messages, for disentanglement: a name
counts where the platform marks it, and in plain text: the display name, one of its words, or
its start at the start of a line ("sam: …" calls Samantha). Of several people with that name,
the last to write is meant.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

Ints = npt.NDArray[np.int64]

MAX_CALLED = 3
"""People that one message calls, at most."""

MARKED, OUTER, INNER = 3, 2, 1
"""Certainty that a word is a name: marked as one, first or last word of the text, inside it."""

MIN_UNMARKED_CHARS = 3
"""Characters of a name that counts without a mark."""

MIN_USUAL_TIMES = 5
"""Occurrences of an everyday word that is also somebody's name."""

MAX_NAMESAKES = 8
"""A name that more people of a stretch share ("Deleted User") calls none of them."""

# Nicknames may contain brackets and the like; scripts without spaces are cut into pairs.
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}"
_NAME = r"\w\[\]{}\\^`|\-"
_WORD = rf"@?[{_NAME}&&[^{_UNSPACED}]]+|[{_UNSPACED}]{{1,2}}"
_OPENING = rf"^[\s@]*([{_NAME}]+) ?[:,]"
_FRINGE = "_`^|-0123456789"


MIN_NAME_CHARS = 2
"""Characters of a name that `named_people` finds in plain text."""

_EVERYONE = re.compile(
    r"\A\W*(?:(?:hi|hey|hello|ok|so|well)\W+)?"
    r"(?:all|everyone|everybody|guys|folks|y'all|you all)\b|@(?:everyone|here|all)\b",
    re.IGNORECASE,
)


def named_people(text: str, people: Sequence[str], *, addressed: bool = False) -> list[str]:
    """Return the people that a message names, in its order.

    A name counts whole, or by a word of it that is in no other name.

    Args:
        text: the message.
        people: the names to search for.
        addressed: count only people that the message addresses: by an @ before the name, by
            the name at the start of the message (alone, behind one word or among several) with
            punctuation behind it, or at the end behind a comma. Otherwise a name counts
            anywhere.
    """
    names = _search_names(people, any_length=addressed)
    if not names:
        return []
    pattern = "|".join(re.escape(n) for n in sorted(names, key=len, reverse=True))
    folded = text.strip().casefold()
    matches = []
    for piece in _addressing_pieces(folded, pattern) if addressed else (folded,):
        matches += re.findall(rf"(?<!\w)(?:{pattern})(?!\w)", piece)
    return list(dict.fromkeys(names[match] for match in matches))


def _search_names(people: Sequence[str], *, any_length: bool) -> dict[str, str]:
    """Map names, and words that are in one name only, to people."""
    words = {p: {*p.casefold().split(), *re.findall(r"\w+", p.casefold())} for p in people}
    owners = Counter(word for own in words.values() for word in own)
    unique_words = {word: p for p, own in words.items() for word in own if owners[word] == 1}
    full_names = {p.casefold(): p for p in people}
    return {
        name: person
        for name, person in (unique_words | full_names).items()
        if len(name) >= MIN_NAME_CHARS or (any_length and name in full_names)
    }


def _addressing_pieces(text: str, name: str) -> list[str]:
    """Return the pieces of a message in which a name (a pattern) addresses somebody."""
    several = rf"(?:{name})(?:(?: ?, ?| and | & | und | et | y )(?:{name}))*"
    opening = re.match(rf"(?:\w{{1,8}},? )?({several}) ?(?:[,:;!?.–-]|\Z)", text)
    closing = re.search(rf", ?({several}) ?[?!.…]*\Z", text)
    marked = re.findall(rf"(?<!\w)@({name})(?!\w)", text)
    return [*marked, *(match[1] for match in (opening, closing) if match)]


def names_everyone(text: str) -> bool:
    """True if a message addresses everyone."""
    return _EVERYONE.search(text) is not None


def split_words(rows: pl.DataFrame) -> pl.DataFrame:
    """Split messages into words, in order: `row`, `stretch`, `word` and `certainty`.

    `certainty` is that of a name, if the word is one at all.
    """
    text = pl.col("text").str.to_lowercase()
    words = (
        rows.select(
            "row", "stretch", word=text.str.extract_all(_WORD), opening=text.str.extract(_OPENING)
        )
        .explode("word")
        .drop_nulls("word")
    )
    index = pl.int_range(pl.len()).over("row")
    opens = (index == 0) & (pl.col("word").str.strip_prefix("@") == pl.col("opening"))
    outer = (index == 0) | (index == pl.len().over("row") - 1)
    return (
        words.with_columns(
            certainty=pl.when(pl.col("word").str.starts_with("@") | opens.fill_null(False))
            .then(MARKED)
            .when(outer)
            .then(OUTER)
            .otherwise(INNER)
            .cast(pl.Int8)
        )
        .with_columns(pl.col("word").str.strip_prefix("@"))
        .filter(pl.col("word") != "")
        .drop("opening")
    )


def find_calls(
    rows: pl.DataFrame, words: pl.DataFrame, people: Ints
) -> tuple[pl.DataFrame, pl.Series]:
    """Find the people called: (`row`, `number`, `certainty`), and a mask of words that are names.

    Args:
        rows: the messages, with `row`, `stretch`, `number` (the author's) and `target`.
        words: from `split_words`.
        people: the column `number` as an array.
    """
    names = _names(rows)
    plain = pl.col("word").str.strip_chars(_FRINGE)
    listed = words.with_row_index("index")
    exact = listed.join(
        names.select("stretch", "number", word="name").filter(_few("stretch", "word")),
        on=["stretch", "word"],
    )
    rest = listed.join(names, left_on=["stretch", "word"], right_on=["stretch", "name"], how="anti")
    bare = (
        rest.with_columns(plain=plain)
        .filter(pl.col("plain").str.len_chars() >= MIN_UNMARKED_CHARS)
        .join(
            names.filter(pl.col("bare").str.len_chars() >= MIN_UNMARKED_CHARS)
            .select("stretch", "number", plain="bare")
            .unique()
            .filter(_few("stretch", "plain")),
            on=["stretch", "plain"],
        )
        .select(exact.columns)
    )
    abbreviated = _match_beginnings(
        rest.filter(pl.col("certainty") == MARKED).join(bare, on="index", how="anti"), names
    ).select(exact.columns)
    matches = pl.concat([exact, bare, abbreviated]).filter(
        (pl.col("certainty") == MARKED) | (pl.col("word").str.len_chars() >= MIN_UNMARKED_CHARS)
    )
    usual = words.group_by("word").agg(
        usual=(pl.len() >= MIN_USUAL_TIMES) & ((pl.col("certainty") >= OUTER).mean() < 0.3)
    )
    is_meant = ~pl.col("usual") | (pl.col("certainty") == MARKED)
    matches = matches.join(usual, on="word").filter(is_meant)
    matches = matches.with_columns(age=pl.Series(_messages_since(matches, people), dtype=pl.Int64))
    matches = matches.sort("index", "age", "number")
    matches = matches.unique("index", keep="first", maintain_order=True)
    is_name = np.zeros(words.height, bool)
    is_name[matches["index"].to_numpy()] = True
    named = matches.select("row", "number", "certainty", order="index")
    calls = pl.concat([_platform_calls(rows), named])
    own = pl.DataFrame({"row": rows["row"], "own": people})
    calls = calls.join(own, on="row").filter(pl.col("number") != pl.col("own")).drop("own")
    return calls, pl.Series(is_name)


def strongest_calls(calls: pl.DataFrame, length: int) -> tuple[Ints, npt.NDArray[np.int8]]:
    """Return up to `MAX_CALLED` people that each message calls, with certainty; -1: none."""
    called = np.full((length, MAX_CALLED), -1, np.int64)
    certainty = np.zeros((length, MAX_CALLED), np.int8)
    best = (
        calls.sort("row", -pl.col("certainty").cast(pl.Int64), "order")
        .unique(["row", "number"], keep="first", maintain_order=True)
        .with_columns(rank=pl.int_range(pl.len()).over("row"))
        .filter(pl.col("rank") < MAX_CALLED)
    )
    at = best["row"].to_numpy(), best["rank"].to_numpy()
    called[at], certainty[at] = best["number"].to_numpy(), best["certainty"].to_numpy()
    return called, certainty


def _names(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the words of names: `stretch`, `number`, `name` and `bare`, stripped of `_FRINGE`."""
    columns = [pl.col(c).str.to_lowercase() for c in ("author", "handle") if c in rows.columns]
    names = rows.select("stretch", "number", name=pl.concat_list(columns)).unique()
    names = names.explode("name").drop_nulls("name")
    return (
        names.with_columns(pl.col("name").str.extract_all(_WORD))
        .explode("name")
        .drop_nulls("name")
        .with_columns(pl.col("name").str.strip_prefix("@"))
        .filter(pl.col("name") != "")
        .unique(maintain_order=True)
        .with_columns(bare=pl.col("name").str.strip_chars(_FRINGE))
    )


def _few(*keys: str) -> pl.Expr:
    """Return an expression: true for names of few people. More would fill the memory with pairs."""
    return pl.len().over(keys) <= MAX_NAMESAKES


def _match_beginnings(words: pl.DataFrame, names: pl.DataFrame) -> pl.DataFrame:
    """Match words with the names that begin with them."""
    long = words.filter(pl.col("word").str.len_chars() >= MIN_UNMARKED_CHARS)
    key = pl.col("word").str.slice(0, MIN_UNMARKED_CHARS)
    return (
        long.with_columns(key=key)
        .join(
            names.with_columns(key=pl.col("name").str.slice(0, MIN_UNMARKED_CHARS)).filter(
                _few("stretch", "key")
            ),
            on=["stretch", "key"],
        )
        .filter(pl.col("name").str.starts_with(pl.col("word")))
    )


def _platform_calls(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the mentions and replies that the platform marks."""
    none = pl.DataFrame(
        schema={"row": pl.UInt32, "number": pl.Int64, "certainty": pl.Int8, "order": pl.UInt32}
    )
    tables = [none]
    if "mentions" in rows.columns:
        mentions = rows.filter(pl.col("mentions").list.len() > 0).select(
            "row", "stretch", account=pl.col("mentions").list.eval(pl.element().struct[0])
        )
        accounts = rows.select("stretch", "number", account="author_id").unique()
        tables.append(
            _marked(mentions.explode("account").join(accounts, on=["stretch", "account"]))
        )
    replies = rows.filter(pl.col("target") >= 0).select("row", "target")
    authors = rows.select("number", target=pl.col("row").cast(pl.Int64))
    tables.append(_marked(replies.join(authors, on="target")))
    return pl.concat(tables)


def _marked(calls: pl.DataFrame) -> pl.DataFrame:
    certainty, order = pl.lit(MARKED, pl.Int8), pl.lit(0, pl.UInt32)
    return calls.select("row", "number", certainty=certainty, order=order)


def _messages_since(matches: pl.DataFrame, people: Ints) -> Ints:
    """Count messages since the called person's last one; people without one come last."""
    length = len(people)
    spoke = np.sort(people * (length + 1) + np.arange(length))
    number, row = matches["number"].to_numpy(), matches["row"].to_numpy().astype(np.int64)
    at = np.searchsorted(spoke, number * (length + 1) + row)
    before = spoke[np.maximum(at - 1, 0)]
    ago = number * (length + 1) + row - before
    has_spoken = (at > 0) & (before // (length + 1) == number)
    return np.where(has_spoken, ago, length + 1)
