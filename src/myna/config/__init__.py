"""The settings of a workspace: `myna.toml`, validated.

Every field says what it does; the file that `myna new` writes is made from these words.
"""

from myna.config.chats import Conversations, Filter, PersonalData, Quality, Redaction, Split
from myna.config.clones import Bot, Chat, EngineServer, PersonaSampling, Samples, Train
from myna.config.fields import Sampling, seconds
from myna.config.rules import Rules
from myna.config.settings import (
    Settings,
    changes,
    load,
    override,
    parse,
    template,
    updated,
    with_choices,
)
