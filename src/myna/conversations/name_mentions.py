"""Names of people in messages: whom a message speaks of, speaks to, or calls.

`named` looks at one message as it comes, among the people who are there. `words`, `calls`
and `strongest` look at tables of messages, for who answers whom: a name is found where a
platform marks it, and in plain text: the name shown, one of its words, or its beginning
where a line opens with it ("sam: …" calls Samantha). Of several people with that name it
is whoever spoke last.
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
"""People that one message may call."""

MARKED, OUTER, INNER = 3, 2, 1
"""How surely a name is meant: marked as one, first or last word of the text, inside it."""

MIN_UNMARKED_CHARS = 3
"""Characters of a name that is looked for where nothing marks it."""

MIN_USUAL_TIMES = 5
"""Times that a word is said before it can be a usual word that is also somebody's name."""

MAX_NAMESAKES = 8
"""A name that more people of a stretch have ("Deleted User") calls none of them."""

# Nicks have brackets and the like inside; scripts without blanks are cut into pairs.
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}"
_NAME = r"\w\[\]{}\\^`|\-"
_WORD = rf"@?[{_NAME}&&[^{_UNSPACED}]]+|[{_UNSPACED}]{{1,2}}"
_OPENING = rf"^[\s@]*([{_NAME}]+) ?[:,]"
_FRINGE = "_`^|-0123456789"


MIN_NAME_CHARS = 2
"""Characters of a name that `named` finds without being told that it is one."""

_EVERYONE = re.compile(
    r"\A\W*(?:(?:hi|hey|hello|ok|so|well)\W+)?"
    r"(?:all|everyone|everybody|guys|folks|y'all|you all)\b|@(?:everyone|here|all)\b",
    re.IGNORECASE,
)


def named(text: str, people: Sequence[str], *, addressed: bool = False) -> list[str]:
    """Those of `people` whom a message names, in the order in which it does.

    A name counts whole, or by any word of it that nobody else here has.

    Args:
        text: the message.
        people: the names of those who may be meant.
        addressed: count only those to whom the message speaks: where an @ stands in front
            of the name, where the message begins with it (or with a word and it, or with
            several names) and a sign follows, and where it closes the message behind a
            comma. Otherwise a name counts wherever it stands.
    """
    names = _callable(people, any_length=addressed)
    if not names:
        return []
    name = "|".join(re.escape(n) for n in sorted(names, key=len, reverse=True))
    said = text.strip().casefold()
    found = []
    for place in _addressing(said, name) if addressed else (said,):
        found += re.findall(rf"(?<!\w)(?:{name})(?!\w)", place)
    return list(dict.fromkeys(names[each] for each in found))


def _callable(people: Sequence[str], *, any_length: bool) -> dict[str, str]:
    """People by what calls them: their names, and the words of these that only they have."""
    words = {p: {*p.casefold().split(), *re.findall(r"\w+", p.casefold())} for p in people}
    owners = Counter(word for own in words.values() for word in own)
    parts = {word: p for p, own in words.items() for word in own if owners[word] == 1}
    wholes = {p.casefold(): p for p in people}
    return {
        name: person
        for name, person in (parts | wholes).items()
        if len(name) >= MIN_NAME_CHARS or (any_length and name in wholes)
    }


def _addressing(said: str, name: str) -> list[str]:
    """The parts of a message in which a name (a pattern) means that it is for that person."""
    several = rf"(?:{name})(?:(?: ?, ?| and | & | und | et | y )(?:{name}))*"
    opening = re.match(rf"(?:\w{{1,8}},? )?({several}) ?(?:[,:;!?.–-]|\Z)", said)
    closing = re.search(rf", ?({several}) ?[?!.…]*\Z", said)
    marked = re.findall(rf"(?<!\w)@({name})(?!\w)", said)
    return [*marked, *(place[1] for place in (opening, closing) if place)]


def names_everyone(text: str) -> bool:
    """True if a message speaks to everyone who is there."""
    return _EVERYONE.search(text) is not None


