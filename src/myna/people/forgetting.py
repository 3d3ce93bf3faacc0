"""Erasing a person from a workspace.

Their messages leave the message tables, and what was made of them goes: the prepared
samples and the reports. Others' mentions of them lose the name that they were shown
under. Adapters stay, and `myna status` calls them stale: a model cannot be made to
forget, only trained anew. Importing the same chats again does not bring the person
back, and bots do not read what they write: their accounts are remembered, as hashes.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from myna import people as people_
from myna import workspace as workspace_
from myna.messages import PARQUET_COMPRESSION, SCHEMA
from myna.people import Person, accounts, consent
from myna.workspace import ImportRecord, Workspace

SOMEONE = "someone"


def forget(workspace: Workspace, person: Person) -> int:
    """Erase a person; how many messages that were.

    Whatever stops it half-way, running it again finishes it: people.toml, which knows the
    person's accounts, changes last.

    Raises:
        WorkspaceError: the disk is full, or may not be written.
    """
    erased = 0
    with workspace_.explain_disk_errors(workspace.root):
        for record in workspace.import_records():
            found = [_forget_in(table, person) for table in record.tables]
            if any(number is not None for number in found):
                _rewrite(record)
            erased += sum(filter(None, found))
        shutil.rmtree(workspace.prepared, ignore_errors=True)
        shutil.rmtree(workspace.reports, ignore_errors=True)
        out = consent.load(workspace.opt_outs_file)
        theirs = [o for o in out if o.account in person.accounts or o.person == person.shown]
        known = dict.fromkeys([*person.accounts, *(entry.account for entry in theirs)])
        marks = tuple(accounts.mark(account) for account in known)
        consent.remove(workspace.opt_outs_file, theirs)
        everyone = people_.load(workspace.people_file)
        people_.save(workspace.people_file, consent.without(everyone, person, marks))
    return erased


def _forget_in(table: Path, person: Person) -> int | None:
    """Erase a person from one message table: how many messages, None if nothing changed."""
    before = pl.read_parquet(table)
    theirs = accounts.account().is_in(list(person.accounts))
    kept = before.filter(~theirs)
    erased = before.height - kept.height
    mentioned = [a.partition(":")[2] for a in person.accounts]
    is_mentioned = (
        pl.col("mentions").list.eval(pl.element().struct["author_id"].is_in(mentioned)).list.any()
    )
    if not erased and kept.filter(is_mentioned).is_empty():
        return None
    rows = kept.with_row_index("row")
    changed = [
        (row, *_unnamed(text, spans, mentioned))
        for row, text, spans in rows.filter(is_mentioned)
        .select("row", "text", "mentions")
        .iter_rows()
    ]
    schema = {"row": pl.UInt32, "text": SCHEMA["text"], "mentions": SCHEMA["mentions"]}
    kept = rows.update(pl.DataFrame(changed, schema=schema, orient="row"), on="row").drop("row")
    hidden = table.with_name(f".{table.name}.new")
    try:
        kept.write_parquet(hidden, compression=PARQUET_COMPRESSION)
        hidden.replace(table)
    finally:
        hidden.unlink(missing_ok=True)
    return erased


def _rewrite(record: ImportRecord) -> None:
    """Have an import's record say what is left in its tables."""
    stored = pl.scan_parquet(record.tables).select(pl.len()).collect().item()
    files = [{**file, "examples": {}} for file in record.files]  # examples quote messages
    replace(record, stored=stored, files=files).save()


def _unnamed(
    text: str, spans: list[dict[str, Any]], mentioned: list[str]
) -> tuple[str, list[dict[str, Any]]]:
    """The text and its mentions without those of some accounts."""
    parts: list[str] = []
    kept: list[dict[str, Any]] = []
    end = moved = 0
    for span in spans:
        if span["author_id"] in mentioned:
            shown = f"@{SOMEONE}"
            parts += [text[end : span["start"]], shown]
            moved += len(shown) - (span["end"] - span["start"])
            end = span["end"]
        else:
            kept.append({**span, "start": span["start"] + moved, "end": span["end"] + moved})
    return "".join([*parts, text[end:]]), kept
