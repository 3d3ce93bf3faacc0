"""Bots: the clones in Discord servers and IRC channels.

A `host` works on any platform: it receives messages, chooses who answers, and posts the
answers. Its `outbox` neither loses nor doubles a message if the process is killed. Messages
that a bot reads are stored in rooms only, and never trained on.

    host, commands   the bot of any platform, and its commands
    outbox           received messages and waiting posts, in SQLite
    front            the interface of a platform; display names
    delivery         posting each message once; typing pauses, quiet hours
    discord_*        the front end for Discord
    irc_*            the front end for IRC
"""
