"""Quality of disentanglement, against annotations by people.

python benchmarks/disentangle.py FOLDER [--without names times] [--save FOLDER]
    [--weights FILE]

FOLDER is the `dev` or `test` split of the Ubuntu IRC corpus of Kummerfeld et al., "A
Large-Scale Corpus for Conversation Disentanglement" (ACL 2019, CC-BY 4.0, at
https://jkk.name/irc-disentanglement): NAME.ascii.txt, and NAME.annotation.txt with a line
"a b -" where message a answers message b ("a a -" where it starts a conversation).

The figures are those of section 4.3 there, as percentages: links right (precision,
recall, F), VI (100 less the scaled variation of information), one-to-one overlap, and
conversations of several messages that are exactly right; and messages per second from the
message table to links, on one core where OMP_NUM_THREADS and POLARS_MAX_THREADS are 1.
A notice (join, rename) is a conversation by itself, as it is in the corpus.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path

import numpy as np
import polars as pl

from myna.conversations import disentangle as disentangling
from myna.conversations.disentangle_features import TRAITS, MessageArrays, message_arrays
from myna.sources import ChatFile, Tally, irc

Links = dict[int, set[int]]
"""The messages that each message answers, by number in the file."""


@dataclass(frozen=True)
class Log:
    """A file of the corpus: all lines, the messages among them, and the annotated links."""

    name: str
    lines: pl.DataFrame
    messages: pl.DataFrame
    annotated: Links

    def answered(self, answers: np.ndarray) -> Links:
        """Convert predicted rows to links of the annotated messages."""
        found = {line: {line} for line in self.annotated}
        lines = self.messages["line"].to_numpy()
        for line, answer in zip(lines.tolist(), lines[answers].tolist(), strict=True):
            if line in found:
                found[line] = {answer}
        return found


def logs(folder: Path) -> list[Log]:
    """Read the files of a split of the corpus, in order."""
    return [_log(path) for path in sorted(folder.glob("*.annotation.txt"))]


def _log(path: Path) -> Log:
    marked: Links = defaultdict(set)
    for line in path.read_text("utf-8").splitlines():
        one, other = (int(number) for number in line.split()[:2])
        marked[max(one, other)].add(min(one, other))
    name = path.name.removesuffix(".annotation.txt")
    tally = Tally()
    lines = pl.concat(
        table
        for table in irc.read(ChatFile(path.with_name(f"{name}.ascii.txt")), tally)
        if isinstance(table, pl.DataFrame)
    ).with_row_index("line")
    assert not tally.skipped, f"{name}: lines are missing, so their numbers do not fit"
    return Log(name, lines, lines.filter(pl.col("kind") == "text"), dict(marked))


def regrouped(log: Log, sizes: Iterable[int]) -> pl.DataFrame:
    """Regroup annotated messages as stretches of so many whole conversations each."""
    stretch: dict[int, int] = {}
    counts = iter(sizes)
    number, left = -1, 0
    for cluster in sorted(_clusters(log.annotated), key=min):
        if left == 0:
            number, left = number + 1, next(counts)
        stretch.update(dict.fromkeys(cluster, number))
        left -= 1
    lines = {"line": list(stretch), "conversation": list(stretch.values())}
    schema = {"line": log.messages.schema["line"], "conversation": pl.Int64}
    found = log.messages.join(pl.DataFrame(lines, schema=schema), on="line")
    return found.sort("conversation", "line")


def kept_whole(files: Iterable[Log], weights: disentangling.Weights | None = None) -> float:
    """Measure how much stays together where nothing is tangled, as a percentage.

    Each annotated conversation of at least 4 people is a stretch by itself; the figure is the
    share of its messages in the largest predicted conversation.
    """
    shares: list[float] = []
    for file in files:
        messages = regrouped(file, repeat(1)).filter(
            pl.col("author_id").n_unique().over("conversation") >= 4
        )
        if messages.is_empty():
            continue
        answers = disentangling.best_links(message_arrays(messages), weights)
        found = messages.with_columns(split=pl.Series(disentangling.roots(answers)))
        sizes = found.group_by("conversation", "split").len()
        largest = sizes.group_by("conversation").agg(pl.col("len").max() / pl.col("len").sum())
        shares += largest["len"].to_list()
    return 100 * float(np.mean(shares))


def to_arrays(messages: pl.DataFrame, without: Iterable[str] = ()) -> MessageArrays:
    """Convert a log to arrays, without times or names if asked."""
    found = message_arrays(messages.drop("sent_at") if "times" in without else messages)
    if "names" not in without:
        return found
    stranger = TRAITS.index("calls a stranger")
    return replace(
        found,
        called=np.full_like(found.called, -1),
        certainty=np.zeros_like(found.certainty),
        traits=np.where(np.arange(len(TRAITS)) == stranger, 0, found.traits),
    )


def score(marked: Mapping[str, Links], found: Mapping[str, Links]) -> dict[str, float]:
    """Compute the figures, as percentages."""
    links = Counter[str]()
    exact = Counter[str]()
    together = 0
    cells: list[tuple[int, int, int]] = []
    for name, gold in marked.items():
        ours = found[name]
        links["right"] += sum(len(gold[line] & ours[line]) for line in gold)
        links["found"] += sum(len(ours[line]) for line in gold)
        links["marked"] += sum(map(len, gold.values()))
        theirs, mine = _clusters(gold), _clusters(ours, only=gold)
        several = {frozenset(one) for one in theirs if len(one) > 1}
        exact["right"] += sum(frozenset(one) in several for one in mine)
        exact["found"] += sum(len(one) > 1 for one in mine)
        exact["marked"] += len(several)
        of = {line: number for number, one in enumerate(theirs) for line in one}
        table = np.zeros((len(mine), len(theirs)))
        for row, one in enumerate(mine):
            for number, count in Counter(of[line] for line in one).items():
                table[row, number] = count
                cells.append((count, len(one), len(theirs[number])))
        together += int(_best_pairing(table))
    total = sum(count for count, _, _ in cells)
    variation = sum(n / total * math.log2(a * b / n**2) for n, a, b in cells) / math.log2(total)
    return {
        **{f"link {key}": value for key, value in _fractions(links).items()},
        "VI": 100 - 100 * variation,
        "one-to-one": 100 * together / total,
        **{f"exact {key}": value for key, value in _fractions(exact).items()},
    }


def _fractions(count: Counter[str]) -> dict[str, float]:
    return {
        "P": 100 * count["right"] / max(1, count["found"]),
        "R": 100 * count["right"] / max(1, count["marked"]),
        "F": 200 * count["right"] / max(1, count["found"] + count["marked"]),
    }


def _clusters(links: Links, only: Iterable[int] | None = None) -> list[set[int]]:
    """Group the annotated messages that are connected by links."""
    parents: dict[int, int] = {}

    def root(line: int) -> int:
        while (above := parents.setdefault(line, line)) != line:
            parents[line] = parents[above]
            line = above
        return line

    for line, answers in links.items():
        for answer in answers:
            parents[root(line)] = root(answer)
    clusters: dict[int, set[int]] = defaultdict(set)
    for line in links if only is None else only:
        clusters[root(line)].add(line)
    return list(clusters.values())


def _best_pairing(table: np.ndarray) -> float:
    """Return the largest sum of pairs of one row and one column (Hungarian method)."""
    if table.shape[0] > table.shape[1]:
        table = table.T
    rows, columns = table.shape
    costs = np.zeros((rows + 1, columns + 1))
    costs[1:, 1:] = -table
    up, down = np.zeros(rows + 1), np.zeros(columns + 1)
    owner = np.zeros(columns + 1, int)
    for row in range(1, rows + 1):
        owner[0], column = row, 0
        least, came = np.full(columns + 1, np.inf), np.zeros(columns + 1, int)
        used = np.zeros(columns + 1, bool)
        while owner[column]:
            used[column] = True
            slack = costs[owner[column]] - up[owner[column]] - down
            better = ~used & (slack < least)
            least[better], came[better] = slack[better], column
            step = np.where(used, np.inf, least)
            step[0] = np.inf
            nearest = int(step.argmin())
            by = step[nearest]
            up[owner[used]] += by
            down[used] -= by
            least[~used] -= by
            column = nearest
        while column:
            owner[column], column = owner[came[column]], came[column]
    return float(sum(table[owner[c] - 1, c - 1] for c in range(1, columns + 1) if owner[c]))


def main() -> None:
    """Disentangle, score, print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--without", nargs="+", choices=["names", "times"], default=[])
    parser.add_argument("--save", type=Path, help="a folder for the links, in the corpus's form")
    parser.add_argument("--weights", type=Path, default=disentangling.WEIGHTS_FILE)
    options = parser.parse_args()
    if options.folder is None:
        print("skipped: give the folder of a part of the corpus (see --help)")
        return
    files = logs(options.folder)
    weights = disentangling.read_weights(options.weights)
    found: dict[str, Links] = {}
    seconds = 0.0
    for file in files:
        began = time.perf_counter()
        answers = disentangling.best_links(to_arrays(file.messages, options.without), weights)
        seconds += time.perf_counter() - began
        found[file.name] = file.answered(answers)
    if options.save:
        options.save.mkdir(parents=True, exist_ok=True)
        for name, links in found.items():
            lines = (f"{line} {answer} -\n" for line, [answer] in sorted(links.items()))
            (options.save / f"{name}.annotation.txt").write_text("".join(lines), "utf-8")
    figures = score({file.name: file.annotated for file in files}, found)
    speed = sum(file.messages.height for file in files) / seconds
    print(
        json.dumps(
            {
                "messages": sum(len(file.annotated) for file in files),
                **{name: round(value, 1) for name, value in figures.items()},
                "kept whole": round(kept_whole(files, weights), 1),
                "messages/s": round(speed),
            }
        )
    )


if __name__ == "__main__":
    main()
