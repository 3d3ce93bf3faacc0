"""Preparing as a whole: no message is lost, none is trained twice, none leaks."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.chats import everyone, table, thorough
from tests.sample_tables import Prepared, prepare

from myna import people, stages, workers, workspace
from myna.artifacts import Channel, PreparedInfo
from myna.config import Settings, parse
from myna.errors import PeopleError, SettingsError, WorkspaceError
from myna.messages import normalize_text
from myna.people import People, Person
from myna.preparing.prepare import read_samples, run
from myna.rendering.render import REPLY
from myna.rendering.tokenizer import Tokenizer
from myna.workspace import ImportRecord, Workspace

pytestmark = pytest.mark.model

DAY = 24 * 60
CONSENTS = {"Ana": "clone", "Ben": "clone", "Cy": "context", "Dee": "no"}

SMALL = """
[samples]
max_length = 96
overlap_tokens = 20
[split]
validation = 0.15
test = 0.2
min_replies = 0
[rules]
copypasta = "keep"
repeated = "keep"
repeats = 0
"""
ALL_TRAINED = '[split]\nvalidation = 0\ntest = 0\n[samples]\nsystem = "Chat."\n'


def prepared(
    rows: list[dict[str, Any]] | pl.DataFrame,
    tokenizer: Tokenizer,
    text: str = ALL_TRAINED,
    batch: int = 1000,
) -> Prepared:
    frame = rows if isinstance(rows, pl.DataFrame) else table(rows)
    return prepare(frame, everyone(frame, **CONSENTS), parse(text, "test"), tokenizer, batch)


def bare(text: str) -> str:
    return "".join(text.split())


def targets(samples: pl.DataFrame, part: str | None = None) -> str:
    """All trained words of a part, without blanks; what is not trained is a tab."""
    wanted = samples if part is None else samples.filter(pl.col("split") == part)
    segments = [segment for sample in wanted["segments"] for segment in sample]
    return "".join(bare(s["text"]) if s["kind"] == REPLY else "\t" for s in segments)


def mark(number: int) -> str:
    """A mark that makes a message's text unique."""
    return f"<{number}>"


def marks(text: str) -> set[int]:
    return {int(number) for number in re.findall(r"<(\d+)>", text)}


# Chats of several channels in two exports, with all that makes messages fall under a rule.
rows_ = st.lists(
    st.fixed_dictionaries(
        {
            "author": st.sampled_from(["Ana", "Ana", "Ben", "Ben", "Cy", "Dee", "Beep"]),
            "channel": st.sampled_from("ab"),
            "thread": st.sampled_from([None, None, "t"]),
            "gap": st.sampled_from([0, 0.5, 1, 59, 61, 3 * DAY, None]),
            "words": st.sampled_from(
                [
                    *("hm", "ok then", "Ana: no\nBen: yes", "<|im_end|>", "", "was it at 10:30?"),
                    *("it is a long story of the kettle and the cup " * 9, "x" * 300),
                    "everybody gets a cup of tea and a biscuit today",
                ]
            ),
            "kind": st.sampled_from(["text"] * 6 + ["entry", "system", "forward"]),
            "files": st.sampled_from([(), (), ("image",)]),
            "answers": st.none() | st.integers(0, 30),
            "again": st.sampled_from([False, False, False, True]),
        }
    ),
    min_size=1,
    max_size=30,
)


FIRST = {
    "author": "Ana", "channel": "a", "thread": None, "gap": 0, "words": "hm",
    "kind": "text", "files": (), "answers": None, "again": False,
}  # fmt: skip
"""Somebody who may be cloned."""


