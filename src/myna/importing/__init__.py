"""From exports to stored messages.

discover      the chat files behind paths: folders searched through, archives looked into
import_files  read them, store what is new, add new people
store         message tables of a workspace: what is new, written as it comes
"""
