"""Features of style: figures of a turn, and the distance between two sets of them."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from myna.cleaning.phrases import LAUGHTER
from myna.evaluation.copying import words_of

Values = list[Any]
"""Figures of a feature, one for each message or turn; or words."""

MIN_TYPO_LETTERS = 4
TYPO_FACTOR = 10
"""A typo is so many times rarer in the chats than the word that it is one edit away from."""

_EMOJI = re.compile(
    "[\U0001f1e6-\U0001faff\u2600-\u27bf\u2b50\u2b55]|:[a-z0-9_]{2,32}:"
    r"|(?<![\w:])(?:[:;=8x][-']?[)(DPpOo3/*]+|<3)(?!\w)"
)
_LAUGHING = (
    "lo+l+z?", "lu+l+", "lmf?ao+", "rofl", "roflmao", "kek", "mdr+", "ptdr+", "lachflash",
    "л+о+л+", "к+е+к+", "草", "笑", *(p for p in LAUGHTER if p[0] not in "253w"),
)  # fmt: skip
"""Laughter among other words: without digits, which are numbers there, and w, a link's."""
_LAUGHTER = re.compile(rf"(?i)(?<!\w)(?:{'|'.join(_LAUGHING)})(?!\w)")
_GREETINGS = (
    "hi+", "hello+", "hey+a?", "hiya", "yo+", "sup", "howdy", "good (?:morning|afternoon|evening)",
    "morning", "hallo", "moin", "servus", "gr(?:ü|ue?)(?:ß|ss) (?:gott|dich|euch)",
    "guten (?:morgen|tag|abend)", "salut", "coucou", "bonjour", "bonsoir", "hola", "buen[oa]s",
    "oi+", "ol(?:á|a)", "bom dia", "boa (?:tarde|noite)", "ciao", "buongiorno", "buonasera",
    "hoi", "goede(?:morgen|middag|navond)", "hej+", "hei", "god morgon", "cze(?:ś|s)(?:ć|c)",
    "dzie(?:ń|n) dobry", "ahoj", "szia", "привет", "здравствуйте", "доброе утро", "добрый день",
    "merhaba", "selam", "γεια", "halo", "xin chào", "שלום", "مرحبا", "السلام عليكم", "سلام",
    "नमस्ते", "namaste",
)  # fmt: skip
_UNSPACED_GREETINGS = "おはよう|こんにち[はわ]|こんばん[はわ]|안녕|你好|您好|早安|早上好|สวัสดี|หวัดดี"
_GREETING = re.compile(rf"(?i)^\W*(?:(?:{'|'.join(_GREETINGS)})(?!\w)|{_UNSPACED_GREETINGS})")


@dataclass(frozen=True)
class Feature:
    """A feature of style.

    Attributes:
        name: of its measure.
        title: heading.
        unit: of its mean.
        definition: of its mean.
        figures: the values of a turn.
        distance: between two sets of values.
        lower: words for the system line, or a setting, where the clone has too much;
            {name} is the person, {real} the real mean.
        higher: the same where it has too little.
    """

    name: str
    title: str
    unit: Literal["share", "count"]
    definition: str
    figures: Callable[[str], Values]
    lower: str
    higher: str
    distance: Callable[[Values, Values], float]


class Spelling:
    """The words of a chat, and likely typos.

    A word is a likely typo if it has at least four letters, is no whole token of the base's
    tokenizer, and the chat has a word at least ten times as often that is one edit away
    (insertion, deletion, substitution or transposition). A proxy: no dictionary knows a
    group's own words, and habits such as "dont" that the tokenizer knows do not count.

    Args:
        training: turns of everybody in the train split.
        is_token: tells of a word if it is one token.
    """

    def __init__(self, training: Iterable[str], is_token: Callable[[str], bool]) -> None:
        self._counts = Counter(word for text in training for word in words_of(text))
        self._letters = sorted({letter for word in self._counts for letter in word})[:64]
        self._is_token = is_token
        self._known: dict[str, bool] = {}

    def is_typo(self, word: str) -> bool:
        """True for a likely typo, in lower case."""
        if word not in self._known:
            self._known[word] = self._looks_wrong(word)
        return self._known[word]

    def _looks_wrong(self, word: str) -> bool:
        if len(word) < MIN_TYPO_LETTERS or not word.isalpha() or self._is_token(word):
            return False
        often = TYPO_FACTOR * max(self._counts[word], 1)
        return any(self._counts[near] >= often for near in self._near(word))

    def _near(self, word: str) -> Iterable[str]:
        for i in range(len(word) + 1):
            head, tail = word[:i], word[i:]
            yield head + tail[1:]
            yield head + tail[1:2] + tail[:1] + tail[2:]
            for letter in self._letters:
                yield head + letter + tail
                yield head + letter + tail[1:]


