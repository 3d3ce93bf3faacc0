"""The frame of all HTML pages: no scripts, nothing fetched, in the colours of the system."""

from __future__ import annotations

from html import escape

_STYLE = """:root { color-scheme: light dark; --ink: #1c1f24; --soft: #5d6673; --line: #dfe3e8;
  --card: #fff; --page: #f5f6f8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --soft: #98a1ad; --line: #31363d;
  --card: #1d2126; --page: #14171a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.7rem; margin: 0; letter-spacing: -.01em; }
h2 { font-size: 1.05rem; margin: 2.5rem 0 .75rem; }
p { margin: .35rem 0 0; color: var(--soft); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .6rem;
  padding: 1rem 1.2rem; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
"""
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>
{style}</style></head>
<body><main>{body}</main></body></html>
"""


def document(title: str, style: str, body: str) -> str:
    """A page.

    Args:
        title: plain text.
        style: CSS besides that of every page: `.card` is a box, `--ink` and the like are colours.
        body: HTML, all text in it escaped.
    """
    return _PAGE.format(title=escape(title), style=_STYLE + style, body=body)
