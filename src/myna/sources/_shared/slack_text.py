"""The text of Slack's messages: mrkdwn, the blocks of rich texts, and attachments.

Mrkdwn is as Slack's reference has it ("Formatting text for app surfaces"): `<…>` is markup
and `& < >` are entities, so a `<` in it is never the text's own. Blocks are those of its
"Block Kit"; of a rich text only as many levels are read as it can have.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from myna.sources._shared.html import replace_markup
from myna.sources._shared.message_table import Mention

_MARKUP = re.compile(
    r"<(?P<mark>[@#!]?)(?P<target>[^<>|\n]*)(?:\|(?P<label>[^<>\n]*))?>|&(?P<entity>amp|lt|gt);"
)
_ENTITIES = {"amp": "&", "lt": "<", "gt": ">"}
_UPLOAD = re.compile(
    r"<@[^<>\n]*> (?:uploaded|shared)[^<>\n]{0,40}: <[^<>\n]*>(?: and commented: )?"
)
_SCHEME = re.compile(r"(?:https?://|mailto:|tel:)", re.IGNORECASE)


def message_mrkdwn(item: dict[str, Any], subtype: str) -> str:
    """A message's text as mrkdwn, from its text, blocks or attachments."""
    text = get_text(item, "text")
    if subtype == "file_share" and (upload := _UPLOAD.match(text)):
        return text[upload.end() :]
    if text:
        return text
    if blocks := [shown for block in get_objects(item, "blocks") if (shown := _block(block))]:
        return "\n".join(blocks)
    parts = [
        get_text(attachment, key)
        for attachment in get_objects(item, "attachments")
        if attachment.get("is_share") is not True
        for key in (("pretext", "title", "text") if attachment.get("text") else ("fallback",))
    ]
    return "\n".join(filter(None, parts))


def _block(block: dict[str, Any]) -> str:
    """The text of a block of Slack's Block Kit as mrkdwn."""
    if get_text(block, "type") == "rich_text":
        parts = [_rich(element) for element in get_objects(block, "elements")]
    else:
        inner = [
            get_object(block, "text"),
            *get_objects(block, "fields"),
            *get_objects(block, "elements"),
        ]
        parts = [_text_object(part) for part in inner] + [get_text(block, "text")]
    return "\n".join(filter(None, parts))


def _rich(element: dict[str, Any]) -> str:
    """A paragraph, list, quotation or piece of code of a rich text."""
    kind = get_text(element, "type")
    inner = get_objects(element, "elements")
    if kind == "rich_text_list":
        return "\n".join(
            "• " + "".join(map(_leaf, get_objects(part, "elements"))) for part in inner
        )
    text = "".join(map(_leaf, inner)).removesuffix("\n")
    if kind == "rich_text_quote":
        return "\n".join(f"&gt; {line}" for line in text.split("\n"))
    return f"```{text}```" if kind == "rich_text_preformatted" else text


def _leaf(leaf: dict[str, Any]) -> str:
    """A run of text, a mention or the like, as mrkdwn."""
    match get_text(leaf, "type"):
        case "user":
            return f"<@{get_text(leaf, 'user_id')}>"
        case "channel":
            return f"<#{get_text(leaf, 'channel_id')}>"
        case "broadcast":
            return f"<!{get_text(leaf, 'range')}>"
        case "usergroup":
            return f"<!subteam^{get_text(leaf, 'usergroup_id')}>"
        case "emoji":
            return f":{get_text(leaf, 'name')}:"
        case "link":
            label = _escaped(get_text(leaf, "text"))
            return f"<{get_text(leaf, 'url')}|{label}>" if label else f"<{get_text(leaf, 'url')}>"
        case "date":
            return _escaped(get_text(leaf, "fallback"))
        case _:
            return _escaped(get_text(leaf, "text"))


def _text_object(part: dict[str, Any]) -> str:
    text = get_text(part, "text")
    return text if get_text(part, "type") == "mrkdwn" else _escaped(text)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def resolve_markup(
    text: str, users: Mapping[str, str], channels: Mapping[str, str]
) -> tuple[str, list[Mention]]:
    """The text as displayed in the chat, and the mentions in it.

    Args:
        text: mrkdwn.
        users: display names, by account.
        channels: names, by id.
    """
    if "<" not in text and "&" not in text:
        return text, []
    return replace_markup(text, _MARKUP, lambda match: _display(match, users, channels))


def _display(
    match: re.Match[str], users: Mapping[str, str], channels: Mapping[str, str]
) -> tuple[str, str | None]:
    """The displayed text of this markup, and the account that it mentions."""
    target, label = match["target"], _unescaped(match["label"] or "")
    if match["mark"] == "@":
        return "@" + (users.get(target) or label.removeprefix("@") or target), target
    return _display_link(match, channels), None


def _display_link(match: re.Match[str], channels: Mapping[str, str]) -> str:
    if entity := match["entity"]:
        return _ENTITIES[entity]
    target, label = match["target"], _unescaped(match["label"] or "")
    if match["mark"] == "#":
        return "#" + (channels.get(target) or label.removeprefix("#") or "channel")
    if match["mark"] == "!":
        if target.startswith("date^"):
            return label
        group = "group" if target.startswith("subteam^") else target
        return "@" + (label.removeprefix("@") or group)
    link = _unescaped(target)
    typed = _SCHEME.sub("", link, count=1)  # Slack makes links of what only looks like one
    if not label:
        return link if link.startswith("http") else typed
    is_plain = label.rstrip("/") in (link.rstrip("/"), typed.rstrip("/"))
    return label if is_plain else f"{label} ({link})"


def _unescaped(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def get_text(item: Mapping[str, Any], key: str) -> str:
    """A field that is text, or else ""."""
    value = item.get(key)
    if isinstance(value, float):
        return f"{value:.6f}"  # a time that some tool took for a number
    return value if isinstance(value, str) else ""


def get_object(item: Mapping[str, Any], key: str) -> dict[str, Any]:
    """A field that is an object, or else an empty one."""
    value = item.get(key)
    return value if isinstance(value, dict) else {}


def get_objects(item: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """The objects in a field that is a list, or else none."""
    value = item.get(key)
    return [part for part in value if isinstance(part, dict)] if isinstance(value, list) else []
