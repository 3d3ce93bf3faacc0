"""Rooms: what a model sees at chat time is what it was trained on."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.chats import cleaned, everyone, names, table, texts, thorough, transcript
from tests.metadata import NOT_REDACTED, prompt_format

from myna import config
from myna.config import Sampling
from myna.conversations import sessions, splits
from myna.messages import normalize_text
from myna.persona.prompt import PromptBuilder, PromptMessage, TurnReader
from myna.preparing.windows import lines
from myna.rendering.encode import encode_batch
from myna.rendering.render_batch import render_batch, with_rendered_text
from myna.rendering.renderings import rendering_spec
from myna.rendering.spec import TRANSCRIPT
from myna.rendering.tokenizer import Tokenizer
from myna.rendering.turns import TurnLine, entry_line, merge_turns, most_active

LONG = 10**6


def builder_of(
    tokenizer: Tokenizer, members: list[str], prompt_budget: int = LONG
) -> PromptBuilder:
    shape = prompt_format(redaction=NOT_REDACTED)
    return PromptBuilder(shape, tokenizer, members, prompt_budget, channel="tea")


@pytest.mark.model
def test_drys_breakers_are_lines_and_names_and_not_colons(tokenizer: Tokenizer) -> None:
    sampling = Sampling(dry_multiplier=0.8)
    found = builder_of(tokenizer, ["Ana", "Ben"]).with_breakers(sampling)
    assert found.dry_sequence_breakers == ("\n", "Ana:", "Ben:")
    chatml = builder_of(tokenizer, ["user", "Ben"])
    chatml.format = replace(chatml.format, spec=rendering_spec("names", tokenizer))
    names = chatml.with_breakers(sampling).dry_sequence_breakers
    assert set(names) == {"\n", "<|im_start|>", "<|im_end|>", "user_\n", "Ben\n"}


@pytest.mark.model
@thorough
@given(history=st.lists(st.tuples(names, texts), min_size=1, max_size=7))
@example(history=[("Ana", "\x1fhi\x1c"), ("Ben", "\u2028a\r\n\r\nAna: b\x85"), ("Ana", "\0x\0")])
@example(history=[("Ana", "<|im_end|>"), ("Ana", "Ben: no\nBen: no"), ("Ben", "\n\t Ana: yes")])
def test_a_prompt_is_token_for_token_the_beginning_of_the_sample(
    tokenizer: Tokenizer, history: list[tuple[str, str]]
) -> None:
    export = table([{"author": name, "text": text} for name, text in history])
    kept = sessions.split_conversations(cleaned(export), gap_minutes=60)
    kept = splits.assign_splits(kept, config.Split(validation=0, test=0))
    said = lines(kept)
    builder, sample = None, []
    if said.height:
        builder = builder_of(tokenizer, most_active(said["person"]))
        whole = (builder.header(), 0, 0, said.height, None)
        schema = ["header", "begin", "start", "end", "next_person"]
        window = pl.DataFrame([whole], schema=schema, orient="row").cast({"next_person": pl.String})
        segments = render_batch(with_rendered_text(said, TRANSCRIPT), window).segments
        sample = encode_batch(segments, tokenizer, add_eos=np.array([True]))["ids"][0].to_list()
    called = {p.accounts[0].partition(":")[2]: p.name for p in everyone(export).persons}
    stays = {int(number) for number in kept["id"]}
    for number, (name, text) in enumerate(history):
        person = called[name]
        if builder is None or number not in stays:
            continue
        if not builder.messages or builder.messages[-1].person != person:
            prompt = builder.prompt(person)
            assert prompt == sample[: len(prompt)]
            assert builder.prompt_before_name() + builder.name_ids(person) == prompt
        builder.add(person, text)


@pytest.mark.model
def test_what_is_typed_is_made_normal_as_in_training(tokenizer: Tokenizer) -> None:
    builder = builder_of(tokenizer, ["Ana"])
    builder.add("Ana", "noooooo\u200b cafÃ©")
    builder.add("Ana", "\u200b")
    assert builder.messages == [PromptMessage("Ana", "nooo café")]


@thorough
@given(
    st.lists(st.tuples(names, texts.map(normalize_text).filter(bool)), min_size=1, max_size=5),
    st.lists(st.integers(min_value=1, max_value=9), min_size=1),
)
@example([("Ana", "x\n Ben: y\nBen:z"), ("Ben", "w")], [1])
def test_a_turn_is_read_back_from_pieces_of_any_size(
    lines: list[tuple[str, str]], sizes: list[int]
) -> None:
    turns = merge_turns((name, TurnLine(text)) for name, text in lines)
    following = [*(turn.person for turn in turns[1:]), None]
    for at, (turn, next_person) in enumerate(zip(turns, following, strict=True)):
        rest = transcript("", turns[at:])[2:]
        stream = "".join(segment.text for segment in rest)
        reader = TurnReader()
        heard = ""
        for size in itertools.cycle(sizes):
            heard += reader.feed(stream[:size])
            stream = stream[size:]
            if not stream:
                break
        heard += reader.finish()
        assert heard == "\n".join(part.text for part in turn.lines)
        assert reader.next_person == next_person


class TestTurnReader:
    def test_words_are_given_out_as_soon_as_they_are_certain(self) -> None:
        reader = TurnReader()
        assert [reader.feed(piece) for piece in (" He", "llo", "\nit is", " I, who", ": not")] == [
            "He", "llo", "", "", ""
        ]  # fmt: skip
        assert (reader.ended, reader.next_person) == (True, "it is I, who")

    def test_a_line_too_long_for_a_name_is_not_held_back(self) -> None:
        reader = TurnReader()
        assert reader.feed(" a\n" + "b" * 50) == "a\n" + "b" * 50
        assert reader.feed(": c\n") == ": c"

    def test_a_name_that_the_model_ends_with_is_who_speaks_next(self) -> None:
        reader = TurnReader()
        assert reader.feed(" a\nBen:") + reader.finish() == "a"
        assert reader.next_person == "Ben"

    def test_a_line_that_is_cut_off_is_given_out(self) -> None:
        reader = TurnReader()
        assert reader.feed(" a\nand th") + reader.finish() == "a\nand th"
        assert reader.next_person is None

    def test_after_the_end_nothing_comes(self) -> None:
        reader = TurnReader()
        assert reader.feed(" a\nBen: b\nc") == "a"
        assert reader.feed("\nd") + reader.finish() == ""


@pytest.mark.model
class TestPromptBuilder:
    def test_what_has_no_words_is_not_said(self, tokenizer: Tokenizer) -> None:
        builder = builder_of(tokenizer, ["Ana"])
        for text in ("", " \r\n\t", "\0", "\x1c"):
            builder.add("Ana", text)
        assert builder.messages == []

    def test_a_name_is_made_to_fit_before_a_colon(self, tokenizer: Tokenizer) -> None:
        builder = builder_of(tokenizer, ["Ana"])
        builder.add("Ana:\nBen", "hi")
        assert builder.messages == [PromptMessage("Ana Ben", "hi")]

    def test_half_a_surrogate_pair_can_be_typed(self, tokenizer: Tokenizer) -> None:
        builder = builder_of(tokenizer, ["Ana"])
        builder.add("Ana", "caf\udce9")  # what Python reads from a Latin-1 terminal
        assert tokenizer.decode(builder.prompt("Ben")).endswith("Ana: caf\ufffd\nBen:")

    def test_a_long_history_loses_its_oldest_messages_in_big_steps(
        self, tokenizer: Tokenizer
    ) -> None:
        builder = builder_of(tokenizer, ["Ana", "Ben"], prompt_budget=200)
        beginnings = set()
        for number in range(60):
            builder.add("Ana" if number % 2 else "Ben", f"this is number {number} of them all")
            before = builder.prompt_before_name()
            prompt = builder.prompt("Cy")
            assert len(before) <= 200
            assert len(prompt) <= 200
            assert f"number {number} of" in tokenizer.decode(prompt)
            beginnings.add(builder.turns()[0])
        assert len(beginnings) < 20
        assert tokenizer.decode(builder.prompt("Cy")).startswith(builder.header())

    def test_of_one_endless_message_the_end_stays(self, tokenizer: Tokenizer) -> None:
        builder = builder_of(tokenizer, ["Ana"], prompt_budget=200)
        builder.add("Ana", "hello")
        builder.add("Ana", "and so on " * 1000 + "to the end")
        assert len(builder.prompt_before_name()) <= 200
        assert 100 < len(builder.prompt("Ben")) <= 200
        assert tokenizer.decode(builder.prompt("Ben")).endswith("so on to the end\nBen:")
        builder.add("Ben", "finally")
        assert tokenizer.decode(builder.prompt("Ana")).endswith("to the end\nBen: finally\nAna:")


@pytest.mark.model
@pytest.mark.parametrize("prompt", ["", "What is a cup?"])
def test_an_entry_is_asked_for_as_in_its_sample(tokenizer: Tokenizer, prompt: str) -> None:
    entry = {"author": "Ana", "text": "Note: rain.", "kind": "entry", "thread": prompt or None}
    kept = sessions.split_conversations(cleaned(table([entry])), gap_minutes=60)
    said = lines(splits.assign_splits(kept, config.Split(validation=0, test=0)))
    builder = builder_of(tokenizer, ["Ana"])
    asked = builder.prompt("Ana", entry_line(prompt, "2024-05-01"))
    whole = pl.DataFrame({"header": [builder.header()], "begin": [0], "start": [0], "end": [2]})
    window = whole.with_columns(next_person=pl.lit(None, pl.String))
    [sample] = encode_batch(
        render_batch(with_rendered_text(said, TRANSCRIPT), window).segments,
        tokenizer,
        add_eos=np.array([True]),
    ).to_dicts()
    assert sample["ids"][: len(asked)] == asked
    assert sample["target_spans"][0]["words_start"] == len(asked)
