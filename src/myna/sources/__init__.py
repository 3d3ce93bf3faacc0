"""The platforms that myna reads: one module each, discovered by name.

A source is a module of this package (its name without a leading underscore) with

    TITLE: str                       display name: "DiscordChatExporter JSON"
    READS: tuple[str, ...]           the FEATURES that it reads
    MOST_CERTAIN: float              the highest confidence of its recognitions
    recognise(file: ChatFile) -> Recognition | None
    read(file: ChatFile, tally: Tally) -> Iterator[pl.DataFrame | StoredTable]

`recognise` sees the name and the first bytes and never raises for other files. `read` yields
message tables (myna.messages.SCHEMA) in the file's own order, so that memory stays flat, or
`StoredTable`s in the folder `file.spool_dir`. It counts in the tally all that it cannot read;
of a damaged file it yields every complete message and counts the unread bytes. `sources.read`
notes a file without messages, so that no reader has to. To add a
platform, add one module and its fixtures: nothing else is touched.

The plainest reader is a generator of `ParsedMessage`, from which
`message_table.to_tables` makes tables. Other shared modules are in `_shared`: `text`
(lines in any encoding), `json_stream` (large documents, damaged or not), `times`, `rows` (CSV;
tables of named columns), `html`, and those of one platform (`discord`, …).
"""

from myna.sources._registry import (
    FEATURES,
    Recognition,
    Source,
    Tally,
    load_source,
    names,
    parse_columns,
    read,
    recognise,
)
from myna.sources._shared.files import ChatFile, archive_members, is_archive
from myna.sources._shared.parallel import StoredTable, load_table, table_file_name
