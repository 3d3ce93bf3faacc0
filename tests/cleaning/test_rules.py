"""The rules about messages: the deciding rule, and the rows of the ledger."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.chats import cleaned, everyone, table, texts, thorough

from myna.cleaning import message_features, rules
from myna.cleaning.ledger import Ledger
from myna.config import Filter, Rules, Settings, parse, template
from myna.config.rules import DISCORD_MISTRAL, RULES, resolve_preset, rule_action
from myna.conversations import quality
from myna.errors import SettingsError
from myna.messages import KINDS, normalize_text
from myna.people import People, Person, accounts


def verdicts(rows: list[dict[str, Any]], **consents: str) -> tuple[pl.DataFrame, dict[str, int]]:
    """Return the messages that stay, and the count that each rule dropped."""
    ledger = Ledger()
    kept = cleaned(table(rows), ledger, **consents)
    return kept, {row.rule: row.messages for row in ledger.rows}


class TestRules:
    def test_a_persons_words_are_trained(self) -> None:
        kept, dropped = verdicts([{"author": "Ana", "text": " привет \r\n"}])
        assert kept.select("person", "text", "trained").rows() == [("Ana", "привет", True)]
        assert dropped == {}

    def test_each_kind_without_own_words_is_dropped_by_its_name(self) -> None:
        rows = [{"author": "Ana", "text": "x", "kind": kind} for kind in KINDS]
        kept, dropped = verdicts(rows)
        assert kept["kind"].to_list() == ["text", "entry"]
        assert dropped == dict.fromkeys(["system", "call", "deleted", "command", "forward"], 1)

    def test_nothing_in_it_is_dropped_and_an_attachment_alone_is_context(self) -> None:
        rows = [
            {"author": "Ana", "text": " \r\n"},
            {"author": "Ana", "text": "", "files": ["image"]},
        ]
        kept, dropped = verdicts(rows)
        assert kept.select("rule", "trained").rows() == [("media-only", False)]
        assert dropped == {"empty": 1}

    def test_consent_decides(self) -> None:
        rows = [{"author": name, "text": "x"} for name in ("Ana", "Ben", "Cy")]
        kept, dropped = verdicts(rows, Ben="context", Cy="no")
        assert kept.select("person", "trained").rows() == [("Ana", True), ("Ben", False)]
        assert dropped == {"no-consent": 1}

    def test_replies_are_words_like_others(self) -> None:
        rows = [{"author": "Ana", "text": "x"}, {"author": "Ana", "text": "y", "reply_to": "0"}]
        assert verdicts(rows)[0]["trained"].to_list() == [True, True]


class TestBots:
    ROWS = ({"author": "Beep", "text": "x", "bot": True},)

    def test_a_bot_is_dropped_as_a_bot(self) -> None:
        kept, dropped = verdicts([*self.ROWS])
        assert kept.is_empty()
        assert dropped == {"bot": 1}

    def test_a_bot_may_stand_in_prompts_and_is_never_trained(self) -> None:
        assert verdicts([*self.ROWS], Beep="context")[0]["trained"].to_list() == [False]
        assert verdicts([*self.ROWS], Beep="clone")[0].is_empty()

    def test_a_bot_that_passes_on_a_persons_words_can_be_given_to_them(self) -> None:
        merged = People((Person("Ana", ("test:Ana", "test:Beep"), "clone"),))
        kept = cleaned(table([*self.ROWS]), people=merged)
        assert kept.select("person", "trained").rows() == [("Ana", True)]

    def test_a_person_whom_people_toml_calls_a_bot_is_one(self) -> None:
        bot = People((Person("Ana", ("test:Ana",), "clone", is_bot=True),))
        said = table([{"author": "Ana", "text": "x"}])
        assert cleaned(said, people=bot).is_empty()


class TestDuplicates:
    def texts_of(self, rows: list[dict[str, Any]]) -> list[str]:
        kept, dropped = verdicts(rows)
        assert dropped.get("duplicate", 0) == len(rows) - kept.height
        return kept["text"].to_list()

    def test_the_one_read_last_stays(self) -> None:
        rows = [{"author": "Ana", "text": text, "id": "1"} for text in ("a", "b", "c")]
        assert self.texts_of(rows) == ["c"]

    def test_an_edited_one_stays_before_all_others(self) -> None:
        rows: list[dict[str, Any]] = [
            {"author": "Ana", "text": text, "id": "1"} for text in ("a", "b", "c")
        ]
        rows[1]["edited"] = True
        assert self.texts_of(rows) == ["b"]

    def test_messages_stay_in_their_order(self) -> None:
        rows = [{"author": "Ana", "text": str(n), "edited": n % 3 == 0} for n in range(9)]
        assert self.texts_of(rows) == [str(n) for n in range(9)]

    def test_another_channel_is_another_message(self) -> None:
        rows = [{"author": "Ana", "text": "a", "id": "1", "channel": c} for c in "ab"]
        assert self.texts_of(rows) == ["a", "a"]


def test_examples_are_short_lines() -> None:
    ledger = Ledger()
    rows = [{"author": "Ana", "text": "joined\nthe chat " * 20, "kind": "system"}] * 5
    cleaned(table([{**row, "id": n} for n, row in enumerate(rows)]), ledger)
    [row] = ledger.rows
    assert len(row.examples) == 3
    assert all(len(e) <= 100 and "\n" not in e for e in row.examples)
    assert row.examples[0].startswith("Ana: joined / the chat")


SONG = "the kettle is on the stove and the cups are on the shelf and nobody has time to pour it"
SAMPLES = {
    "bot-command": "!play some song",
    "single-ping": "@ben",
    "link-only": "https://myna.example/x www.myna.example",
    "paste": "```" + "pour(tea);\n" * 50 + "```",
    "quotation": "“I never said that” - Ben Bell",
    "copypasta": SONG,
    "likely-notice": "Ana ha posat un mot nou",
    "non-response": "lmaooo",
    "keyboard-mash": "asdfghjkl",
}
"""A message that meets each rule about texts."""


def talk(text: str) -> list[dict[str, Any]]:
    """Somebody says it, among others."""
    again = [{"author": who, "text": SONG} for who in ("Ben", "Cy")] if text == SONG else []
    if text.startswith("Ana ha"):
        again = [{"author": "Cyd", "text": text.replace("Ana", "Cyd")}]
    return [{"author": "Ana", "text": text}, {"author": "Ben", "text": "so what"}, *again]


def with_rules(rows: list[dict[str, Any]], **settings: Any) -> tuple[pl.DataFrame, Ledger]:
    ledger = Ledger()
    return cleaned(table(rows), ledger, Rules(**settings)), ledger


class TestActions:
    @pytest.mark.parametrize("rule", SAMPLES)
    def test_each_rule_is_met_by_its_own_message_and_by_no_other(self, rule: str) -> None:
        kept, ledger = with_rules(talk(SAMPLES[rule]), bot_command="context")
        assert kept["rule"][0] == rule
        assert kept["rule"][1] is None
        assert kept["trained"].to_list()[:2] == [False, True]
        assert ledger.rows == []

    @pytest.mark.parametrize("rule", SAMPLES)
    def test_each_can_keep_and_drop(self, rule: str) -> None:
        text = SAMPLES[rule]
        kept, _ = with_rules(talk(text), **{rule: "keep", "repeated": "keep"})
        assert kept["trained"].all()
        kept, ledger = with_rules(talk(text), **{rule: "drop"})
        assert text not in kept["text"].to_list()
        assert [(row.rule, row.action) for row in ledger.rows] == [(rule, "drop")]
        assert ledger.rows[0].characters == len(text) * ledger.rows[0].messages
        assert ledger.rows[0].examples[0].startswith("Ana: ")

    def test_a_rule_that_drops_decides_before_one_that_does_not(self) -> None:
        rows = [{"author": "Ana", "text": "> lol", "files": ()}, {"author": "Ana", "text": "lol"}]
        kept, ledger = with_rules(rows, non_response="drop", keyboard_mash="context")
        assert kept.is_empty()
        assert [row.rule for row in ledger.rows] == ["non-response"]
        said = table([{"author": "Ben", "text": "lol"}])
        assert cleaned(said, rules=Rules(non_response="drop"), Ben="context").is_empty()

    def test_the_second_time_is_repeated(self) -> None:
        kept, _ = with_rules([{"author": "Ana", "text": SONG}, {"author": "Ana", "text": SONG}])
        assert kept["rule"].to_list() == [None, "repeated"]

    def test_the_same_message_in_two_exports_is_no_copy(self) -> None:
        rows = [{"author": who, "text": SONG, "id": n} for n, who in enumerate(("Ana", "Ben"))]
        kept, ledger = with_rules([*rows, *rows])
        assert kept["rule"].to_list() == [None, "repeated"]
        assert [(row.rule, row.messages) for row in ledger.rows] == [("duplicate", 2)]

    def test_journals_are_not_talk(self) -> None:
        kept, _ = with_rules([{"author": "Ana", "text": "lol", "kind": "entry"}])
        assert kept["trained"].all()

    def test_letters_without_ink_are_nothing(self) -> None:
        kept, ledger = with_rules([{"author": "Ana", "text": "\u2800 \u3164\u200b"}])
        assert kept.is_empty()
        assert ledger.rows[0].rule == "empty"

    def test_only_mentions_are_a_ping_whatever_the_names(self) -> None:
        rows = [{"author": "Ana", "text": text} for text in ("@Ben Bell!", "@Ben Bell :)", "@_@")]
        frame = table(rows)
        spans = [[{"author_id": "Ben", "start": 0, "end": 9}]] * 2 + [[]]
        frame = frame.with_columns(pl.Series("mentions", spans, frame.schema["mentions"]))
        assert cleaned(frame).select("text", "rule").rows() == [
            ("Ben Bell!", "single-ping"),
            ("Ben Bell :)", None),
            ("@_@", None),
        ]

    def test_a_ping_of_somebody_who_is_hidden_is_one_too(self) -> None:
        rows = [{"author": "Ana", "text": "@Ben Bell!"}, {"author": "Ben", "text": "tea"}]
        frame = table(rows)
        spans = [[{"author_id": "Ben", "start": 0, "end": 9}], []]
        frame = frame.with_columns(pl.Series("mentions", spans, frame.schema["mentions"]))
        ana, ben = everyone(frame).persons
        people = People((ana, Person(ben.name, ben.accounts, "clone", pseudonym="Mr Tea Pot")))
        assert cleaned(frame, people=people).select("text", "rule").rows() == [
            ("Mr Tea Pot!", "single-ping"),
            ("tea", None),
        ]

    def test_words_are_added_to_non_responses(self) -> None:
        kept, _ = with_rules([{"author": "Ana", "text": "baased"}], non_response_words=["based"])
        assert kept["rule"].to_list() == ["non-response"]


class TestPreset:
    SAID = (
        *("@ben", "lol", "no lol i am", "soooooo @ben", "haha", "asdfghjkl", "it was an egg"),
        "https://myna.example",
    )
    ROWS = tuple({"author": "Ana", "text": text} for text in SAID)

    def test_drops_pings_and_messages_with_non_responses_and_every_at_sign(self) -> None:
        kept, ledger = with_rules([*self.ROWS], preset=DISCORD_MISTRAL)
        assert kept["text"].to_list() == [
            *("soooooo ben", "asdfghjkl", "it was an egg", "https://myna.example")
        ]
        assert kept["trained"].all()
        assert {row.rule: row.messages for row in ledger.rows} == {
            "single-ping": 1,
            "non-response": 3,
        }

    def test_a_rule_of_ones_own_goes_first(self) -> None:
        kept, _ = with_rules(
            [*self.ROWS], preset=DISCORD_MISTRAL, non_response="keep", link_only="drop"
        )
        assert kept["text"].to_list() == [
            *("lol", "no lol i am", "soooooo ben", "haha", "asdfghjkl", "it was an egg")
        ]

    def test_so_does_what_one_sets_of_texts(self) -> None:
        kept, _ = with_rules(
            [*self.ROWS], preset=DISCORD_MISTRAL, repeats=2, non_response_anywhere=False
        )
        assert kept["text"].to_list() == [
            *("no lol i am", "soo ben", "asdfghjkl", "it was an egg", "https://myna.example")
        ]

    @pytest.mark.parametrize("preset", ["default", DISCORD_MISTRAL])
    @pytest.mark.parametrize(
        "own",
        [{"repeats": 0}, {"repeats": 3}, {"repeats": 5}, {"repair": True}, {"repair": False},
         {"at_sign": "keep"}, {"non_response_anywhere": True}, {"ender": "end"},
         {"low_quality": "keep"}, {"paste": "drop"}],
    )  # fmt: skip
    def test_whatever_the_preset_what_one_sets_stays(
        self, preset: Literal["default"], own: dict[str, Any]
    ) -> None:
        [(name, value)] = own.items()
        assert getattr(resolve_preset(Rules(preset=preset, **own)), name) == value
        written = parse(template(Settings(rules=Rules(preset=preset, **own))), "myna.toml")
        assert getattr(resolve_preset(written.rules), name) == value

    def test_a_file_that_myna_wrote_leaves_all_to_the_preset(self) -> None:
        written = template().replace('preset = "default"', f'preset = "{DISCORD_MISTRAL}"')
        assert resolve_preset(parse(written, "x").rules) == resolve_preset(
            Rules(preset=DISCORD_MISTRAL)
        )
        assert resolve_preset(Rules(preset=DISCORD_MISTRAL)).repeats == 0


class TestOneEntryEach:
    def test_each_rule_that_is_not_fixed_is_a_setting_that_says_why(self) -> None:
        fields = {field.alias: field for field in Rules.model_fields.values()}
        for rule in RULES:
            if rule.actions:
                said = str(fields[rule.name].description).lower()
                assert said.startswith(rule.reason.lower())
                assert f"default: {rule.default}" in said
                assert (f"{DISCORD_MISTRAL}: {rule.preset}" in said) == bool(rule.preset)
                for action_ in rule.actions:
                    assert (
                        rule_action(resolve_preset(Rules(**{rule.name: action_})), rule.name)
                        == action_
                    )
            else:
                assert rule.name not in fields

    def test_each_about_messages_has_a_detector_and_each_detector_a_rule(self) -> None:
        beside = {name for names in rules.DETECTORS for name in names}
        found = {
            *message_features.METADATA_DETECTORS,
            *message_features.DETECTORS,
            *beside,
            "duplicate",
        }
        assert found == {rule.name for rule in RULES if rule.stage == "message"}

    def test_each_about_conversations_has_a_detector_and_each_detector_a_rule(self) -> None:
        wanted = {rule.name for rule in RULES if rule.stage == "conversation"}
        assert set(quality.DETECTORS) == wanted

    def test_resolving_twice_is_resolving_once(self) -> None:
        for preset in ("default", DISCORD_MISTRAL):
            once = resolve_preset(Rules(preset=preset))
            assert resolve_preset(once) == once
            assert all(rule_action(once, rule.name) for rule in RULES)


actions = st.fixed_dictionaries(
    {
        **{rule: st.sampled_from(["", "keep", "context", "drop"]) for rule in SAMPLES},
        **{rule: st.sampled_from(["", "context", "drop"]) for rule in ("system", "bot", "forward")},
        "preset": st.sampled_from(["default", DISCORD_MISTRAL]),
    }
)


@thorough
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "author": st.sampled_from(["Ana", "Ben", "Cy"]),
                "text": texts | st.sampled_from([*SAMPLES.values()]),
                "id": st.sampled_from("123456"),
                "kind": st.sampled_from(["text", *KINDS]),
                "bot": st.booleans(),
                "edited": st.booleans(),
                "files": st.sampled_from([(), ("image",)]),
            }
        )
    ),
    st.sampled_from(["clone", "context", "no"]),
    actions,
)
def test_what_comes_in_is_dropped_or_stays(
    rows: list[dict[str, Any]], consent: str, settings: dict[str, str]
) -> None:
    ledger = Ledger()
    frame = table(rows)
    kept = cleaned(frame, ledger, Rules(**settings), Ana=consent, batch=5)
    assert ledger.messages == len(rows)
    assert ledger.characters == sum(len(normalize_text(row["text"])) for row in rows)
    assert ledger.total("drop") + kept.height == len(rows)
    dropped = sum(row.characters for row in ledger.rows)
    assert dropped + kept["characters"].sum() == ledger.characters
    assert kept["id"].is_unique().all()
    assert kept["trained"].to_list() == [rule is None for rule in kept["rule"]]
    # Whatever the settings, nobody is trained who did not consent.
    assert not kept.filter("trained")["consent"].is_in(["no", "context"]).any()
    assert "no" not in kept["consent"]


def test_persons_are_found_by_their_accounts() -> None:
    said = table([{"author": "a1", "text": "x"}, {"author": "a2", "text": "y"}])
    merged = People((Person("Ana", ("test:a1", "test:a2"), "clone"),))
    assert accounts.assign_persons(said, merged)["person"].to_list() == ["Ana", "Ana"]
    assert everyone(said).persons[0].accounts == ("test:a1",)
    unknown = accounts.assign_persons(said, People())
    assert unknown.select("person", "consent").rows() == [("a1", "no"), ("a2", "no")]


ROWS = [
    {"author": "Ana", "text": "hello everyone there", "channel": "General", "at": 0},
    {"author": "Ben", "text": "one", "channel": "bots", "at": 60 * 24},
    {"author": "Ana", "text": "two", "channel": "bots-too", "thread": "help [7]", "at": None},
    {"author": "Cy", "text": "three", "channel": "general", "at": 60 * 24 * 9},
]


def chosen(**wanted: Any) -> list[str]:
    frame = table(ROWS)
    frame = accounts.assign_persons(frame, everyone(frame))
    return frame.filter(~rules.is_excluded(frame, Filter(**wanted)))["text"].to_list()


@pytest.mark.parametrize(
    ("wanted", "texts"),
    [
        ({}, ["hello everyone there", "one", "two", "three"]),
        ({"channels": ["general"]}, ["hello everyone there", "three"]),
        ({"channels": ["!bots*"]}, ["hello everyone there", "three"]),
        ({"channels": ["bots*", "!bots"]}, ["two"]),
        ({"people": ["ana", "Cy"]}, ["hello everyone there", "two", "three"]),
        ({"people": ["!ana"]}, ["one", "three"]),
        ({"threads": ["help*"]}, ["two"]),
        ({"since": "2024-05-02"}, ["one", "three"]),
        ({"until": "2024-05-02"}, ["hello everyone there", "one"]),
        ({"since": "2024-05-02", "until": "2024-05-02"}, ["one"]),
        ({"channels": ["general"], "people": ["Cy"]}, ["three"]),
    ],
)
def test_places_people_and_days(wanted: dict[str, Any], texts: list[str]) -> None:
    assert chosen(**wanted) == texts


@pytest.mark.parametrize("wanted", [{"channels": ["genral"]}, {"channels": ["!bot"]}])
def test_a_name_that_matches_nothing_is_an_error(wanted: dict[str, Any]) -> None:
    name = wanted["channels"][0].removeprefix("!")
    said = f"filter.channels: '{name}' matches nothing that was imported: see `myna channels`"
    with pytest.raises(SettingsError, match=re.escape(said)):
        chosen(**wanted)


def test_channels_with_counts_and_a_sample_of_somebody_who_consents(tmp_path: Path) -> None:
    frame = table(ROWS)
    frame.write_parquet(tmp_path / "t.parquet")
    found = rules.list_channels([tmp_path / "t.parquet"], everyone(frame, Cy="no"))
    assert found.select("channel", "messages", "people", "threads", "sample").rows() == [
        ("General", 1, 1, 0, "Ana: hello everyone there"),
        ("bots", 1, 1, 0, None),
        ("bots-too", 1, 1, 1, None),
        ("general", 1, 1, 0, None),
    ]
    nobody = rules.list_channels([tmp_path / "t.parquet"], everyone(frame, Ana="no"))
    assert nobody["sample"].is_null().all()
    assert rules.list_channels([], everyone(frame)).is_empty()


def test_an_invalid_day_is_refused() -> None:
    for day in ("yesterday", "2024-13-01", "1.5.2024"):
        with pytest.raises(ValueError, match="since"):
            Filter(since=day)


def test_times_are_kept_as_they_are() -> None:
    assert table(ROWS)["sent_at"].dtype == pl.Datetime("us", "UTC")
