"""The errors that a user can meet.

    MynaError
    ├── SettingsError     a wrong value in myna.toml or on the command line
    ├── WorkspaceError    not a workspace, a stage that is missing, a disk that is full
    ├── SourceError       a file that is no chat, or cannot be read
    ├── PeopleError       a person whom nobody knows, or without consent
    ├── ModelError        a base model or an adapter that is missing or damaged
    ├── EngineError       an engine that cannot do what it is asked for
    │   └── BusyError     more is asked of it at once than can wait
    ├── RoomError         a room that cannot be, or a message that cannot stand in one
    │   └── SpeakingError     somebody speaks there already
    ├── TrainingError     training that would train nothing, or went astray
    ├── ExportError       a format that nobody knows, or nothing to write in it
    └── BotError          a bot that cannot connect, or lacks what it needs

Every message is one line for people: what is wrong, where, what to do next. The
command line prints it without a stack trace (``--debug`` shows that) and exits with
``exit_status``.
"""


class MynaError(Exception):
    """The root: catch this one to catch all that myna raises on purpose."""

    exit_status = 1


class SettingsError(MynaError):
    """A wrong value in myna.toml or on the command line."""

    exit_status = 2


class WorkspaceError(MynaError):
    """Not a workspace, a stage whose output is missing, or a disk that is full."""


class SourceError(MynaError):
    """A file that is no chat, or one that cannot be read."""


class PeopleError(MynaError):
    """A person whom nobody knows, or who may not be cloned."""


class ModelError(MynaError):
    """A base model or an adapter that is missing, damaged or of an unknown kind."""


class EngineError(MynaError):
    """An engine that cannot do what it is asked for."""


class BusyError(EngineError):
    """More is asked of an engine at once than can wait in line: ask again later."""


class RoomError(MynaError):
    """A room that cannot be, or a message that is not there or cannot be said."""


class SpeakingError(RoomError):
    """Somebody speaks in the room already."""


class TrainingError(MynaError):
    """Training that would train nothing, or that went astray."""


class ExportError(MynaError):
    """A format that nobody knows, nothing to write in it, or nowhere to put it."""


class BotError(MynaError):
    """A bot that cannot connect, or lacks what it needs there."""


def first_line(error: BaseException, most: int = 200) -> str:
    """What another library's exception says, on one line of at most `most` characters."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:most]
