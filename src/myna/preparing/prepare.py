"""From stored messages to samples, with the ledger that accounts for all of them.

    prepared/
      messages.parquet    the messages that stay: person, text (as samples show it),
                          conversation, split, trained
      samples.parquet     split, segments, token ids and target spans
      ledger.json
      prepared.json       metadata: the prompt format, personas, channels, numbers
      manifest.json

Texts are never all in memory. Batches of stored messages are cleaned onto disk, each by
itself (`clean_batches`); a few numbers of every message decide what becomes of it
(`select_messages`); batches of whole conversations become samples, again each by itself
(`build_samples`). Many messages are shared out to worker processes.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import polars as pl

from myna import people as people_
from myna import workers
from myna import workspace as workspace_
from myna.artifacts import PreparedInfo, PromptFormat
from myna.cleaning import rules
from myna.cleaning.ledger import Action, Ledger, PersonShare
from myna.config import Settings
from myna.config.rules import RULES_BY_NAME, resolve_preset
from myna.errors import PeopleError, WorkspaceError
from myna.people import People
from myna.preparing import build_samples, clean_batches, html_reports, select_messages
from myna.preparing.build_samples import BuildConfig, BuildStats
from myna.preparing.clean_batches import CleaningContext
from myna.preparing.message_store import BATCH_MESSAGES, MessageBatch, MessageStore, batches
from myna.preparing.select_messages import MessageFeatures
from myna.preparing.statistics import Habits, habits, speaking_habits, typical_words
from myna.rendering import renderings
from myna.rendering.spec import RenderingSpec
from myna.rendering.tokenizer import Tokenizer
from myna.workspace import Workspace

REPORT_FILE = "prepare.html"
SCORES_FILE = "quality.sqlite"
MAX_PERSONAS_DRAWN = 12
"""Most personas whose habits are in the report."""

Report = Callable[[str], None]
T = TypeVar("T")


class Progress(Protocol):
    """Takes the name of a work, what is done of it and all there is to do; None if unknown."""

    def __call__(self, what: str, done: float = 0, total: float | None = None) -> None:
        """Show it."""


def silent(what: str, done: float = 0, total: float | None = None) -> None:
    """Show nothing."""


NOBODY = (
    "nobody may be cloned yet: ask somebody, then `myna people allow NAME --asked "
    '"who asked, how"`, or say who you are: `myna people me NAME`'
)


@dataclass
class PrepareResult:
    """The results of `prepare` beside the tables in `folder`."""

    folder: Path
    ledger: Ledger
    info: PreparedInfo
    habits: list[Habits]
    """Of the personas who write most."""


def run(
    workspace: Workspace,
    settings: Settings,
    tokenizer: Tokenizer,
    report: Report = lambda _: None,
    progress: Progress = silent,
) -> PrepareResult:
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
        workspace_.explain_disk_errors(workspace.prepared),
        workspace_.atomic_folder(workspace.prepared) as new,
    ):
        scores = workspace.root / SCORES_FILE
        result = prepare(tables, people, settings, tokenizer, new, report, progress, scores=scores)
        workspace_.write_json(new / "ledger.json", result.ledger.to_json())
        result.info.save(new)
        workspace_.write_manifest(
            new,
            inputs=workspace_.prepare_inputs(workspace),
            settings=workspace_.prepare_settings(settings),
        )
    result.folder = workspace.prepared
    html = html_reports.ledger_page(
        result.ledger, result.habits, len(result.info.personas) - len(result.habits)
    )
    workspace_.write_text(workspace.reports / REPORT_FILE, html)
    return result


def prepare(
    tables: Sequence[Path],
    people: People,
    settings: Settings,
    tokenizer: Tokenizer,
    folder: Path,
    report: Report = lambda _: None,
    progress: Progress = silent,
    *,
    scores: Path | None = None,
    batch: int = BATCH_MESSAGES,
) -> PrepareResult:
    """Clean, split and render the messages of tables, into the tables in a folder.

    Args:
        tables: of stored messages, in the order in which they were imported.
        people: the file people.toml.
        settings: all of them.
        tokenizer: of the base model.
        folder: for `messages.parquet` and `samples.parquet`.
        report: called with lines of news.
        progress: called while messages are worked on.
        scores: the file that keeps the scores of the quality pass; None to forget them.
        batch: messages of a batch.

    Raises:
        SettingsError: the samples are hardly longer than their own system line, or the
            filter names somebody or something that is not there.
        PeopleError: nobody may be cloned.
        WorkspaceError: no message is left to train on.
    """
    if not (personas := people_.persona_names(people)):
        raise PeopleError(NOBODY)
    ledger, spec = Ledger(), renderings.rendering_spec(settings.samples.rendering, tokenizer)
    message_batches = list(batches(tables, batch))
    total = sum(one.length for one in message_batches)
    with (
        tempfile.TemporaryDirectory(dir=folder, prefix=".batches-") as temp_dir,
        workers.worker_pool(total) as pool,
    ):
        messages = pl.scan_parquet(list(tables))
        context = clean_batches.cleaning_context(messages, people, settings, Path(temp_dir))
        store = MessageStore(Path(temp_dir), tuple(one.length for one in message_batches))
        features = _clean(message_batches, context, pool, partial(progress, total=total))
        kept = select_messages.apply_message_rules(features, context, store, ledger)
        progress("sorting into conversations")
        scores = scores or Path(temp_dir, SCORES_FILE)
        kept = select_messages.split_conversations(kept, store, ledger, settings, scores, report)
        _check_rest(ledger, kept)
        speakers = kept.filter("trained")["person"].unique(maintain_order=True)
        names = tuple(context.persons[number] for number in speakers)
        config = BuildConfig(store, settings.samples, tokenizer, spec, names)
        built = _build_samples(kept, config, pool, batch, progress)
        build_samples.join_files(store, len(built), folder)
        is_target = pl.concat([pl.Series(dtype=pl.Boolean), *(one.is_target for one in built)])
        add_to_ledger(
            ledger,
            kept.select(LEDGER_COLUMNS, is_target=is_target),
            context.persons,
            lambda some: store.load(some["number"], ("person", "text")),
        )
        greedy = greedy_rules(ledger, context.persons, personas, store)
    ledger.notes += [*_notes(built), *_quiet_note(kept, context.persons), *greedy]
    trained = [share.person for share in ledger.people if share.replies["train"]]
    info = PreparedInfo(
        tokenizer_fingerprint=tokenizer.fingerprint,
        samples_fingerprint=workspace_.fingerprint(folder / "samples.parquet"),
        format=_prompt_format(settings, spec),
        personas=[person for person in personas if person in trained],
        channels=build_samples.channels(one.speakers for one in built),
        messages=ledger.messages,
        conversations=kept["conversation"].n_unique(),
        samples=dict(sum((one.samples for one in built), Counter[str]())),
        tokens=sum(one.tokens for one in built),
        trained_tokens=sum(one.trained_tokens for one in built),
        habits=speaking_habits(pl.scan_parquet(folder / "messages.parquet"), trained),
    )
    drawn = trained[:MAX_PERSONAS_DRAWN]
    words = typical_words(pl.scan_parquet(folder / "messages.parquet"), drawn)
    return PrepareResult(folder, ledger, info, habits(kept, context.persons, drawn, words))


def _counted(
    batches: Iterable[T], size: Callable[[T], int], progress: Callable[[int], None]
) -> Iterator[T]:
    """Pass batches on, and tell how many messages they have had so far."""
    done = 0
    progress(done)
    for one in batches:
        done += size(one)
        progress(done)
        yield one


def _clean(
    message_batches: Sequence[MessageBatch],
    context: CleaningContext,
    pool: workers.WorkerPool,
    progress: Callable[..., None],
) -> MessageFeatures:
    """Clean the messages onto disk; return the features of all."""
    cleaned = _counted(
        pool.map(partial(clean_batches.clean_batch, context), message_batches),
        lambda batch: batch.rows.height,
        partial(progress, "cleaning"),
    )
    return select_messages.gather_features(cleaned)


def _build_samples(
    kept: pl.DataFrame,
    config: BuildConfig,
    pool: workers.WorkerPool,
    batch: int,
    progress: Progress,
) -> list[BuildStats]:
    """Build the samples of all conversations; return the statistics of each batch."""
    batches = build_samples.conversation_batches(kept, batch)
    stats = _counted(
        pool.map(partial(build_samples.build_batch, config), batches),
        lambda built: len(built.is_target),
        partial(progress, "making samples", total=kept.height),
    )
    return list(stats)


def _prompt_format(settings: Settings, spec: RenderingSpec) -> PromptFormat:
    """The format of the samples, which no later default changes."""
    samples = settings.samples
    return PromptFormat(
        samples.model_copy(update={"system": samples.system_lines}),
        resolve_preset(settings.rules),
        settings.redaction.model_copy(update={"seed": ""}),
        spec,
    )


def _check_rest(ledger: Ledger, kept: pl.DataFrame) -> None:
    """Raise WorkspaceError if no message is left to train on."""
    if kept["trained"].any():
        return
    rules_met = Counter({row.rule: row.messages for row in ledger.rows})
    rules_met.update(Counter(kept["rule"].drop_nulls().to_list()))
    told = "; ".join(
        f"{count:,} × {name} ({RULES_BY_NAME[name].reason})"
        for name, count in rules_met.most_common(4)
        if name in RULES_BY_NAME
    )
    raise WorkspaceError(
        f"of {ledger.messages:,} messages none is left to train on: {told or 'none has a text'}: "
        "import chats with texts, or see [rules], [filter] and `myna people`"
    )


def _notes(built: Sequence[BuildStats]) -> list[str]:
    """Notes on samples in which a persona should not speak first."""
    extended, opened = sum(one.extended for one in built), sum(one.opened for one in built)
    notes = {
        "begin one turn earlier, so that the persona's own turn is not the first": extended,
        "begin with the persona's own turn, as nobody spoke before": opened,
    }
    return [f"{count:,} samples {note}" for note, count in notes.items() if count]


def _quiet_note(kept: pl.DataFrame, persons: Sequence[str]) -> list[str]:
    """A note on those who said too little to be cloned."""
    quiet = kept.filter(pl.col("rule") == "few-messages")["person"].value_counts(sort=True)
    if quiet.is_empty():
        return []
    names = ", ".join(f"{persons[number]} ({count:,})" for number, count in quiet.iter_rows())
    return [
        f"not cloned, as they have few messages to learn from: {names}; to clone them as well, set "
        "min_messages = 0 under [filter]"
    ]


MAX_TAKEN_SHARE = 0.1
"""Share of a persona's characters above which a rule that takes them is named."""
MAX_EXAMPLE_CHARS = 80


