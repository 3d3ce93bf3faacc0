"""Write docs/sources.md: what myna reads of each platform.

python docs/sources.py [OUT]
"""

from __future__ import annotations

import sys
from pathlib import Path

from myna import sources

_HEAD = """\
# What myna reads

`myna import` finds out by itself what a file is; `--source NAME` overrides that. Files,
folders and zip archives will do, and an archive is read in place. Importing again adds
what is new.

Generated from the sources themselves: `make docs` writes it anew, and a test says when it
is out of date. That each ✓ is true, and nothing else is, is tested with the fixtures of
`tests/sources/fixtures`. Reactions are read of no platform, since nothing uses them.

"""

_NOTES = """
Times are kept in UTC. Where a format has no time zone they are taken for UTC and marked so
(`zone_assumed`); the order of messages and the silences between them are right all the
same. People are known by their accounts where the format has any, else by their names.
"""


def page() -> str:
    """The page, as Markdown."""
    rows = [
        f"| `{name}` | {module.TITLE} | "
        + " | ".join("✓" if feature in module.READS else "" for feature in sources.FEATURES)
        + " |"
        for name in sources.names()
        for module in [sources.load_source(name)]
    ]
    columns = ["`--source`", "format", *sources.FEATURES]
    head = f"| {' | '.join(columns)} |\n|{'---|' * 2}{':-:|' * len(sources.FEATURES)}\n"
    meanings = [f"- **{feature}**: {meaning}" for feature, meaning in sources.FEATURES.items()]
    return "\n".join([_HEAD + head + "\n".join(rows), "", *meanings, _NOTES])


if __name__ == "__main__":
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_suffix(".md")
    out.write_text(page(), "utf-8")
