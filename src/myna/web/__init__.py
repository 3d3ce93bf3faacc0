"""The pages of `myna serve`: for people who would rather look than type.

app        adds the pages to the server's app
shell      templates, style and scripts as files, the headers of every page
login      the login page and its cookie
jobs       commands that pages start, each a process of its own: job_runner
commands   what the owner's APIs share: short commands, jobs and their output
uploads    files that are dropped on a page, in resumable pieces
data       imports, people and consent, channels, the ledger, samples
training   logs as they grow; start, stop, resume
report     figures of an evaluation, two clones side by side
game       rounds of "who said it?"; game_cards, game_routes: its cards, and its paths
first_run  from an empty workspace to the first chat

A page is a shell from `templates/` and small ES modules from `static/`, which fetch all that
they show from the JSON APIs. No text of a chat ever becomes HTML: the content policy of every
page forbids scripts to write any.
"""
