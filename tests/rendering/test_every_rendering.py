"""What holds for every rendering: what is trained, once, and only that; and never too much."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.bases import KINDS, make
from tests.chats import cleaned, everyone, names, table, texts, thorough
from tests.metadata import NOT_REDACTED, adapter_info, prompt_format

from myna import config
from myna.artifacts import AdapterInfo
from myna.conversations import sessions, splits
from myna.errors import SettingsError
from myna.messages import tidy
from myna.persona.prompt import Room
from myna.preparing.conversation_lines import lines
from myna.preparing.windowed_segments import Drafts, drafts
from myna.rendering import renderings
from myna.rendering import spec as markups
from myna.rendering.encode import encode, token_kinds
from myna.rendering.render import CONTEXT, END, REPLY, Part, loudest, merge, segments
from myna.rendering.render_batch import render_batch, with_written
from myna.rendering.spec import Markup
from myna.rendering.tokenizer import Tokenizer
from myna.training import data as trained_samples
from myna.workspace import Workspace

Base = tuple[Markup, Tokenizer]
ALL = config.Split(validation=0, test=0)

often = settings(thorough, max_examples=10)
"""For properties that are tried in every rendering."""


def split(rows: list[dict[str, Any]], **consents: Any) -> pl.DataFrame:
    kept = sessions.split(cleaned(table(rows), **consents), gap_minutes=60)
    return splits.hold_out(kept, ALL).with_columns(doubled=pl.lit(False))


def samples_of(
    kept: pl.DataFrame, base: Base, **chosen: Any
) -> tuple[list[dict[str, Any]], list[Drafts]]:
    """The samples of messages, and the drafts that they were made from."""
    markup, tokenizer = base
    chosen = {"rendering": markup.style, **chosen}
    made = list(drafts(kept, config.Samples.model_validate(chosen), tokenizer, markup))
    rows = [
        row
        for draft in made
        for row in encode(
            draft.segments, tokenizer, ends=draft.samples["ends"].to_numpy(), bare=markup.bare
        ).to_dicts()
    ]
    return rows, made


def said_in(sample: dict[str, Any], label: int = REPLY) -> str:
    """The segments of a label, the others a tab."""
    return "".join(s["text"] if s["label"] == label else "\t" for s in sample["segments"])


chats = st.lists(
    st.tuples(
        st.sampled_from(["Ana", "Ana", "Ben", "Cy"]),
        st.sampled_from(
            ["hm", "Ben: no\nAna: yes", "<|im_end|></s><|eot|>", "a b " * 70, "x" * 300]
        ),
        st.sampled_from([0, 1, 90]),
        st.sampled_from(["text", "text", "text", "entry"]),
    ),
    min_size=1,
    max_size=14,
)


def rows_of(chat: list[tuple[str, str, int, str]]) -> list[dict[str, Any]]:
    """Message rows, each with a text that is its own."""
    at = 0
    rows = []
    for number, (author, words, gap, kind) in enumerate(chat):
        at += gap
        rows.append({"author": author, "text": f"{words} <{number}>", "at": at, "kind": kind})
    return rows


@often
@given(chats, st.sampled_from(["fit", "random"]), st.sampled_from([0, 40]))
def test_each_message_is_a_target_once_and_nothing_else_is(
    rendering_of: Base, chat: list[tuple[str, str, int, str]], window: str, overlap: int
) -> None:
    markup, tokenizer = rendering_of
    rows = rows_of(chat)
    kept = split(rows, Cy="context")
    wanted = set(map(int, kept.filter("trained")["id"]))
    made, of = samples_of(
        kept, rendering_of, max_tokens=300, overlap_tokens=overlap, window=window, system="{name}"
        if markup.per_persona else "Chat.",
    )  # fmt: skip

    trained = Counter(int(n) for one in made for n in re.findall(r"<(\d+)>", said_in(one)))
    assert trained == dict.fromkeys(wanted, 1)
    messages = [number for draft in of for number in draft.messages]
    assert sorted(messages) == sorted({int(row) for row in messages})
    for sample in made:
        ids, spans, pieces = sample["ids"], sample["target_spans"], sample["segments"]
        assert len(ids) <= 300
        assert spans
        # Nobody else's words are trained, and where each has samples of their own, one's only.
        whose = {span["person"] for span in spans}
        assert whose <= {"Ana", "Ben"}
        assert len(whose) == 1 or not markup.per_persona
        authors = {rows[int(n)]["author"] for n in re.findall(r"<(\d+)>", said_in(sample))}
        assert authors <= whose
        # Typed control tokens stay text: the others are where the rendering puts them.
        control = [tokenizer.control_id(s["text"]) for s in pieces if s["control"]]
        bos = list(tokenizer.bos) if markup.bare else []
        eos = [tokenizer.eos] * (markup.bare and ids[-1] == tokenizer.eos)
        assert [i for i in ids if i in tokenizer.control] == [*bos, *control, *eos]
        # What the segments say is what the tokens say.
        inner = ids[len(bos) : len(ids) - len(eos)]
        assert tokenizer.decode(inner) == "".join(s["text"] for s in pieces)
        for span in spans:
            assert span["start"] <= span["words_start"] < span["words_end"] <= span["end"]
            spoken = tokenizer.decode(ids[span["words_start"] : span["words_end"]])
            assert span["characters"] == len(spoken) - spoken.startswith((" ", "\n"))


@often
@given(chats, st.sampled_from(["fit", "random"]))
def test_masks_of_each_person_add_up_to_the_mask_of_all(
    rendering_of: Base, chat: list[tuple[str, str, int, str]], window: str
) -> None:
    system = "{name}" if rendering_of[0].per_persona else "Chat."
    kept = split(rows_of(chat), Cy="context")
    made, _ = samples_of(kept, rendering_of, max_tokens=300, window=window, system=system)
    for sample in made:
        table = pl.DataFrame([sample])
        [mask] = trained_samples.of(table).loss_masks
        own = [mask for who in ("Ana", "Ben") for mask in trained_samples.of(table, who).loss_masks]
        assert list(map(sum, zip(*own, strict=True))) == mask
        # Exactly the trained segments are in it, the tokens that open a turn as well.
        tokenizer, ids = rendering_of[1], sample["ids"]
        eos = [tokenizer.eos] * (rendering_of[0].bare and ids[-1] == tokenizer.eos)
        trained = [token for token, is_in in zip(ids, mask, strict=True) if is_in]
        trained = trained[: len(trained) - len(eos) * mask[-1]]
        text = "".join(s["text"] for s in sample["segments"] if s["label"] != CONTEXT)
        assert tokenizer.decode(trained) == text


@often
@given(st.lists(st.tuples(names, texts), min_size=1, max_size=7))
def test_a_prompt_is_token_for_token_the_beginning_of_a_sample(
    rendering_of: Base, history: list[tuple[str, str]]
) -> None:
    markup, tokenizer = rendering_of
    export = table([{"author": name, "text": text, "at": 0} for name, text in history])
    kept = splits.hold_out(sessions.split(cleaned(export), gap_minutes=60), ALL)
    said = lines(kept)
    if not said.height:
        return
    called = {p.accounts[0].partition(":")[2]: p.name for p in everyone(export).persons}
    stays = {int(number) for number in kept["id"]}
    members = loudest(said["person"])
    template = "{name} in {channel}: {people}" if markup.per_persona else "{channel}: {people}"
    shape = prompt_format(template, redaction=NOT_REDACTED, markup=markup)
    samples: dict[str | None, list[int]] = {}
    for persona in said["person"].unique() if markup.per_persona else [None]:
        room = Room(shape, tokenizer, members, 10**6, channel="tea")
        schema = ["header", "begin", "start", "end", "next_person"]
        whole = (room.header(persona), 0, 0, said.height, None)
        window = pl.DataFrame([whole], schema=schema, orient="row")
        window = window.cast({"next_person": pl.String})
        made = render_batch(with_written(said, markup, persona), window, markup, persona).segments
        made = encode(made, tokenizer, ends=np.array([False]), bare=markup.bare)
        samples[persona] = made["ids"][0].to_list()
    room = Room(shape, tokenizer, members, 10**6, channel="tea")
    for number, (name, text) in enumerate(history):
        person = called[name]
        if number not in stays:
            continue
        if not room.lines or room.lines[-1].person != person:
            prompt = room.prompt(person)
            assert prompt == samples[person if markup.per_persona else None][: len(prompt)]
            if markup.names_next:
                assert room.before_cue() + room.cue_ids(person) == prompt
        room.say(person, text)


@often
@given(
    st.lists(st.tuples(names, texts.map(tidy).filter(bool)), min_size=1, max_size=5),
    st.integers(1, 9),
)
def test_a_turn_is_read_back_from_a_stream(
    rendering_of: Base, chat: list[tuple[str, str]], size: int
) -> None:
    markup, tokenizer = rendering_of
    turns = merge((name, Part(text)) for name, text in chat)
    for at, turn in enumerate(turns):
        following = turns[at + 1].person if at + 1 < len(turns) else None
        persona = turn.person
        before = segments(markup, "", turns[:at], persona=persona, next_person=persona)
        after = segments(markup, "", turns[: at + 1], persona=persona, next_person=following)
        # An engine gives out text, and ends at a control token.
        stream = "".join(s.text for s in takewhile(lambda s: not s.control, after[len(before) :]))
        reader = Room(prompt_format(markup=markup), tokenizer, [], 9).reader()
        pieces = [stream[n : n + size] for n in range(0, len(stream), size)]
        heard = "".join(map(reader.feed, pieces)) + reader.finish()
        assert heard == "\n".join(part.text for part in turn.parts)


def test_what_ends_a_reply_is_trained_after_every_one(rendering_of: Base) -> None:
    markup, _ = rendering_of
    chat = ["Ben", "Ana", "Ben", "Ana", "Ben"]
    kept = split([{"author": who, "text": "hm", "at": 0} for who in chat], Ben="context")
    [sample], _ = samples_of(
        kept, rendering_of, system="{name}" if markup.style == "chat" else "Chat."
    )
    kinds = token_kinds(len(sample["ids"]), sample["target_spans"])
    after = [kinds[span["words_end"]] for span in sample["target_spans"]]
    assert after == [END, END]
    ending = {
        "transcript": ["\nBen:", "\nBen:"],
        "names": ["<|im_end|>\n<|im_start|>Ben\n"] * 2,
        "mind-upload": ["\nAna:", "\n", "\nAna:", "</s>"],
    }
    if markup.style in ending:
        text = "".join(s["text"] if s["label"] == END else "\t" for s in sample["segments"])
        assert [piece for piece in re.split("\t+", text) if piece] == ending[markup.style]


CHAT = [{"author": ("Ben", "Ana")[n % 2], "text": f"line {n}", "at": 0} for n in range(60)]
HOURS = [{"author": who, "text": "hm", "at": n * 90} for n, who in enumerate(["Ana", "Ben"] * 9)]


class TestWindows:
    @pytest.fixture
    def mind_upload(self, tmp_path: Any) -> Base:
        tokenizer = make(tmp_path, KINDS["text-markers"])
        return renderings.of("mind-upload", tokenizer), tokenizer

    def test_random_ones_have_two_to_ten_turns(self, mind_upload: Base) -> None:
        kept = split(CHAT, Ben="context")
        made, _ = samples_of(kept, mind_upload, window="random", system="Chat.")
        again, _ = samples_of(kept, mind_upload, window="random", system="Chat.")
        other, _ = samples_of(kept, mind_upload, window="random", system="Chat.", seed=1)
        sizes = [said_in(sample).count("line") * 2 for sample in made]
        assert sum(sizes) == 60
        assert 2 <= min(sizes) <= max(sizes) <= 10
        assert len(set(sizes)) > 2
        assert again == made != other

    def test_none_opens_with_the_personas_own_turn(self, mind_upload: Base) -> None:
        kept = split(CHAT[1:], Ben="context")
        made, of = samples_of(kept, mind_upload, max_tokens=200, overlap_tokens=0, system="Chat.")
        first = ["".join(s["text"] for s in one["segments"]).split("\n")[1] for one in made]
        assert first[0] == "Ana: line 1"  # nobody spoke before
        assert all(line.startswith("Ben:") for line in first[1:])
        assert of[0].opened == 1
        assert 0 < of[0].led < len(made)


class TestSystemLines:
    @pytest.fixture
    def chat(self, tmp_path: Any) -> Base:
        tokenizer = make(tmp_path, KINDS["default-system"])
        return renderings.of("chat", tokenizer), tokenizer

    def header(self, sample: dict[str, Any]) -> str:
        return str(sample["segments"][2]["text"])

    def test_by_default_a_chat_says_whom_the_assistant_speaks_for(self, chat: Base) -> None:
        made, _ = samples_of(split(HOURS), chat)
        assert {self.header(sample) for sample in made} == {
            "You are Ana in a chat in tea: Ana.", "You are Ben in a chat in tea: Ben."
        }  # fmt: skip

    def test_place_day_and_platform_are_filled_in(self, chat: Base) -> None:
        line = "{name} {people} {channel} {date} {platform}"
        made, _ = samples_of(split(HOURS[:1]), chat, system=line)
        assert self.header(made[0]) == "Ana Ana tea 2024-05-01 test"

    def test_several_come_by_turns_and_always_the_same(self, chat: Base) -> None:
        several = {"system": ["{name} 1", "{name} 2", "{name} 3"]}
        made, _ = samples_of(split(HOURS), chat, **several)
        again, _ = samples_of(split(HOURS), chat, **several)
        assert len({self.header(sample) for sample in made}) == 6
        assert list(map(self.header, made)) == list(map(self.header, again))

    def test_without_a_name_nobody_knows_who_the_assistant_is(self, chat: Base) -> None:
        with pytest.raises(SettingsError, match=r"no \{name\}, so nothing says whom of 2"):
            samples_of(split(HOURS), chat, system="Chat.")
        assert samples_of(split(HOURS, Ben="context"), chat, system="Chat.")[0]

    def test_one_sample_for_several_has_no_name(self, chat: Base) -> None:
        base = markups.TRANSCRIPT, chat[1]
        with pytest.raises(SettingsError, match="a sample of transcript has 2 personas"):
            samples_of(split(HOURS), base, system="{name}")
        [first, *_], _ = samples_of(split(HOURS, Ben="context"), base, system="{name}!")
        assert first["segments"][0] == {"text": "Ana!\n", "label": CONTEXT, "control": False}


def test_names_needs_the_tokens_that_it_is_made_of(tmp_path: Any) -> None:
    with pytest.raises(SettingsError, match=r"needs the control token <\|im_start\|>.*transcript"):
        renderings.of("names", make(tmp_path, KINDS["headers"]))


def test_nobody_is_called_like_a_role_of_chatml(tmp_path: Any) -> None:
    tokenizer = make(tmp_path, KINDS["default-system"])
    base = renderings.of("names", tokenizer), tokenizer
    [sample], _ = samples_of(split([{"author": "system", "text": "obey"}]), base, system="Hm.")
    text = "".join(s["text"] for s in sample["segments"])
    assert text == ("<|im_start|>system\nHm.<|im_end|>\n<|im_start|>system_\nobey<|im_end|>\n")
    room = Room(prompt_format("Hm.", markup=base[0]), tokenizer, ["system"], 99)
    assert tokenizer.decode(room.prompt("system")) == text.partition("obey")[0]


def test_a_markup_is_read_back_as_it_was_stored(rendering_of: Base, tmp_path: Path) -> None:
    markup, _ = rendering_of
    stored = replace(prompt_format(), markup=markup)
    adapter_info(format=stored).save(Workspace(tmp_path).adapter("group"))
    assert AdapterInfo.load(Workspace(tmp_path), "group").format == stored
