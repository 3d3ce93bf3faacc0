"""Samples as one static HTML page: no scripts, nothing fetched, all chat text escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from myna.samples.audit import Audit

_CLASSES = ("context", "reply", "end")

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 15px/1.5 system-ui, sans-serif;
  margin: 2rem auto; max-width: 50rem; padding: 0 1rem; }}
table {{ border-collapse: collapse; }}
td {{ padding: .1rem 1.5rem .1rem 0; }}
td + td {{ text-align: right; font-variant-numeric: tabular-nums; }}
h2 {{ font-size: .9rem; font-weight: normal; opacity: .7; margin: 2rem 0 .3rem; }}
pre {{ white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; padding: .8rem 1rem;
  border: 1px solid color-mix(in srgb, currentColor 20%, transparent); border-radius: .4rem; }}
.context {{ opacity: .6; }}
.reply {{ background: color-mix(in srgb, limegreen 30%, transparent); }}
.end {{ background: color-mix(in srgb, deepskyblue 40%, transparent); }}
.control {{ font-size: .8em; border: 1px solid; border-radius: .3em; padding: 0 .2em; }}
.fatal {{ color: crimson; font-weight: bold; }}
</style></head><body>
<h1>{title}</h1>
<p><span class="reply">what is said</span> is trained, and <span class="end">what ends it</span>;
<span class="context">the rest</span> is context;
<span class="control">control tokens</span> have a frame.</p>
<table>{table}</table>
{fatal}
{samples}
</body></html>
"""


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
    return _PAGE.format(
        title=escape(title), table=table, fatal=fatal, samples="\n".join(map(_sample, rows))
    )


def _sample(row: Mapping[str, Any]) -> str:
    trained = sum(span["end"] - span["start"] for span in row["target_spans"])
    head = f"{row['number']:,} · {row['channel']} · {len(row['ids'])} tokens, {trained} trained"
    body = "".join(map(_segment, row["segments"]))
    # A newline right behind <pre> would not count.
    return f"<h2>{escape(head)}</h2>\n<pre>\n{body}</pre>"


def _segment(segment: Mapping[str, Any]) -> str:
    classes = _CLASSES[segment["label"]] + " control" * segment["control"]
    return f'<span class="{classes}">{escape(segment["text"])}</span>'
