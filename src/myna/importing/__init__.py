"""From exports to stored messages.

discover      find the chat files behind paths: search folders, look into archives
import_files  read them, store new messages, add new people
"""
