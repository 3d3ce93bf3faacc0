"""What DiscordChatExporter's CSV and TXT have in common: its messages without their ids."""

from __future__ import annotations

import re
from collections.abc import Sequence

from myna.sources import Tally
from myna.sources._columns import attachment_kind
from myna.sources._discord_markup import plain
from myna.sources._discord_names import Place
from myna.sources._sent import File, Sent
from myna.sources._times import day_first, utc

# Accounts had four digits behind their names until 2023.
_FULL_NAME = re.compile(r"(?s)(?P<name>.+)#[0-9]{4}")

# A notice by Discord has no mark, only one of these texts, which are English everywhere
# (PlainTextMessageExtensions.GetFallbackContent; in older versions Message.Parse).
# That nobody writes exactly one of them is an assumption.
_NOTICES = frozenset(
    {
        *("Added a recipient.", "Removed a recipient.", "Left the group."),
        *("Changed the channel name.", "Changed the channel icon.", "Pinned a message."),
        *("Joined the server.", "Started a thread.", "A poll has closed."),
    }
)
_RENAMED = re.compile(r"Changed the channel name: .+")
_GROUP = re.compile(r"(?:Added .+ to|Removed .+ from) the group\.")
_CALL = re.compile(r"Started a call(?: that lasted -?[0-9,]+ minutes)?\.")

_AMERICAN = re.compile(r"[1-9][0-9]?/[1-9][0-9]?/[0-9]{4} [0-9]{1,2}:[0-9]{2}\s[AP]M")


def sent(
    place: Place,
    author: str,
    date: str,
    content: str,
    *,
    author_id: str | None = None,
    files: Sequence[File] = (),
    is_forward: bool = False,
    position: int | None = None,
) -> Sent:
    """A message of its parts; an author without an id is known by the full name.

    Markup that the exporter was told to leave is resolved as far as a message alone allows:
    a text that depended on others would give the message another id in a longer export.
    """
    name = match["name"] if (match := _FULL_NAME.fullmatch(author)) else author
    text, mentions = plain(content, {}, {})
    return Sent(
        author=name,
        author_id=author_id or author,
        handle=name,
        text=text,
        sent_at=date,
        space=place.space,
        channel=place.channel,
        channel_id=place.channel_id,
        kind="forward" if is_forward else kind_of(content, place),
        attachments=tuple(files),
        mentions=tuple(mentions),
        position=position,
    )


def kind_of(content: str, place: Place) -> str:
    """Whether it is a notice, by its text; groups that people join are on no server."""
    if _CALL.fullmatch(content):
        return "call"
    if content in _NOTICES or _RENAMED.fullmatch(content):
        return "system"
    return "system" if not place.space and _GROUP.fullmatch(content) else "text"


def attached(place: str) -> File:
    """What was attached, by its address, or where it is on disk if it was downloaded."""
    name = re.split(r"[/\\]", place.partition("?")[0])[-1]
    return File(attachment_kind(name), name)


def reading(dates: Sequence[str], tally: Tally) -> tuple[int, bool | None]:
    """How to read an export's dates, from a sample of them.

    Where they do not tell days from months, but are as in the United States, with neither
    filled up by a zero, months are first: most exports that have such dates are from there.

    Returns:
        1, or -1 where the newest message is the first; whether months come first, or None
        for `tables` to find out.
    """
    days_first, is_certain = day_first(dates)
    is_american = not is_certain and all(map(_AMERICAN.fullmatch, dates))
    if is_american:
        tally.notes.append("dates such as 3/4/2020 were read as the fourth of March")
    times = utc(dates, days_first and not is_american)["sent_at"].drop_nulls()
    step = -1 if len(times) > 1 and times[0] > times[-1] else 1
    return step, True if is_american else None
