"""Samples as one HTML page, all chat text escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from myna.samples.audit import Audit
from myna.samples.html import document

_CLASSES = ("context", "reply", "end")

_STYLE = """
table { width: auto; }
td { padding: .1rem 1.5rem .1rem 0; }
td + td { text-align: right; font-variant-numeric: tabular-nums; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; }
.context { opacity: .6; }
.reply { background: color-mix(in srgb, limegreen 30%, transparent); }
.end { background: color-mix(in srgb, deepskyblue 40%, transparent); }
.control { font-size: .8em; border: 1px solid; border-radius: .3em; padding: 0 .2em; }
.fatal { color: crimson; font-weight: bold; }
"""
_LEGEND = (
    '<p><span class="reply">what is said</span> is trained, and <span class="end">what ends it'
    '</span>; <span class="context">the rest</span> is context; '
    '<span class="control">control tokens</span> have a frame.</p>'
)


def page(title: str, found: Audit, rows: Iterable[Mapping[str, Any]]) -> str:
    """The page.

    Args:
        title: of the page.
        found: of all samples.
        rows: those to show: number, channel, segments, ids, target_spans.
    """
    cells = [
        ("samples", found.samples),
        ("tokens", found.tokens),
        ("of them trained", found.trained),
        ("replies", found.replies),
        ("replies that nothing ends", found.unended),
        ("shortest, in tokens", found.shortest),
        ("median", found.median),
        ("longest", found.longest),
    ]
    table = "".join(f"<tr><td>{name}</td><td>{number:,}</td></tr>" for name, number in cells)
    fatal = "".join(f'<p class="fatal">{escape(line)}</p>' for line in found.fatal)
    samples = "\n".join(map(_sample, rows))
    head = f"<h1>{escape(title)}</h1>\n{_LEGEND}\n<table>{table}</table>\n{fatal}\n"
    return document(title, _STYLE, head + samples)


def _sample(row: Mapping[str, Any]) -> str:
    trained = sum(span["end"] - span["start"] for span in row["target_spans"])
    head = f"{row['number']:,} · {row['channel']} · {len(row['ids'])} tokens, {trained} trained"
    body = "".join(map(_segment, row["segments"]))
    # A newline right behind <pre> would not count.
    return f'<h2>{escape(head)}</h2>\n<pre class="card">\n{body}</pre>'


def _segment(segment: Mapping[str, Any]) -> str:
    classes = _CLASSES[segment["label"]] + " control" * segment["control"]
    return f'<span class="{classes}">{escape(segment["text"])}</span>'
