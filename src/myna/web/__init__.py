"""The pages of `myna serve`: for people who would rather look than type.

app        adds the pages to the server's app
shell      templates, style and scripts as files, the headers of every page
login      the login page and its cookie

A page is a shell from `templates/` and small ES modules from `static/`, which fetch all that
they show from the JSON APIs. No text of a chat ever becomes HTML: the content policy of every
page forbids scripts to write any.
"""
