"""The errors that a user can meet.

    MynaError
    ├── SettingsError     a wrong value in myna.toml or on the command line
    ├── WorkspaceError    not a workspace, a stage that is missing, a disk that is full
    ├── SourceError       not a chat export, or a file that cannot be read
    ├── PeopleError       an unknown person
    │   └── ConsentError      one who may not be cloned (any more)
    ├── ModelError        a base model or an adapter that is missing or damaged
    ├── EngineError       an engine that cannot do a request
    │   └── BusyError         its queue is full
    ├── RoomError         an impossible room, or a message that is unknown or refused
    │   ├── EditConflictError a message that somebody else edited meanwhile
    │   └── SpeakingError     a live reply is being generated already
    ├── TrainingError     training that would train nothing, or diverged
    ├── ExportError       an unknown format, or nothing to write in it
    └── BotError          a bot that cannot connect, or lacks permissions

Every message is one line for people: what is wrong, where, what to do next. The
command line prints it without a stack trace (``--debug`` shows that) and exits with
``exit_status``.
"""

from typing import Any


class MynaError(Exception):
    """The root: catch this one to catch all that myna raises on purpose."""

    exit_status = 1


class SettingsError(MynaError):
    """A wrong value in myna.toml or on the command line."""

    exit_status = 2


class WorkspaceError(MynaError):
    """Not a workspace, a stage whose output is missing, or a disk that is full."""


class SourceError(MynaError):
    """Not a chat export, or a file that cannot be read."""


class PeopleError(MynaError):
    """An unknown person."""


class ConsentError(PeopleError):
    """A person who may not be cloned, or not any more."""


class ModelError(MynaError):
    """A base model or an adapter that is missing, damaged or of an unknown kind."""


class EngineError(MynaError):
    """An engine that cannot do a request."""


class BusyError(EngineError):
    """An engine's queue is full, or a command runs already: ask again later."""


class RoomError(MynaError):
    """An impossible room, or a message that is unknown or refused."""


class EditConflictError(RoomError):
    """A message was edited by somebody else meanwhile; `newest` is the message now."""

    def __init__(self, newest: Any) -> None:
        super().__init__("somebody else changed this message meanwhile: look at it, then edit it")
        self.newest = newest


class SpeakingError(RoomError):
    """A live reply is being generated in the room already."""


class TrainingError(MynaError):
    """Training that would train nothing, or that diverged."""


class ExportError(MynaError):
    """An unknown format, nothing to write in it, or nowhere to put it."""


class BotError(MynaError):
    """A bot that cannot connect, or lacks permissions."""


def first_line(error: BaseException, max_chars: int = 200) -> str:
    """The first line of another library's exception, of at most `max_chars` characters."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:max_chars]
