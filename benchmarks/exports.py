"""Generated exports to measure readers with: seedable, and written exactly as exporters do.

python benchmarks/exports.py discord-small --messages 1000000 FOLDER
python benchmarks/exports.py discord-large --bytes 5000000000 FOLDER

The forms are in exports_discord, exports_json and exports_text, and what they share is in
exports_form. Of all but the database the texts are drawn from a pool of some thousands.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import exports_discord
import exports_json
import exports_text
from exports_form import write

Writer = Callable[[Path, int, int, int], int]
"""Writes an export: folder, number of messages or else bytes, seed; returns the number."""

EXPORTS: dict[str, Writer] = {
    "discord-small": partial(write, exports_discord.small),
    "discord-large": partial(write, exports_discord.large),
    "discord_chat_exporter_csv": partial(write, exports_discord.csv),
    "discord_chat_exporter_html": partial(write, exports_discord.html),
    "discord_chat_exporter_text": partial(write, exports_discord.text),
    "discord_package": partial(write, exports_discord.package),
    "telegram": partial(write, exports_json.telegram),
    "whatsapp": partial(write, exports_text.whatsapp),
    "signal_export": partial(write, exports_json.signal_export),
    "signal_export-markdown": partial(write, exports_text.signal_export),
    "signalbackup_tools": partial(write, exports_text.signalbackup_tools),
    "signalbackup_tools-csv": partial(write, exports_text.signalbackup_tools_csv),
    "sigtop": partial(write, exports_text.sigtop),
    "sigtop-json": partial(write, exports_json.sigtop),
    "imessage_database": exports_text.imessage_database,
    "imessage_exporter": partial(write, exports_text.imessage_exporter),
    "messenger": partial(write, exports_json.messenger),
    "slack": partial(write, exports_json.slack),
    "irc": partial(write, exports_text.irc),
    "element": partial(write, exports_json.element),
    "google_chat": partial(write, exports_json.google_chat),
    "chatlab": partial(write, exports_json.chatlab),
    "chatlab-lines": partial(write, exports_json.chatlab_lines),
    "csv_table": partial(write, exports_text.csv_table),
    "json_lines": partial(write, exports_json.json_lines),
    "journal": partial(write, exports_text.journal),
}


def main() -> None:
    """Write an export and print its size."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("format", choices=EXPORTS, metavar="FORMAT", help=", ".join(EXPORTS))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--messages", type=int, default=0)
    parser.add_argument("--bytes", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    if not wanted.messages and not wanted.bytes:
        sys.exit("give an amount: --messages N or --bytes N")
    count = EXPORTS[wanted.format](wanted.folder, wanted.messages, wanted.bytes, wanted.seed)
    size = sum(path.stat().st_size for path in wanted.folder.rglob("*") if path.is_file())
    print(f"{count:,} messages, {size:,} bytes, {size / count:.0f} bytes a message")


if __name__ == "__main__":
    main()