def greedy_rules(
    ledger: Ledger, persons: Sequence[str], personas: Sequence[str], store: MessageStore
) -> list[str]:
    """A line for each rule that takes over a tenth of a persona's text, with its setting.

    Args:
        ledger: with the shares of people, and what rules took.
        persons: the names of people by their numbers.
        personas: names of those who may be cloned.
        store: the messages.
    """
    written = Counter({share.person: share.characters for share in ledger.people})
    for taken in ledger.taken:
        if taken.action == "drop":
            written[persons[taken.person]] += taken.characters
    lines = []
    for taken in sorted(ledger.taken, key=lambda taken: -taken.characters):
        name, rule = persons[taken.person], RULES_BY_NAME[taken.rule]
        share = taken.characters / max(1, written[name])
        if name not in personas or share <= MAX_TAKEN_SHARE:
            continue
        said = store.load(pl.Series([taken.example], dtype=pl.UInt32))["text"][0].replace(
            "\n", " / "
        )
        cut = said[:MAX_EXAMPLE_CHARS] + "…" * (len(said) > MAX_EXAMPLE_CHARS)
        becomes = "is left out" if taken.action == "drop" else "is only context"
        use, action = ("train it", "keep") if "keep" in rule.actions else ("see it", "context")
        lines.append(
            f"{share:.0%} of what {name} wrote {becomes} by the rule {rule.name} ({rule.reason}), "
            f'such as "{cut}"; to {use}: {rule.name} = "{action}" under [rules] in myna.toml'
        )
    return lines


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


