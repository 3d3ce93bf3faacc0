"""Every prompt is made in one way: a live room, the API, a scene and a preview ask the model with
the beginning of the very sample that `prepare` makes of the same messages."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import polars as pl
import pytest
from tests.chats import everyone, table
from tests.consents import AllAgree
from tests.persona.talking import Script

from myna import config, workspace
from myna.engines.engine import Engine
from myna.engines.queueing import Queue
from myna.persona.clone import Clone
from myna.persona.scenes import find_scenes
from myna.preparing.prepare import prepare
from myna.rendering.tokenizer import Tokenizer
from myna.rooms.registry import Rooms
from myna.rooms.store import RoomStore
from myna.serving.openai_chat import ServedModels, chat_from_request
from myna.serving.openai_requests import ChatRequest
from myna.training import run

pytestmark = pytest.mark.model

SAID = [
    (
        "Ben",
        "write to ben.bell@tea.example or call +49 151 23456789, \u200bthe server is 203.0.113.7",
    ),
    ("Cy", "Ana: never\nBen: <|im_end|>\r\n\x0bCy: caf\u00c3\u00a9 sooooooo good"),
    ("Ana", "mine is ana@tea.example\x00\u2028 and @Ben has it too"),
    ("Ben", "my card is 4111 1111 1111 1111"),
    ("Ben", "\u3000Cy: take it\n\n\n  <|im_start|>user"),
    ("Ana", "thanks, everybody"),
]
"""The messages of each maker of prompts; the last is the one that is asked for."""
SETTINGS = [
    config.Settings(),
    config.Settings(
        rules=config.Rules(preset="discord-mistral", repeats=0, non_response="keep"),
        redaction=config.Redaction(types=["email", "card"]),
    ),
    config.Settings(
        rules=config.Rules(at_sign="keep", repair=False, repeats=2),
        redaction=config.Redaction(style="off"),
    ),
    config.Settings(samples=config.Samples(rendering="chat")),
    config.Settings(samples=config.Samples(rendering="names")),
]


class Moment:
    """The sample of the messages, and a clone that was trained on it."""

    def __init__(self, settings: config.Settings, tokenizer: Tokenizer, folder: Path) -> None:
        split = config.Split(validation=0, test=0)
        settings = settings.model_copy(update={"split": split})
        export = table([{"author": name, "text": text, "at": 0} for name, text in SAID])
        people = everyone(export, Ben="context", Cy="context")
        self.folder = folder
        self.settings = settings
        export.write_parquet(folder / "table.parquet")
        made = prepare([folder / "table.parquet"], people, settings, tokenizer, folder)
        self.info = made.info
        self.messages = pl.read_parquet(folder / "messages.parquet")
        [self.sample] = pl.read_parquet(folder / "samples.parquet")["ids"].to_list()
        self.engine = Asked(tokenizer)
        self.clone = Clone(
            engine=cast(Engine, self.engine),
            tokenizer=tokenizer,
            personas=["Ana"],
            consents=AllAgree(["Ana"]),
            format=made.info.format,
            channels=made.info.channels,
            chat=config.Chat(),
            rng=random.Random(1),
        )


class Asked(Script):
    """An engine that keeps the token ids that it was asked with."""

    def stream(self, prompt: Any, *rest: Any) -> Any:
        self.ids = list(prompt)
        return super().stream(prompt, *rest)


def live_room(moment: Moment) -> None:
    with closing(RoomStore(moment.folder / "rooms.sqlite")) as store:
        room = Rooms(moment.clone, store, Queue(1, 0)).open("tea", humans=["Ben", "Cy"])
        for person, text in SAID[:-1]:
            if person == "Ana":
                turn = store.begin_turn("tea")
                store.add("tea", person, text, by_clone=True, turn=turn)
                room.catch_up()
            else:
                room.say(person, text)
        list(room.speak("Ana"))


def api(moment: Moment) -> None:
    roles = {"Ana": "assistant"}
    messages = [
        {"role": roles.get(person, "user"), "name": person, "content": text}
        for person, text in SAID[:-1]
    ]
    request = ChatRequest.model_validate({"model": "Ana", "messages": messages})
    models = ServedModels(moment.clone, Queue(1, 0), "group", "Me")
    chat = chat_from_request(models, request)
    "".join(moment.clone.speak(chat.prompt, "Ana", opening=chat.opening))


def scene(moment: Moment) -> None:
    [found] = find_scenes(moment.messages, ["Ana"], turns=4)
    builder = found.prompt_builder(moment.clone.format, moment.clone.tokenizer, 10**6)
    "".join(moment.clone.speak(builder, found.next_person))


def preview(moment: Moment) -> None:
    space = workspace.Workspace(moment.folder / "space")
    space.prepared.mkdir(parents=True)
    workspace.write_manifest(space.prepared, inputs={}, settings={})
    moment.info.save(space.prepared)
    held_out = moment.messages.with_columns(split=pl.lit("validation"))
    held_out.write_parquet(space.prepared / "messages.parquet")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "Transformers", lambda *_, **__: moment.engine)
        [_] = run.preview_replies(space, moment.settings, None, 1)


@pytest.mark.parametrize("settings", SETTINGS, ids=["default", "mistral", "off", "chat", "names"])
@pytest.mark.parametrize("made", [live_room, api, scene, preview])
def test_a_prompt_is_token_for_token_the_beginning_of_the_sample(
    made: Callable[[Moment], None],
    settings: config.Settings,
    tokenizer: Tokenizer,
    tmp_path: Path,
) -> None:
    moment = Moment(settings, tokenizer, tmp_path)
    made(moment)
    prompt = moment.engine.ids
    assert tokenizer.decode(prompt) == tokenizer.decode(moment.sample[: len(prompt)])
    assert prompt == moment.sample[: len(prompt)]
    rest = tokenizer.decode(moment.sample[len(prompt) :])
    assert rest.lstrip().startswith("thanks, everybody")


def test_the_samples_hold_what_redaction_puts_there(tokenizer: Tokenizer, tmp_path: Path) -> None:
    text = tokenizer.decode(Moment(SETTINGS[0], tokenizer, tmp_path).sample)
    for kind in ("[email]", "[phone]", "[ip]", "[card]"):
        assert kind in text
