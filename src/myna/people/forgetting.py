"""Erase a person from a workspace.

Their messages are deleted from the message tables, and so are the prepared samples, the
reports and unfinished trainings. Others' mentions of them become "@someone". Adapters stay, and
nobody speaks with those that learned from them: a model cannot forget, only be trained again.
Hashes of their accounts are kept, so that neither imports nor bots bring their messages back.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from myna import people as people_
from myna import workspace as workspace_
from myna.leftovers import temporary_file
from myna.messages import PARQUET_COMPRESSION, SCHEMA
from myna.people import Person, accounts, consent
from myna.workspace import ImportRecord, Workspace

ANONYMOUS_MENTION = "@someone"


def forget_person(workspace: Workspace, person: Person) -> int:
    """Erase a person; return the number of their messages.

    If it is interrupted, running it again finishes it: people.toml, which has the person's
    accounts, changes last.

    Raises:
        WorkspaceError: the disk is full, or may not be written.
    """
    erased = 0
    with workspace_.explain_disk_errors(workspace.root):
        for record in workspace.import_records():
            counts = [_erase_in_table(table, person) for table in record.tables]
            if any(count is not None for count in counts):
                _update_record(record)
            erased += sum(filter(None, counts))
        for folder in (workspace.prepared, workspace.reports, workspace.jobs, workspace.uploads):
            shutil.rmtree(folder, ignore_errors=True)
        for checkpoints in (workspace.root / "adapters").glob(".*.training"):
            shutil.rmtree(checkpoints, ignore_errors=True)
        for previews in (workspace.root / "adapters").glob("*/previews.jsonl"):
            workspace_.write_text(previews, "")  # each quotes a message of the chats
        opt_outs = [
            entry
            for entry in consent.load_opt_outs(workspace.opt_outs_file)
            if entry.account in person.accounts or entry.person == person.display_name
        ]
        forgotten = dict.fromkeys([*person.accounts, *(entry.account for entry in opt_outs)])
        hashes = tuple(accounts.account_hash(account) for account in forgotten)
        consent.remove_opt_outs(workspace.opt_outs_file, opt_outs)
        everyone = people_.load(workspace.people_file)
        people_.save(workspace.people_file, consent.remove_person(everyone, person, hashes))
    return erased


def _erase_in_table(table: Path, person: Person) -> int | None:
    """Erase a person from a message table; return the number of messages, None if unchanged."""
    before = pl.read_parquet(table)
    kept = before.filter(~accounts.account_expr().is_in(list(person.accounts)))
    erased = before.height - kept.height
    author_ids = [account.partition(":")[2] for account in person.accounts]
    is_mentioned = (
        pl.col("mentions").list.eval(pl.element().struct["author_id"].is_in(author_ids)).list.any()
    )
    reactions = accounts.without_reactions(kept, person.accounts)
    has_reacted = not reactions.equals(kept["reactions"])
    if not erased and not has_reacted and kept.filter(is_mentioned).is_empty():
        return None
    kept = kept.with_columns(reactions=reactions)
    rows = kept.with_row_index("row")
    changed = [
        (row, *_anonymize(text, spans, author_ids))
        for row, text, spans in rows.filter(is_mentioned)
        .select("row", "text", "mentions")
        .iter_rows()
    ]
    schema = {"row": pl.UInt32, "text": SCHEMA["text"], "mentions": SCHEMA["mentions"]}
    kept = rows.update(pl.DataFrame(changed, schema=schema, orient="row"), on="row").drop("row")
    with temporary_file(table) as new:
        kept.write_parquet(new, compression=PARQUET_COMPRESSION)
        new.replace(table)
    return erased


def _update_record(record: ImportRecord) -> None:
    """Update an import record after its tables have changed."""
    stored = pl.scan_parquet(record.tables).select(pl.len()).collect().item()
    files = [{**file, "examples": {}} for file in record.files]  # examples quote messages
    replace(record, stored=stored, files=files).save()


def _anonymize(
    text: str, mentions: list[dict[str, Any]], author_ids: list[str]
) -> tuple[str, list[dict[str, Any]]]:
    """Anonymise mentions of the accounts in a text; return it with the other mentions."""
    pieces: list[str] = []
    kept: list[dict[str, Any]] = []
    end = shift = 0
    for span in mentions:
        if span["author_id"] in author_ids:
            pieces += [text[end : span["start"]], ANONYMOUS_MENTION]
            shift += len(ANONYMOUS_MENTION) - (span["end"] - span["start"])
            end = span["end"]
        else:
            kept.append({**span, "start": span["start"] + shift, "end": span["end"] + shift})
    return "".join([*pieces, text[end:]]), kept