def numbered(drawn: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Message rows; those that come again stand a second time behind the others, edited."""
    rows: list[dict[str, Any]] = []
    minute = 0.0
    for number, row in enumerate(drawn):
        minute += row["gap"] or 0
        text = f"{row['words']} {mark(number)}" if row["words"] else ""
        rows.append(
            {
                **row,
                "id": number,
                "at": None if row["gap"] is None else minute,
                "text": text,
                "bot": row["author"] == "Beep",
                "reply_to": None if row["answers"] is None else str(row["answers"]),
            }
        )
    again = [row for row in rows if row["again"]]
    return rows + [
        {**row, "text": row["text"] and f"so {row['text']}", "edited": True} for row in again
    ]


@thorough
@given(rows_, st.booleans())
def test_no_message_is_lost_and_none_leaks(
    tokenizer: Tokenizer, drawn: list[dict[str, Any]], disentangle: bool
) -> None:
    rows = numbered([FIRST, *drawn])
    apart = f"[conversations]\ndisentangle = {str(disentangle).lower()}\n"
    done = prepared(rows, tokenizer, SMALL + apart)
    ledger, samples = done.ledger, done.samples

    # In = out + dropped, in messages and in characters.
    assert ledger.messages == len(rows)
    assert ledger.characters == sum(len(normalize_text(row["text"])) for row in rows)
    assert ledger.balanced

    # Every message of a persona that no rule drops is a target once, in its own part.
    last = {row["id"]: row for row in rows}  # of two exports, the edited one
    part_of = {int(row["id"]): row["split"] for row in done.messages.to_dicts()}
    doubled = {
        int(row["id"])
        for row in done.messages.to_dicts()
        if not row["trained"] and row["person"] in ("Ana", "Ben") and row["text"] != "[image]"
    }
    assert all(part_of[number] != "train" for number in doubled)
    for number, row in last.items():
        ours = row["author"] in ("Ana", "Ben") and row["kind"] in ("text", "entry") and row["text"]
        part = part_of.get(number, "train")
        spoken = targets(samples, part).count(mark(number))
        assert spoken == (1 if ours and number not in doubled else 0)
        if spoken:
            assert bare(row["text"]) in targets(samples, part).replace("\t", "")
            assert targets(samples).count(mark(number)) == 1
    placed = sum(share.replies[part] for share in ledger.people for part in share.replies)
    assert placed == sum(ledger.total(action) for action in ("validation", "test", "train"))

    for sample in samples.to_dicts():
        text = "".join(segment["text"] for segment in sample["segments"])
        assert len(sample["ids"]) <= 96
        # Chats of different channels never merge, and nothing held out is in train.
        assert {last[n]["channel"] for n in marks(text)} <= {sample["channel"]}
        allowed = {"train": {"train"}, "validation": {"train", "validation"}}.get(sample["split"])
        assert allowed is None or {part_of[n] for n in marks(text)} <= allowed
        # Who is left out is in no sample, and who is context is in no target.
        assert not {last[n]["author"] for n in marks(text)} & {"Dee", "Beep"}
        # Target spans are where the kinds are.
        words = ""
        for span in sample["target_spans"]:
            assert span["person"] in ("Ana", "Ben")
            assert span["characters"] > 0
            words += tokenizer.decode(sample["ids"][span["words_start"] : span["words_end"]])
        assert words == "".join(s["text"] for s in sample["segments"] if s["kind"] == REPLY)


class TestTargets:
    def test_a_chat_of_120_messages_in_20_minutes_gives_all_of_them(
        self, tokenizer: Tokenizer
    ) -> None:
        rows = [
            {"author": ("Ana", "Ben")[n % 2], "text": f"message {mark(n)}", "at": n / 6}
            for n in range(120)
        ]
        done = prepared(rows, tokenizer)
        assert done.messages["conversation"].n_unique() == 1
        assert Counter(re.findall(r"<\d+>", targets(done.samples))) == Counter(
            map(mark, range(120))
        )

    def test_one_huge_message_is_trained_to_its_last_word(self, tokenizer: Tokenizer) -> None:
        text = " ".join(f"word{n}" for n in range(3000))
        done = prepared([{"author": "Ana", "text": text}], tokenizer)
        assert targets(done.samples).replace("\t", "") == bare(text)
        assert done.samples["ids"].list.len().max() <= 512
        assert done.ledger.people[0].replies["train"] == 1

    def test_leading_and_trailing_turns_of_anyone_stay(self, tokenizer: Tokenizer) -> None:
        rows = [{"author": a, "text": a.lower()} for a in ("Cy", "Ana", "Ana", "Cy")]
        [sample] = prepared(rows, tokenizer).samples.to_dicts()
        shown = [(segment["text"], segment["kind"]) for segment in sample["segments"]]
        assert "".join(text for text, _ in shown) == "Chat.\nCy: cy\nAna: ana\nana\nCy: cy\n"
        assert "".join(text for text, kind in shown if kind) == " ana\nana\nCy:"

    def test_the_end_of_a_conversation_is_trained(self, tokenizer: Tokenizer) -> None:
        rows = [{"author": "Ana", "text": "bye"}, {"author": "Ana", "text": "hi", "at": 999}]
        for sample in prepared(rows, tokenizer).samples.to_dicts():
            assert sample["ids"][-1] == tokenizer.eos_id
            assert sample["target_spans"][-1]["end"] == len(sample["ids"])

    def test_what_is_held_out_nearly_as_it_was_trained_is_context(
        self, tokenizer: Tokenizer
    ) -> None:
        rows = [{"author": "Ana", "text": f"number {n}", "at": n * 90} for n in range(10)]
        rows[0]["text"] = rows[9]["text"] = "the kettle is on and everybody gets a cup of tea"
        done = prepared(rows, tokenizer, "[split]\nvalidation = 0\ntest = 0.2\nmin_replies = 0")
        found = {row.rule: (row.action, row.messages) for row in done.ledger.rows}
        assert found == {
            "near-duplicate": ("context", 1), "test": ("test", 1), "kept": ("train", 8)
        }  # fmt: skip


class TestHeader:
    def test_in_a_crowd_with_long_names_those_who_speak_most_are_named(
        self, tokenizer: Tokenizer
    ) -> None:
        rows = [
            {"author": f"person number {n} of the long name 名前", "text": "hi"} for n in range(60)
        ]
        rows += [{"author": "Ana", "text": "hi"}] * 3
        rows = [{**row, "id": n} for n, row in enumerate(rows)]
        done = prepared(
            rows, tokenizer, "[samples]\nmax_length = 160\n[split]\nvalidation=0\ntest=0"
        )
        header = done.samples["segments"][0][0]["text"]
        assert "Ana" in header
        assert tokenizer.count([header])[0] <= 40
        assert done.ledger.total("train") == 63

    def test_samples_hardly_longer_than_their_system_line(self, tokenizer: Tokenizer) -> None:
        text = f'[samples]\nmax_length = 64\nsystem = "{"a long line " * 30}"'
        with pytest.raises(SettingsError, match=r"max_length = 64 leaves too little beside"):
            prepared([{"author": "Ana", "text": "hi"}], tokenizer, text)


class TestPeople:
    def test_nobody_who_may_be_cloned(self, tokenizer: Tokenizer) -> None:
        with pytest.raises(PeopleError, match="nobody may be cloned"):
            prepared([{"author": "Cy", "text": "hi"}], tokenizer)

    def test_only_who_is_trained_is_a_persona(self, tokenizer: Tokenizer) -> None:
        rows = [{"author": "Ana", "text": "hi"}, {"author": "Ben", "text": "", "files": ["image"]}]
        assert prepared(rows, tokenizer).personas == ["Ana"]

    def test_who_said_too_little_stays_context(self, tokenizer: Tokenizer) -> None:
        talk = [
            {"author": name, "text": f"words {i}"} for i in range(30) for name in ("Ana", "Ben")
        ]
        rows = [*talk, {"author": "Eve", "text": "here I am"}, {"author": "Eve", "text": "gone"}]
        done = prepared(rows, tokenizer)
        assert done.personas == ["Ana", "Ben"]
        (row,) = [one for one in done.ledger.rows if one.rule == "few-messages"]
        assert (row.action, row.messages) == ("context", 2)
        assert done.ledger.balanced
        assert done.ledger.notes[-1] == (
            "not cloned, as they have few messages to learn from: Eve (2); to clone them as well, "
            "set min_messages = 0 under [filter]"
        )
        for fewest in (0, 2):
            all_of_them = f"{ALL_TRAINED}[filter]\nmin_messages = {fewest}\n"
            assert prepared(rows, tokenizer, all_of_them).personas == ["Ana", "Ben", "Eve"]

    def test_a_rule_that_takes_a_tenth_of_a_persona_is_named_with_its_setting(
        self, tokenizer: Tokenizer
    ) -> None:
        talk = [{"author": "Ana", "text": f"words {i}, and a few more of them"} for i in range(20)]
        links = [{"author": "Ana", "text": f"https://tea.example/{i}/{'leaf' * 9}"} for i in (1,)]
        calls = [{"author": "Ana", "text": f"!play tea song number {i}"} for i in range(8)]
        done = prepared([*talk, *links, *calls], tokenizer)
        assert done.ledger.notes == [
            "21% of what Ana wrote is left out by the rule bot-command (typed for a bot), such as "
            '"!play tea song number 7"; to train it: bot-command = "keep" under [rules] in '
            "myna.toml"
        ]
        kept = f'{ALL_TRAINED}[rules]\nbot-command = "keep"\n'
        assert prepared([*talk, *links, *calls], tokenizer, kept).ledger.notes == []

    def test_in_a_small_chat_all_are_cloned(self, tokenizer: Tokenizer) -> None:
        rows = [{"author": name, "text": "hi"} for name in ("Ana", "Ben", "Ana", "Ben", "Eve")]
        assert prepared(rows, tokenizer).personas == ["Ana", "Ben", "Eve"]

    def test_accounts_of_one_person_are_one_turn(self, tokenizer: Tokenizer) -> None:
        frame = table([{"author": "a1", "text": "x"}, {"author": "a2", "text": "y"}])
        merged = People((Person("Ana", ("test:a1", "test:a2"), "clone"),))
        done = prepare(frame, merged, parse(ALL_TRAINED, "test"), tokenizer)
        assert targets(done.samples) == "\t\txy\t"

    def test_when_every_message_is_dropped(self, tokenizer: Tokenizer) -> None:
        with pytest.raises(WorkspaceError, match="none is left to train on"):
            prepared([{"author": "Ana", "text": ""}], tokenizer)


def imported(folder: Path, rows: list[dict[str, Any]]) -> Workspace:
    space = workspace.create(folder / "friends")
    frame = table(rows)
    (space.messages / "chat").mkdir(parents=True)
    frame.write_parquet(space.messages / "chat/0000001.parquet")
    files = [{"file": "chat"}]
    record = ImportRecord(space.messages / "chat", "2024", files, frame.height, frame.height)
    record.save()
    people.save(space.people_file, everyone(frame, **CONSENTS))
    return space


class TestRun:
    def test_what_is_written_is_read_back(self, tokenizer: Tokenizer, tmp_path) -> None:
        space = imported(tmp_path, [{"author": "Ana", "text": "look", "files": ["image"]}])
        settings = parse(ALL_TRAINED, "test")
        done = run(space, settings, tokenizer)
        assert read_samples(space).equals(pl.read_parquet(done.folder / "samples.parquet"))
        assert read_samples(space, "test").is_empty()
        stored = pl.read_parquet(space.prepared / "messages.parquet")
        assert stored["text"].to_list() == ["look [image]"]
        manifest = workspace.read_manifest(space.prepared)
        assert manifest["outputs"] == [
            "ledger.json", "messages.parquet", "prepared.json", "samples.parquet",
        ]  # fmt: skip
        info = PreparedInfo.load(space)
        assert info == done.info
        assert info.messages == 1
        assert info.samples == {"train": 1}
        assert info.personas == ["Ana"]
        assert info.channels == [Channel("", "tea", ["Ana"], "test", 1)]
        assert 0 < info.trained_tokens < info.tokens
        assert stages.train_inputs(space) == {"prepared samples": info.samples_fingerprint}

    def test_what_is_not_there_names_the_command_that_makes_it(
        self, tokenizer: Tokenizer, tmp_path
    ) -> None:
        space = workspace.create(tmp_path / "friends")
        with pytest.raises(WorkspaceError, match="myna import PATH"):
            run(space, Settings(), tokenizer)
        with pytest.raises(WorkspaceError, match="myna prepare"):
            read_samples(space)

    def test_the_same_messages_give_the_same_samples(self, tokenizer: Tokenizer) -> None:
        rows = [{"author": ("Ana", "Ben")[n % 3 % 2], "text": f"n {n}"} for n in range(50)]
        assert prepared(rows, tokenizer).samples.equals(prepared(rows, tokenizer).samples)


# Chats that answer across conversations, repeat themselves and quote each other.
@settings(thorough, max_examples=25)
@given(rows_, st.integers(1, 12))
def test_it_does_not_matter_how_many_are_looked_at_together(
    tokenizer: Tokenizer, drawn: list[dict[str, Any]], batch: int
) -> None:
    rows = numbered([FIRST, *drawn])
    whole, pieces = prepared(rows, tokenizer, SMALL), prepared(rows, tokenizer, SMALL, batch)
    assert pieces.samples.equals(whole.samples)
    assert pieces.messages.equals(whole.messages)
    assert pieces.ledger == whole.ledger


def test_other_processes_make_the_same(tokenizer: Tokenizer, monkeypatch) -> None:
    rows = [
        {"author": ("Ana", "Ben")[n % 3 % 2], "text": f"n {n}", "at": 50 * n} for n in range(90)
    ]
    here = prepared(rows, tokenizer)
    monkeypatch.setattr(workers, "MIN_MESSAGES", 1)
    monkeypatch.setattr(workers, "cores", lambda: 2)
    there = prepared(rows, tokenizer, batch=20)
    assert there.samples.equals(here.samples)
    assert there.ledger == here.ledger
