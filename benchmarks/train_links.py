"""Train the network of disentanglement: the message that each one answers.

python benchmarks/train_links.py FOLDER [--out src/myna/conversations/links.npz] [--seed 0]

FOLDER is the `train` split of the Ubuntu IRC corpus of Kummerfeld et al., "A Large-Scale
Corpus for Conversation Disentanglement" (ACL 2019, CC-BY 4.0, at
https://jkk.name/irc-disentanglement; see benchmarks/disentangle.py for its form). Of its
153 files 25 are held out to choose all settings: never dev or test.

For chats unlike IRC, the network sees each file again without times, names or context (a new
stretch starts every now and then), and once as stretches of one to five conversations without
the others. One core takes about six minutes, and 3 GB.
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
from myna.conversations.disentangle import Weights, best_links

HELD_OUT_FILES = 25
FIRST_UNITS, SECOND_UNITS = 64, 32
BATCH_MESSAGES = 128
LEARNING_RATE = 4e-3
START_SCORE = -0.75
"""Added to the score of starting a conversation: fewer conversations fall apart, with the same
share of correct links (on the held-out files)."""


@dataclass
class Examples:
    """Messages with their candidates: features, and masks of existing and correct ones."""

    rows: Tensor
    single: Tensor
    pairs: Tensor
    exists: Tensor
    correct: Tensor


class Network(nn.Module):
    """The network of `Weights`, to be trained."""

    def __init__(self, examples: list[Examples]) -> None:
        """Create the layers; features are standardised first, which `weights` folds away."""
        super().__init__()
        pairs = torch.cat([e.pairs[e.exists][::40].float() for e in examples])
        single = torch.cat([e.single for e in examples])
        self.scales = [(t.mean(0), t.std(0) + 1e-3) for t in (pairs, single)]
        self.pair = nn.Linear(pairs.shape[1], FIRST_UNITS)
        self.answer = nn.Linear(single.shape[1], FIRST_UNITS, bias=False)
        self.target = nn.Linear(single.shape[1], FIRST_UNITS, bias=False)
        self.second = nn.Linear(FIRST_UNITS, SECOND_UNITS)
        self.out = nn.Linear(SECOND_UNITS, 1, bias=False)
        self.drop = nn.Dropout(0.1)

    def forward(self, examples: Examples, batch: Tensor) -> Tensor:
        """Return the log-probabilities of the candidates."""
        (pair_mean, pair_std), (mean, std) = self.scales
        rows = examples.rows[batch]
        single = (examples.single - mean) / std
        candidates = (rows[:, None] - torch.arange(disentangle_features.CANDIDATES)).clamp(min=0)
        first = self.pair((examples.pairs[batch].float() - pair_mean) / pair_std)
        first = first + self.answer(single)[rows][:, None] + self.target(single)[candidates]
        second = torch.relu(self.second(self.drop(torch.relu(first))))
        scores = self.out(second)[..., 0]
        return scores.masked_fill(~examples.exists[batch], -1e4).log_softmax(1)

    def weights(self) -> Weights:
        """Return the weights for features that are not standardised."""
        (pair_mean, pair_std), (mean, std) = self.scales
        pair = self.pair.weight / pair_std
        answer, target = self.answer.weight / std, self.target.weight / std
        bias = self.pair.bias - pair @ pair_mean - (answer + target) @ mean
        found = (
            *(pair.T, answer.T, target.T, bias),
            *(self.second.weight.T, self.second.bias, self.out.weight[0]),
            torch.tensor(START_SCORE),
        )
        arrays = [np.ascontiguousarray(t.detach().numpy(), np.float32) for t in found]
        return Weights(*arrays)


def examples(log: Log, without: list[str]) -> Examples:
    """Collect the annotated messages of a log whose answers are among the candidates."""
    messages = log.messages
    if "others" in without:
        sizes = random.Random(len(messages))
        messages = disentangle.regrouped(log, iter(lambda: sizes.choice((1, 1, 2, 3, 5)), 0))
    elif "past" in without:
        cuts = np.cumsum(np.random.default_rng(len(messages)).integers(10, 200, len(messages)))
        messages = messages.with_columns(
            conversation=pl.Series(np.searchsorted(cuts, range(len(messages))))
        )
    arrays = disentangle.to_arrays(messages, without)
    row_of = {line: row for row, line in enumerate(messages["line"])}
    neighbours = disentangle_features.find_neighbours(arrays)
    shared = disentangle_features.shared_words(arrays)
    lines = sorted(line for line in log.annotated if line in row_of)
    rows = np.array([row_of[line] for line in lines])
    begin = rows.min()
    values, exists = disentangle_features.pair_features(
        arrays, neighbours, shared, begin, rows.max() + 1
    )
    correct = np.zeros((len(rows), disentangle_features.CANDIDATES), bool)
    for number, line in enumerate(lines):
        distances = [rows[number] - row_of[a] for a in log.annotated[line] if a in row_of]
        correct[number, [distance for distance in distances if distance < correct.shape[1]]] = True
    exists = exists[rows - begin]
    correct &= exists
    kept = correct.any(axis=1)
    return Examples(
        rows=torch.from_numpy(rows[kept]),
        single=torch.from_numpy(disentangle_features.message_features(arrays, neighbours)),
        pairs=torch.from_numpy(values.transpose(1, 2, 0)[rows[kept] - begin].astype(np.float16)),
        exists=torch.from_numpy(exists[kept]),
        correct=torch.from_numpy(correct[kept]),
    )


def train(network: Network, data: list[Examples], epochs: int) -> None:
    """Fit the network; any of several answers of a message is correct."""
    batches = [
        (one, batch)
        for one in data
        for batch in torch.randperm(len(one.rows)).split(BATCH_MESSAGES)
        if len(batch)
    ]
    optimizer = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=epochs * len(batches), pct_start=0.1
    )
    network.train()
    for epoch in range(epochs):
        random.shuffle(batches)
        total = 0.0
        for one, batch in batches:
            log_probabilities = network(one, batch).masked_fill(~one.correct[batch], -1e4)
            loss = -log_probabilities.logsumexp(1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch + 1}: loss {total / len(batches):.4f}", flush=True)


def main() -> None:
    """Train, write the weights, print the figures on the held-out files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("src/myna/conversations/links.npz"))
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logs = disentangle.logs(options.folder)
    random.Random(5).shuffle(logs)
    held_out, training = logs[:HELD_OUT_FILES], logs[HELD_OUT_FILES:]
    random.seed(options.seed)
    torch.manual_seed(options.seed)
    removed = [
        [name for name in ("times", "names", "past") if random.random() < 0.5] for _ in training
    ]
    data = [examples(log, []) for log in training]
    data += [
        examples(log, without) for log, without in zip(training, removed, strict=True) if without
    ]
    data += [examples(log, ["others"]) for log in training]
    network = Network(data)
    train(network, data, options.epochs)
    weights = network.weights()
    np.savez(options.out, **vars(weights))
    for without in ([], ["times"], ["names"], ["times", "names"]):
        found = {
            log.name: log.answered(
                best_links(disentangle.to_arrays(log.messages, without), weights)
            )
            for log in held_out
        }
        figures = disentangle.score({log.name: log.annotated for log in held_out}, found)
        rounded = {name: round(value, 1) for name, value in figures.items()}
        print(json.dumps({"held out, without": without, **rounded}), flush=True)
    print(json.dumps({"kept whole": disentangle.kept_whole(held_out, weights)}))


if __name__ == "__main__":
    main()
