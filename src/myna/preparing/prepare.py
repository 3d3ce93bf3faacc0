"""From stored messages to samples, with the ledger that accounts for all of them.

prepared/
messages.parquet    the messages that stay: person, text (as samples show it),
                    conversation, split, trained
samples.parquet     segments, token ids and target spans; `split` is the split
ledger.json
prepared.json       metadata: the prompt format, personas, channels, numbers
manifest.json

Texts are never all in memory. Batches of stored messages become parts on disk, each by
itself (`reading`); a few numbers of every message decide what becomes of it (`choosing`);
batches of whole conversations become samples, again each by itself (`writing`). Where
there are many messages, batches are shared out to processes.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import polars as pl

from myna import people as people_
from myna import stages, workers
from myna import workspace as workspace_
from myna.artifacts import PreparedInfo, PromptFormat
from myna.cleaning import rules
from myna.cleaning.ledger import Action, Ledger, Share
from myna.config import Settings
from myna.config.rules import BY_NAME, resolved
from myna.errors import PeopleError, WorkspaceError
from myna.people import People
from myna.preparing import build_samples, clean_batches, html_reports, select_messages
from myna.preparing.build_samples import SAMPLE_SCHEMA, How, Written
from myna.preparing.message_store import MOST, Parts, batches
from myna.preparing.statistics import Habits, habits
from myna.rendering import renderings
from myna.rendering.spec import Markup
from myna.rendering.tokenizer import Tokenizer
from myna.workspace import Workspace

__all__ = ["SAMPLE_SCHEMA", "Prepared", "prepare", "read_samples", "run"]

REPORT = "prepare.html"
SCORES = "quality.sqlite"
MOST_DRAWN = 12
"""Personas whose habits are in the report."""

Say = Callable[[str], None]


@dataclass
class Prepared:
    """What a run of prepare yields, beside the tables in `folder`."""

    folder: Path
    ledger: Ledger
    info: PreparedInfo
    habits: list[Habits] = field(default_factory=list)
    """Of the personas who write most."""

    @property
    def messages(self) -> pl.DataFrame:
        """The messages that stay."""
        return pl.read_parquet(self.folder / "messages.parquet")

    @property
    def samples(self) -> pl.DataFrame:
        """All samples."""
        return pl.read_parquet(self.folder / "samples.parquet")


def run(
    workspace: Workspace, settings: Settings, tokenizer: Tokenizer, say: Say = lambda _: None
) -> Prepared:
    """Prepare all that was imported; the old output stays until the new one is whole.

    Raises:
        WorkspaceError: nothing has been imported, or the disk is full.
        SettingsError: as `prepare`.
        PeopleError: nobody may be cloned.
    """
    tables = workspace.message_files()
    if not tables:
        raise WorkspaceError(
            f"{workspace.root} has no messages: bring some in with `myna import PATH`"
        )
    people = people_.load(workspace.people_file)
    with (
        workspace_.clear_disk_errors(workspace.prepared),
        workspace_.folder(workspace.prepared) as new,
    ):
        kept = workspace.root / SCORES
        done = prepare(tables, people, settings, tokenizer, new, say, scores=kept)
        workspace_.write_json(new / "ledger.json", done.ledger.to_json())
        done.info.save(new)
        workspace_.write_manifest(
            new,
            inputs=stages.prepare_inputs(workspace),
            settings=stages.prepare_settings(settings),
        )
    done.folder = workspace.prepared
    html = html_reports.ledger_page(
        done.ledger, done.habits, len(done.info.personas) - len(done.habits)
    )
    workspace_.write_text(workspace.reports / REPORT, html)
    return done


def prepare(
    tables: Sequence[Path],
    people: People,
    settings: Settings,
    tokenizer: Tokenizer,
    folder: Path,
    say: Say = lambda _: None,
    *,
    scores: Path | None = None,
    batch: int = MOST,
) -> Prepared:
    """Clean, split and render the messages of tables, into the tables in a folder.

    Args:
        tables: of stored messages, in the order in which they were imported.
        people: who is who.
        settings: all of them.
        tokenizer: of the base model.
        folder: gets `messages.parquet` and `samples.parquet`.
        say: is told how far it is.
        scores: keeps those of the quality pass; else they are forgotten.
        batch: messages that are looked at together.

    Raises:
        SettingsError: the samples are hardly longer than their own system line, or the
            filter names what is not there.
        PeopleError: nobody may be cloned.
    """
    personas = people_.persona_names(people)
    if not personas:
        raise PeopleError('nobody may be cloned: give somebody the consent "clone" in people.toml')
    markup = renderings.of(settings.samples.rendering, tokenizer)
    ledger = Ledger()
    shared = list(batches(tables, batch))
    total = sum(part.length for part in shared)
    say(f"cleaning {total:,} messages")
    with (
        tempfile.TemporaryDirectory(dir=folder, prefix=".parts-") as place,
        workers.crew(total) as crew,
    ):
        known = clean_batches.known(pl.scan_parquet(list(tables)), people, settings, Path(place))
        parts = Parts(Path(place), tuple(part.length for part in shared))
        read = crew.each(partial(clean_batches.read, known), shared)
        asked = scores or Path(place, SCORES)
        kept = select_messages.clean(select_messages.gather(read), known, parts, ledger)
        kept = select_messages.choose(kept, parts, ledger, settings, asked, say)
        speaking = kept.filter("trained")["person"].unique(maintain_order=True)
        named = tuple(known.persons[number] for number in speaking)
        how = How(parts, settings.samples, tokenizer, markup, named)
        written: list[Written] = []
        count = 0
        for done in crew.each(partial(build_samples.write, how), build_samples.tasks(kept, batch)):
            written.append(done)
            count += done.samples.total()
            say(f"rendered {count:,} samples")
        build_samples.join(parts, len(written), folder)
        placed = pl.concat([pl.Series(dtype=pl.Boolean), *(done.placed for done in written)])
        account(
            ledger,
            kept.select(
                "number", "person", "split", "trained", "rule", "characters", placed=placed
            ),
            known.persons,
            lambda some: parts.load(some["number"], ("person", "text")),
        )
    ledger.notes += _notes(written)
    trained = [share.person for share in ledger.people if share.replies["train"]]
    info = PreparedInfo(
        tokenizer_fingerprint=tokenizer.fingerprint,
        samples_fingerprint=workspace_.fingerprint(folder / "samples.parquet"),
        format=_prompt_format(settings, markup),
        personas=[person for person in personas if person in trained],
        channels=build_samples.channels(done.speakers for done in written),
        messages=ledger.messages,
        conversations=kept["conversation"].n_unique(),
        samples=dict(sum((done.samples for done in written), Counter[str]())),
        tokens=sum(done.tokens for done in written),
        trained_tokens=sum(done.trained_tokens for done in written),
    )
    return Prepared(folder, ledger, info, habits(kept, known.persons, trained[:MOST_DRAWN]))


def _prompt_format(settings: Settings, markup: Markup) -> PromptFormat:
    """The format of the samples, which no later default changes."""
    samples = settings.samples
    return PromptFormat(
        samples.model_copy(update={"system": samples.system_lines}),
        resolved(settings.rules),
        settings.redaction.model_copy(update={"seed": ""}),
        markup,
    )


def _notes(written: Sequence[Written]) -> list[str]:
    """What else is to say of samples in which a persona should not speak first."""
    found = {
        "begin with the turn before what they train, so that no persona opens them": sum(
            done.led for done in written
        ),
        "are opened by the persona, whom nobody spoke before": sum(done.opened for done in written),
    }
    return [f"{count:,} samples {what}" for what, count in found.items() if count]


def read_samples(workspace: Workspace, split: str | None = None) -> pl.DataFrame:
    """The samples of one split, or all.

    Raises:
        WorkspaceError: `prepare` has not been run.

    """
    path = workspace.prepared / "samples.parquet"
    if not path.exists():
        raise WorkspaceError(f"{workspace.root} has no samples: make them with `myna prepare`")
    samples = pl.read_parquet(path)
    return samples if split is None else samples.filter(pl.col("split") == split)


TARGETS: dict[Action, tuple[str, str]] = {
    "validation": ("validation", "held out to stop training early"),
    "test": ("test", "held out to report on"),
    "train": ("kept", "a person's words, trained"),
}
"""What becomes of targets: the name and the reason of the ledger's row."""


