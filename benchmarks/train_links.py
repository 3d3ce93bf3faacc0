"""Trains the network that says which message each one answers.

python benchmarks/train_links.py FOLDER [--out src/myna/conversations/links.npz] [--seed 0]

FOLDER is the `train` part of the Ubuntu IRC corpus of Kummerfeld et al., "A Large-Scale
Corpus for Conversation Disentanglement" (ACL 2019, CC-BY 4.0, at
https://jkk.name/irc-disentanglement; see benchmarks/disentangle.py for its form). Of its
153 files 25 are held out, and everything is chosen on them: never on dev or test.

So that the network is of use where chats are unlike IRC, it sees each file again with
something taken away: times, names, what came before (a stretch begins anew every now and
then), and once as stretches of one to five conversations without all the others. One core
takes about six minutes, and 3 GB.
"""

from __future__ import annotations

import argparse
import json
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn

import disentangle
from disentangle import Log
from myna.conversations import disentangle_features
from myna.conversations.disentangle import Weights, answers

HELD_OUT = 25
UNITS, SECOND = 64, 32
BATCH = 128
RATE = 4e-3
START = -0.75
"""Added to the score of starting a conversation. Fewer conversations fall to pieces so,
at the same share of right links (on the files held out)."""


@dataclass
class Examples:
    """Messages with their candidates: features, which are there, which are right."""

    rows: Tensor
    single: Tensor
    pairs: Tensor
    there: Tensor
    right: Tensor


class Network(nn.Module):
    """The network of `Weights`, to be trained."""

    def __init__(self, examples: list[Examples]) -> None:
        """Features are brought to one scale first, which `weights` folds away."""
        super().__init__()
        pairs = torch.cat([e.pairs[e.there][::40].float() for e in examples])
        single = torch.cat([e.single for e in examples])
        self.scales = [(t.mean(0), t.std(0) + 1e-3) for t in (pairs, single)]
        self.pair = nn.Linear(pairs.shape[1], UNITS)
        self.answer = nn.Linear(single.shape[1], UNITS, bias=False)
        self.target = nn.Linear(single.shape[1], UNITS, bias=False)
        self.second = nn.Linear(UNITS, SECOND)
        self.out = nn.Linear(SECOND, 1, bias=False)
        self.drop = nn.Dropout(0.1)

    def forward(self, examples: Examples, batch: Tensor) -> Tensor:
        """Logarithms of the probabilities of the candidates."""
        (pair_mean, pair_std), (mean, std) = self.scales
        rows = examples.rows[batch]
        single = (examples.single - mean) / std
        candidates = (rows[:, None] - torch.arange(disentangle_features.CANDIDATES)).clamp(min=0)
        first = self.pair((examples.pairs[batch].float() - pair_mean) / pair_std)
        first = first + self.answer(single)[rows][:, None] + self.target(single)[candidates]
        second = torch.relu(self.second(self.drop(torch.relu(first))))
        scores = self.out(second)[..., 0]
        return scores.masked_fill(~examples.there[batch], -1e4).log_softmax(1)

    def weights(self) -> Weights:
        """The weights over features as they are."""
        (pair_mean, pair_std), (mean, std) = self.scales
        pair = self.pair.weight / pair_std
        answer, target = self.answer.weight / std, self.target.weight / std
        bias = self.pair.bias - pair @ pair_mean - (answer + target) @ mean
        found = (
            *(pair.T, answer.T, target.T, bias),
            *(self.second.weight.T, self.second.bias, self.out.weight[0]),
            torch.tensor(START),
        )
        arrays = [np.ascontiguousarray(t.detach().numpy(), np.float32) for t in found]
        return Weights(*arrays)


def examples(log: Log, without: list[str]) -> Examples:
    """The marked messages of a log whose answers are among the candidates."""
    said = log.said
    if "others" in without:
        sizes = random.Random(len(said))
        said = disentangle.regrouped(log, iter(lambda: sizes.choice((1, 1, 2, 3, 5)), 0))
    elif "past" in without:
        cuts = np.cumsum(np.random.default_rng(len(said)).integers(10, 200, len(said)))
        said = said.with_columns(conversation=pl.Series(np.searchsorted(cuts, range(len(said)))))
    found = disentangle.read(said, without)
    row_of = {line: row for row, line in enumerate(said["line"])}
    thread, shared = disentangle_features.threads(found), disentangle_features.shared_words(found)
    lines = sorted(line for line in log.marked if line in row_of)
    rows = np.array([row_of[line] for line in lines])
    begin = rows.min()
    told, there = disentangle_features.pairs(found, thread, shared, begin, rows.max() + 1)
    right = np.zeros((len(rows), disentangle_features.CANDIDATES), bool)
    for number, line in enumerate(lines):
        ago = [rows[number] - row_of[a] for a in log.marked[line] if a in row_of]
        right[number, [place for place in ago if place < disentangle_features.CANDIDATES]] = True
    there = there[rows - begin]
    right &= there
    kept = right.any(axis=1)
    return Examples(
        rows=torch.from_numpy(rows[kept]),
        single=torch.from_numpy(disentangle_features.single(found, thread)),
        pairs=torch.from_numpy(told.transpose(1, 2, 0)[rows[kept] - begin].astype(np.float16)),
        there=torch.from_numpy(there[kept]),
        right=torch.from_numpy(right[kept]),
    )


def train(network: Network, given: list[Examples], epochs: int) -> None:
    """Fit the network; a message with several answers may get any of them."""
    batches = [
        (one, batch)
        for one in given
        for batch in torch.randperm(len(one.rows)).split(BATCH)
        if len(batch)
    ]
    optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, RATE, total_steps=epochs * len(batches), pct_start=0.1
    )
    network.train()
    for epoch in range(epochs):
        random.shuffle(batches)
        total = 0.0
        for one, batch in batches:
            likely = network(one, batch).masked_fill(~one.right[batch], -1e4)
            loss = -likely.logsumexp(1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch + 1}: loss {total / len(batches):.4f}", flush=True)


def main() -> None:
    """Train, print the figures on the files held out, write the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("src/myna/conversations/links.npz"))
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    logs = disentangle.logs(wanted.folder)
    random.Random(5).shuffle(logs)
    held_out, known = logs[:HELD_OUT], logs[HELD_OUT:]
    random.seed(wanted.seed)
    torch.manual_seed(wanted.seed)
    less = [[what for what in ("times", "names", "past") if random.random() < 0.5] for _ in known]
    given = [examples(log, []) for log in known]
    given += [examples(log, without) for log, without in zip(known, less, strict=True) if without]
    given += [examples(log, ["others"]) for log in known]
    network = Network(given)
    train(network, given, wanted.epochs)
    weights = network.weights()
    np.savez(wanted.out, **vars(weights))
    for without in ([], ["times"], ["names"], ["times", "names"]):
        found = {
            log.name: log.answered(answers(disentangle.read(log.said, without), weights))
            for log in held_out
        }
        figures = disentangle.score({log.name: log.marked for log in held_out}, found)
        rounded = {name: round(value, 1) for name, value in figures.items()}
        print(json.dumps({"held out, without": without, **rounded}), flush=True)
    print(json.dumps({"kept whole": disentangle.kept_whole(held_out, weights)}))


if __name__ == "__main__":
    main()
