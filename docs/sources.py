"""Generate docs/sources.md: the features that myna reads of each platform.

python docs/sources.py [OUT]
"""

from __future__ import annotations

import sys
from pathlib import Path

from myna import sources

_HEAD = """\
# What myna reads

    myna import ~/exports/

`myna import` takes files, folders and zip archives, which it reads in place. It recognises the
format of each file; `--source NAME` overrides that. Importing again adds only new messages.
Files that cannot be read are reported.

`make docs` generates this page from the sources. Tests check each ✓, and each gap, with the
fixtures in `tests/sources/fixtures`. Reactions are not read, since nothing uses them.

"""

_NOTES = """
Times are stored in UTC. If a format has no time zone, its times are taken for UTC and marked
(`zone_assumed`); the order of messages and the gaps between them are correct all the same.
People are identified by their accounts, or by their names if the format has no accounts.
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
