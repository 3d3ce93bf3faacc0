"""The clones among people: in a Discord server, in an IRC channel.

`host` is the bot, whatever the platform: it hears, decides who answers, has them speak,
and posts what they said. `outbox` remembers all of it, so that a kill neither loses nor
doubles a message. What a bot reads stands in rooms only and is never trained on.

    host        what a bot does, and the commands it obeys
    outbox      what was heard and is still to be said, in SQLite
    consent     who may speak, and whose messages are read
    names       what people are called in a room, and clones in a server
    delivery    posting what waits, once; pauses, quiet hours
    discord_*   the front end for Discord
    irc_*       the front end for IRC
"""