def words(rows: pl.DataFrame) -> pl.DataFrame:
    """A row for each word, in order: `row`, `stretch`, `word` and `surely`.

    `surely` is how surely the word is a name, if it is one at all.
    """
    text = pl.col("text").str.to_lowercase()
    found = (
        rows.select(
            "row", "stretch", word=text.str.extract_all(_WORD), opening=text.str.extract(_OPENING)
        )
        .explode("word")
        .drop_nulls("word")
    )
    place = pl.int_range(pl.len()).over("row")
    opens = (place == 0) & (pl.col("word").str.strip_prefix("@") == pl.col("opening"))
    outer = (place == 0) | (place == pl.len().over("row") - 1)
    return (
        found.with_columns(
            surely=pl.when(pl.col("word").str.starts_with("@") | opens.fill_null(False))
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


def calls(rows: pl.DataFrame, said: pl.DataFrame, people: Ints) -> tuple[pl.DataFrame, pl.Series]:
    """People who are called: (`row`, `number`, `surely`), and which rows of `said` are names.

    Args:
        rows: the messages, with `row`, `stretch`, `number` (the author's) and `target`.
        said: the `words` of them.
        people: the column `number` as an array.
    """
    names = _names(rows)
    plain = pl.col("word").str.strip_chars(_FRINGE)
    listed = said.with_row_index("said")
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
    begun = _begun(
        rest.filter(pl.col("surely") == MARKED).join(bare, on="said", how="anti"), names
    ).select(exact.columns)
    met = pl.concat([exact, bare, begun]).filter(
        (pl.col("surely") == MARKED) | (pl.col("word").str.len_chars() >= MIN_UNMARKED_CHARS)
    )
    usual = said.group_by("word").agg(
        usual=(pl.len() >= MIN_USUAL_TIMES) & ((pl.col("surely") >= OUTER).mean() < 0.3)
    )
    met = met.join(usual, on="word").filter(~pl.col("usual") | (pl.col("surely") == MARKED))
    met = met.with_columns(near=pl.Series(_nearness(met, people), dtype=pl.Int64))
    met = met.sort("said", "near", "number").unique("said", keep="first", maintain_order=True)
    is_name = np.zeros(said.height, bool)
    is_name[met["said"].to_numpy()] = True
    marked = _mentions(rows)
    found = pl.concat([marked, met.select("row", "number", "surely", order="said")])
    own = pl.DataFrame({"row": rows["row"], "own": people})
    found = found.join(own, on="row").filter(pl.col("number") != pl.col("own")).drop("own")
    return found, pl.Series(is_name)


def strongest(found: pl.DataFrame, length: int) -> tuple[Ints, npt.NDArray[np.int8]]:
    """Up to `MAX_CALLED` people whom each message calls, the surest first, and how surely.

    -1 stands for nobody.
    """
    called = np.full((length, MAX_CALLED), -1, np.int64)
    surely = np.zeros((length, MAX_CALLED), np.int8)
    best = (
        found.sort("row", -pl.col("surely").cast(pl.Int64), "order")
        .unique(["row", "number"], keep="first", maintain_order=True)
        .with_columns(place=pl.int_range(pl.len()).over("row"))
        .filter(pl.col("place") < MAX_CALLED)
    )
    at = best["row"].to_numpy(), best["place"].to_numpy()
    called[at], surely[at] = best["number"].to_numpy(), best["surely"].to_numpy()
    return called, surely


def _names(rows: pl.DataFrame) -> pl.DataFrame:
    """The names of people: `stretch`, `number`, `name` and `bare`, the name without fringe."""
    shown = [pl.col(c).str.to_lowercase() for c in ("author", "handle") if c in rows.columns]
    names = rows.select("stretch", "number", name=pl.concat_list(shown)).unique()
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
    """Few enough have the name. More would mean nothing, and their pairs fill the memory."""
    return pl.len().over(keys) <= MAX_NAMESAKES


def _begun(opened: pl.DataFrame, names: pl.DataFrame) -> pl.DataFrame:
    """The words that somebody's name begins with."""
    wanted = opened.filter(pl.col("word").str.len_chars() >= MIN_UNMARKED_CHARS)
    key = pl.col("word").str.slice(0, MIN_UNMARKED_CHARS)
    return (
        wanted.with_columns(key=key)
        .join(
            names.with_columns(key=pl.col("name").str.slice(0, MIN_UNMARKED_CHARS)).filter(
                _few("stretch", "key")
            ),
            on=["stretch", "key"],
        )
        .filter(pl.col("name").str.starts_with(pl.col("word")))
    )


def _mentions(rows: pl.DataFrame) -> pl.DataFrame:
    """People whom a message mentions or answers, by the platform's own word."""
    none = pl.DataFrame(
        schema={"row": pl.UInt32, "number": pl.Int64, "surely": pl.Int8, "order": pl.UInt32}
    )
    parts = [none]
    if "mentions" in rows.columns:
        told = rows.filter(pl.col("mentions").list.len() > 0).select(
            "row", "stretch", account=pl.col("mentions").list.eval(pl.element().struct[0])
        )
        accounts = rows.select("stretch", "number", account="author_id").unique()
        parts.append(_marked(told.explode("account").join(accounts, on=["stretch", "account"])))
    answered = rows.filter(pl.col("target") >= 0).select("row", "target")
    authors = rows.select("number", target=pl.col("row").cast(pl.Int64))
    parts.append(_marked(answered.join(authors, on="target")))
    return pl.concat(parts)


def _marked(found: pl.DataFrame) -> pl.DataFrame:
    return found.select(
        "row",
        "number",
        surely=pl.lit(MARKED, pl.Int8),
        order=pl.lit(0, pl.UInt32),
    )


def _nearness(met: pl.DataFrame, people: Ints) -> Ints:
    """Messages since the person called spoke last; those who have not yet come after."""
    length = len(people)
    spoke = np.sort(people * (length + 1) + np.arange(length))
    number, row = met["number"].to_numpy(), met["row"].to_numpy().astype(np.int64)
    at = np.searchsorted(spoke, number * (length + 1) + row)
    before = spoke[np.maximum(at - 1, 0)]
    ago = number * (length + 1) + row - before
    has_spoken = (at > 0) & (before // (length + 1) == number)
    return np.where(has_spoken, ago, length + 1)
