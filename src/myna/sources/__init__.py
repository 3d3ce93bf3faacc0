"""The platforms that myna reads: one file each, found by itself.

A source is a module of this package (its name without a leading underscore) with

    TITLE: str                       what a person calls it: "DiscordChatExporter JSON"
    READS: tuple[str, ...]           what it reads of it, in the words of FEATURES
    recognise(file: ChatFile) -> Recognition | None
    read(file: ChatFile, tally: Tally) -> Iterator[pl.DataFrame | Table]

`recognise` looks at the name and the first bytes and never raises for a file that is
something else. `read` yields message tables (myna.messages.SCHEMA) in the file's own
order, so that memory stays flat whatever the size, or a `Table` of them that it has
written to the folder `file.spool`; what it cannot read it counts in the tally, never drops
in silence; for a damaged file it yields every complete message and says how many bytes were
left unread. To add a platform, add one module and its fixtures: nothing else is touched.

The plainest reader is a generator of `Sent`, one for each message, that
`message_table.tables` makes tables of. That and what else several sources need is in
`_shared`: `text` (lines in any encoding), `json_stream` (one large document, damaged or
not), `times` (any form of time), `rows` (CSV; tables of named columns), `message_table`
(messages, attachments, mentions), `html` (markup as well), and a platform's own (`discord`, …).
"""

from myna.sources._registry import (
    FEATURES,
    Recognition,
    Source,
    Tally,
    load_source,
    names,
    parse_columns,
    recognise,
)
from myna.sources._shared.files import ChatFile, archive_members, is_archive
from myna.sources._shared.parallel import StoredTable, load_table, table_file_name

__all__ = [
    "FEATURES",
    "ChatFile",
    "Recognition",
    "Source",
    "StoredTable",
    "Tally",
    "archive_members",
    "is_archive",
    "load_source",
    "load_table",
    "names",
    "parse_columns",
    "recognise",
    "table_file_name",
]