def read_reactions(workspace: Workspace, sample: dict[str, Any]) -> list[dict[str, Any]]:
    """The messages of a sample that got reactions: `person`, `text` and `reactions`, in order.

    Args:
        workspace: its prepared messages.
        sample: a row of `read_samples`.
    """
    shown = "".join(segment["text"] for segment in sample["segments"])
    liked = pl.scan_parquet(workspace.prepared / "messages.parquet").filter(
        pl.col("conversation") == sample["conversation"], pl.col("reactions").list.len() > 0
    )
    rows = liked.select("person", "text", "reactions").collect().to_dicts()
    return [row for row in rows if row["text"].partition("\n")[0] in shown]


LEDGER_COLUMNS = ("number", "person", "split", "trained", "rule", "characters")
TARGETS: dict[Action, tuple[str, str]] = {
    "validation": ("validation", "held out to stop training early"),
    "test": ("test", "held out to report on"),
    "train": ("kept", "a person's words, trained"),
}
"""The ledger's rows for targets: name and reason by action."""


def add_to_ledger(
    ledger: Ledger, kept: pl.DataFrame, persons: Sequence[str], quote: rules.LoadTexts
) -> None:
    """Add every message that stayed to the ledger, as the samples themselves have it.

    Args:
        ledger: is written to.
        kept: the frame of `split_conversations`, with `is_target`: True for trained messages.
        persons: the names of people by their numbers.
        quote: gives the messages that the ledger quotes.
    """
    context = kept.filter(~pl.col("is_target") & ~pl.col("trained"))
    for name in context["rule"].unique(maintain_order=True):
        messages = context.filter(pl.col("rule").eq_missing(name))
        why = RULES_BY_NAME[name].reason if name else ""
        ledger.rows.append(rules.ledger_row(str(name), "context", why, messages, quote))
        ledger.taken += rules.taken(str(name), "context", messages) if name else []
    for action, (name, why) in TARGETS.items():
        held = kept.filter(pl.col("is_target") & (pl.col("split") == action))
        if held.height:
            ledger.rows.append(rules.ledger_row(name, action, why, held, quote))
    ledger.people += _shares(kept, persons)


def _shares(kept: pl.DataFrame, persons: Sequence[str]) -> list[PersonShare]:
    """The shares of people by the use of their words, the largest first."""
    target = pl.when("is_target").then("split").otherwise(pl.lit(""))
    sums = kept.group_by("person", target=target).agg(pl.sum("characters"), pl.len())
    shares: dict[int, PersonShare] = {}
    for person, action, characters, count in sums.sort("person", "target").iter_rows():
        share = shares.setdefault(person, PersonShare(persons[person]))
        share.characters += characters
        for name in TARGETS:
            share.replies.setdefault(name, 0)
        if action:
            setattr(share, action, characters)
            share.replies[action] = count
    return sorted(shares.values(), key=lambda share: -share.characters)
