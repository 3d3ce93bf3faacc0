"""The command line: parsing and printing, one file for each command.

Reports go to standard output, progress and notes to standard error. With `--json` a
command prints one JSON document on standard output and nothing else there. An error of
myna's is one line and an exit status that is not 0; `--debug` shows where it came from.
"""

from myna.cli.commands import app, main