def account(ledger: Ledger, kept: pl.DataFrame, persons: Sequence[str], quote: rules.Quote) -> None:
    """Enter what became of every message that stayed, from the samples themselves.

    Args:
        ledger: is written to.
        kept: the frame of `choosing.choose`, with `placed`: which messages are targets.
        persons: the names of people by their numbers.
        quote: gives the messages that the ledger quotes.
    """
    context = kept.filter(~pl.col("placed") & ~pl.col("trained"))
    for name in context["rule"].unique(maintain_order=True):
        met = context.filter(pl.col("rule").eq_missing(name))
        why = BY_NAME[name].why if name else ""
        ledger.rows.append(rules.entry(str(name), "context", why, met, quote))
    for action, (name, why) in TARGETS.items():
        held = kept.filter(pl.col("placed") & (pl.col("split") == action))
        if held.height:
            ledger.rows.append(rules.entry(name, action, why, held, quote))
    ledger.people += _shares(kept, persons)


def _shares(kept: pl.DataFrame, persons: Sequence[str]) -> list[Share]:
    """What became of each person's words; who wrote most comes first."""
    ended = pl.when("placed").then("split").otherwise(pl.lit(""))
    sums = kept.group_by("person", ended=ended).agg(pl.sum("characters"), pl.len())
    shares: dict[int, Share] = {}
    for person, end, characters, count in sums.sort("person", "ended").iter_rows():
        share = shares.setdefault(person, Share(persons[person]))
        share.characters += characters
        for action in TARGETS:
            share.replies.setdefault(action, 0)
        if end:
            setattr(share, end, characters)
            share.replies[end] = count
    return sorted(shares.values(), key=lambda share: -share.characters)
