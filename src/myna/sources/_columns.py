"""Columns of the message table that hold lists, and what goes into them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import polars as pl

from myna.messages import SCHEMA

_KIND_OF = {
    extension: kind
    for kind, extensions in {
        "image": "apng avif bmp heic heif jfif jpeg jpg png svg tif tiff webp",
        "gif": "gif",
        "video": "3gp avi flv m4v mkv mov mp4 mpeg mpg webm wmv",
        # What phones record in. An mp3 or a flac is more likely a song, so a file.
        "voice": "aac amr caf m4a oga ogg opus",
    }.items()
    for extension in extensions.split()
}


def attachment_kind(name: str) -> str:
    """The kind (one of messages.ATTACHMENT_KINDS) of a file that was sent, by its name."""
    if name.startswith("voice-message"):
        return "voice"
    return _KIND_OF.get(name.rpartition(".")[2].lower(), "file")


def lists(column: str, height: int, structs: Sequence[tuple[Any, ...]]) -> pl.Series:
    """A column of lists of structs, from flat tuples: far faster than nested objects.

    Args:
        column: ``attachments`` or ``mentions``.
        height: rows of the table.
        structs: for each struct, the row whose list it belongs to, then its fields.
    """
    kind = cast(pl.List, SCHEMA[column])
    if not structs:
        return pl.Series(column, [[]], kind).new_from_index(0, height)
    fields = cast(pl.Struct, kind.inner).to_schema()
    flat = pl.DataFrame(structs, schema={"row": pl.UInt32, **fields}, orient="row")
    grouped = flat.group_by("row", maintain_order=True).agg(pl.struct(*fields).alias(column))
    return (
        pl.select(row=pl.int_range(height, dtype=pl.UInt32))
        .join(grouped, on="row", how="left", maintain_order="left")
        .select(pl.col(column).fill_null([]).cast(kind))
        .to_series()
    )