def wasserstein(one: Values, other: Values) -> float:
    """The Wasserstein-1 distance of two samples, in standard deviations of both together.

    The area between their distribution functions (Vaserstein 1969); 0 where all are equal.
    """
    a, b = np.sort(np.asarray(one, float)), np.sort(np.asarray(other, float))
    if not len(a) or not len(b):
        return float("nan")
    every = np.sort(np.concatenate([a, b]))
    deviation = float(every.std())
    if deviation == 0:
        return 0.0
    below = np.abs(
        np.searchsorted(a, every[:-1], "right") / len(a)
        - np.searchsorted(b, every[:-1], "right") / len(b)
    )
    return float((below * np.diff(every)).sum()) / deviation


def jensen_shannon(one: Values, other: Values) -> float:
    """The Jensen-Shannon distance of two lists of words, from 0 to 1.

    The square root of the divergence in bits (Endres & Schindelin 2003). It grows as texts
    get shorter, so both are cut to equally many words.
    """
    size = min(len(one), len(other))
    if not size:
        return float("nan")
    a, b = Counter(one[:size]), Counter(other[:size])
    p, q = np.array([(a[word], b[word]) for word in a | b], float).T / size
    middle = (p + q) / 2

    def divergence(r: Any) -> float:
        some = r > 0
        return float((r[some] * np.log2(r[some] / middle[some])).sum())

    return float(np.sqrt(max((divergence(p) + divergence(q)) / 2, 0.0)))


def features(spelling: Spelling) -> list[Feature]:
    """All features that have a mean, by figures of messages or turns."""

    def messages(of: Callable[[str], float]) -> Callable[[str], Values]:
        return lambda turn: [of(line) for line in turn.split("\n")]

    def typos(turn: str) -> Values:
        return [
            sum(map(spelling.is_typo, words)) / len(words)
            for line in turn.split("\n")
            if (words := words_of(line))
        ]

    entries: Sequence[tuple[str, str, Any, str, Callable[[str], Values], str, str]] = (
        (
            *("message_length", "Characters a message", "count"),
            "mean number of characters of a message",
            messages(lambda line: float(len(line))),
            "system line: “{name} writes short messages, about {real} characters”; or lower "
            "chat.max_new_tokens",
            "system line: “{name} writes long messages, about {real} characters”; or raise "
            "chat.max_new_tokens if replies are cut",
        ),
        (
            *("messages_per_turn", "Messages a turn", "count"),
            "mean number of messages that a person sends before somebody else speaks",
            lambda turn: [float(len(turn.split("\n")))],
            "system line: “{name} sends one message at a time”; or lower chat.temperature",
            "system line: “{name} sends several short messages in a row, about {real}”",
        ),
        (
            *("emoji", "Emoji a message", "count"),
            "mean number of emoji and emoticons in a message",
            messages(lambda line: float(len(_EMOJI.findall(line)))),
            "system line: “{name} hardly uses emoji”",
            "system line: “{name} uses emoji, about {real} a message”",
        ),
        (
            *("capitals", "Capital letters", "share"),
            "share of capitals among the letters of a message",
            _capitals,
            "system line: “{name} writes in lower case”",
            "system line: “{name} begins sentences and names with capitals”",
        ),
        (
            *("punctuation", "Punctuation marks", "share"),
            "share of punctuation marks among the characters of a message",
            messages(_punctuation),
            "system line: “{name} leaves out full stops and commas”",
            "system line: “{name} uses full stops and commas”",
        ),
        (
            *("typos", "Likely typos", "share"),
            "share of words that are likely typos: no whole token of the base, and one edit away "
            "from a word that the chats have at least ten times as often (a proxy)",
            typos,
            "lower chat.temperature, or raise chat.min_p",
            "raise chat.temperature, or set rules.repair to false before `myna prepare`",
        ),
        (
            *("laughter", "Messages with laughter", "share"),
            "share of messages with laughter, such as haha, lol, jaja or ㅋㅋ",
            messages(lambda line: float(bool(_LAUGHTER.search(line)))),
            "system line: “{name} hardly laughs”",
            'rules.non-response = "keep", so that messages of nothing but laughter are trained',
        ),
        (
            *("greetings", "Turns that greet", "share"),
            "share of turns that begin with a greeting",
            lambda turn: [float(bool(_GREETING.match(turn)))],
            "system line: “{name} comes straight to the point”",
            "system line: “{name} says hello first”",
        ),
    )
    return [
        Feature(name, title, unit, definition, figures, lower, higher, wasserstein)
        for name, title, unit, definition, figures, lower, higher in entries
    ]


VOCABULARY = Feature(
    "vocabulary",
    "Choice of words",
    "share",
    "words in lower case",
    words_of,
    "train longer: train.budget or train.num_train_epochs; or lower chat.temperature",
    "train longer: train.budget or train.num_train_epochs; or raise chat.temperature",
    jensen_shannon,
)


def _capitals(turn: str) -> Values:
    return [
        sum(map(str.isupper, letters)) / len(letters)
        for line in turn.split("\n")
        if (letters := [character for character in line if character.isalpha()])
    ]


def _punctuation(line: str) -> float:
    marks = sum(unicodedata.category(character).startswith("P") for character in line)
    return marks / max(len(line), 1)
