"""Settings: the file, allowed values, and error messages."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myna.config import (
    Samples,
    Settings,
    Split,
    Train,
    changes,
    load,
    override,
    parse,
    seconds,
    template,
    with_choices,
)
from myna.errors import SettingsError


class TestDurations:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [("4m", 240), ("90s", 90), ("1h30m", 5400), ("1.5h", 5400), ("45", 45), (" 2h5s ", 7205)],
    )
    def test_are_hours_minutes_and_seconds(self, text: str, expected: float) -> None:
        assert seconds(text) == expected

    @pytest.mark.parametrize("text", ["", "m", "0s", "-4m", "4 minutes", "1.2.3h", "30m1h", "4d"])
    def test_anything_else_is_an_error(self, text: str) -> None:
        with pytest.raises(SettingsError, match="is no duration: write it as 4m, 90s or 1h30m"):
            seconds(text)

    @given(st.integers(0, 99), st.integers(0, 99), st.integers(1, 99))
    def test_add_up(self, hours: int, minutes: int, rest: int) -> None:
        assert seconds(f"{hours}h{minutes}m{rest}s") == hours * 3600 + minutes * 60 + rest


class TestErrors:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("[train]\nlora_r = 0", "x.toml: train.lora_r = 0: "),
            ("[train]\nlora_r = 1.5", "x.toml: train.lora_r = 1.5: "),
            ("[train]\nlearning_rate = nan", "x.toml: train.learning_rate = nan: "),
            ("[conversations]\ngap_minutes = inf", "x.toml: conversations.gap_minutes = inf: "),
            (
                "[conversations]\ngap_minutes = 'soon'",
                "x.toml: conversations.gap_minutes = 'soon': Input should be a valid number, "
                "unable to parse string as a number, or Input should be 'auto'",
            ),
            ("[split]\ntest = 0.5", "x.toml: split.test = 0.5: "),
            ("[chat]\nengine = 'abacus'", "x.toml: chat.engine = 'abacus': "),
            ("[samples]\nmax_length = 3", "x.toml: samples.max_length = 3: "),
            ("train = 3", "x.toml: train = 3: "),
            (
                "[train]\nbudget = 'soon'",
                "x.toml: train.budget = 'soon': 'soon' is no duration: write it as",
            ),
            ("[train]\ncheckpoint_every = ''", "x.toml: train.checkpoint_every = '': "),
            (
                "[samples]\nsystem = '{peple}'",
                "x.toml: samples.system = '{peple}': only {name}, {people}, {channel}, {space}, ",
            ),
            ("[samples]\nsystem = '{'", "x.toml: samples.system = '{': only "),
            ("[rules]\nlink-only = 'dorp'", "x.toml: rules.link-only = 'dorp': "),
            ("[rules]\nsystem = 'keep'", "x.toml: rules.system = 'keep': "),
            ("[rules]\nrepeats = 1", "x.toml: rules.repeats = 1: 1 would turn 'good' into 'god': "),
        ],
    )
    def test_a_wrong_value_names_its_field_and_itself(self, text: str, message: str) -> None:
        with pytest.raises(SettingsError, match=re.escape(message)) as error:
            parse(text, "x.toml")
        assert "\n" not in str(error.value)

    @pytest.mark.parametrize("text", ["[train]\nrnak = 4", "[trian]\nrank = 4", "bse = 'x'"])
    def test_a_slip_in_a_name_is_not_ignored(self, text: str) -> None:
        with pytest.raises(
            SettingsError, match=r"x.toml: there is no setting '(train\.rnak|trian|bse)'"
        ):
            parse(text, "x.toml")

    def test_no_toml_says_where(self) -> None:
        with pytest.raises(SettingsError, match=r"x.toml is no valid TOML: .*line 2"):
            parse("[train]\nlora_r 4", "x.toml")

    def test_a_file_that_cannot_be_read(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match=r"cannot read .*myna\.toml"):
            load(tmp_path / "myna.toml")
        (tmp_path / "myna.toml").write_bytes(b"\xff\xfe")
        with pytest.raises(SettingsError, match=r"cannot read .*myna\.toml"):
            load(tmp_path / "myna.toml")

    def test_wrong_values_end_with_another_status_than_failures(self) -> None:
        assert SettingsError.exit_status == 2


class TestFile:
    def test_the_template_is_the_defaults_with_a_line_for_each(self) -> None:
        text = template()
        assert parse(text, "x.toml") == Settings()
        assert "# Peak learning rate.\n# learning_rate = 0.001\n" in text  # the recipe's
        assert "# Gradients are clipped to this norm.\nmax_grad_norm = 1.0\n" in text
        assert "[samples]" in text

    @given(
        st.builds(
            Settings,
            base=st.text(),
            train=st.builds(
                Train,
                seed=st.integers(0, 2**40),
                learning_rate=st.floats(1e-9, 1),
                batch_tokens=st.integers(64, 10**9),
            ),
            split=st.builds(Split, validation=st.floats(0, 0.4)),
            samples=st.builds(Samples, system=st.text(st.characters(exclude_characters="{}"))),
        )
    )
    def test_any_settings_are_written_so_that_they_are_read_back(self, settings: Settings) -> None:
        assert parse(template(settings), "x.toml") == settings

    def test_a_mark_that_editors_write_at_the_begin_is_no_matter(self, tmp_path: Path) -> None:
        path = tmp_path / "myna.toml"
        path.write_text("base = 'x'", "utf-8-sig")
        assert load(path).base == "x"

    def test_settings_left_out_have_their_defaults(self) -> None:
        assert parse("[train]\nnum_train_epochs = 1", "x.toml").train == Train(num_train_epochs=1)
        assert tomllib.loads(template())["train"]["validations"] == 6


class TestPersonas:
    """Sampling of single personas, in [chat.personas]."""

    SETTINGS = parse(
        '[chat]\ntemperature = 1.1\n[chat.personas."Buzz Aldrin"]\ntop_p = 0.5\n'
        "max_new_tokens = 300",
        "x.toml",
    )

    def test_what_is_not_said_is_as_for_all(self) -> None:
        chat = self.SETTINGS.chat
        buzz, others = chat.sampling(3, "Buzz Aldrin"), chat.sampling(3, "Zoe")
        assert (buzz.temperature, buzz.top_p, buzz.seed) == (1.1, 0.5, 3)
        assert others.top_p == 0.95
        assert (chat.longest_turn, chat.max_new_tokens) == (300, 160)

    def test_changes_are_for_everybody(self) -> None:
        changed = self.SETTINGS.chat.with_changes({"top_p": 0.8})
        assert changed.sampling(1, "Buzz Aldrin").top_p == 0.8
        assert changed.sampling(1, "Buzz Aldrin").max_new_tokens == 300

    def test_the_template_shows_how_and_keeps_them(self) -> None:
        assert '# [chat.personas."NAME"]\n# temperature = 0.8\n' in template()
        assert parse(template(self.SETTINGS), "x.toml").chat == self.SETTINGS.chat

    def test_names_with_dots_stand_between_quotes(self) -> None:
        found = override(self.SETTINGS, ['chat.personas."Dr. Who".dry_multiplier=0.8'])
        assert found.chat.sampling(None, "Dr. Who").dry_multiplier == 0.8
        assert found.chat.sampling(None, "Buzz Aldrin").top_p == 0.5

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("[chat.personas.Ana]\ntemp = 1", "there is no setting 'chat.personas.Ana.temp'"),
            ("[chat.personas.Ana]\nmin_p = 2", "chat.personas.Ana.min_p = 2: "),
            ("[chat]\npersonas = 3", "chat.personas = 3: "),
        ],
    )
    def test_a_wrong_one_names_the_persona(self, text: str, message: str) -> None:
        with pytest.raises(SettingsError, match=re.escape(message)):
            parse(text, "x.toml")


class TestOverride:
    def test_values_are_read_as_their_field_wants_them(self) -> None:
        done = override(
            Settings(), ["train.num_train_epochs=2", "base = x", "samples.system=In {channel}:"]
        )
        assert done.train.num_train_epochs == 2.0
        assert done.base == "x"
        assert done.samples.system == "In {channel}:"
        assert done.train.lora_r == Settings().train.lora_r

    def test_the_last_one_counts(self) -> None:
        assert override(Settings(), ["train.seed=1", "train.seed=2"]).train.seed == 2

    def test_rules_are_named_with_hyphens_or_underscores(self) -> None:
        before = parse("[rules]\nlink-only = 'keep'\nnon_response = 'keep'", "x.toml")
        done = override(before, ["rules.link-only=drop", "rules.non-response-words=based, oof"])
        assert done.rules.link_only == "drop"
        assert done.rules.non_response == "keep"
        assert done.rules.non_response_words == ["based", "oof"]
        assert '\nlink-only = "drop"\n' in template(done)

    def test_nothing_to_override(self) -> None:
        assert override(Settings(), []) == Settings()

    @pytest.mark.parametrize(
        ("assignment", "message"),
        [
            ("train.lora_r", "--set train.lora_r: write it as section.key=value"),
            ("trian.rank=4", "--set trian.rank=4: there is no section 'trian'"),
            ("train.rnak=4", "--set: there is no setting 'train.rnak'"),
            ("train.lora_r=four", "--set: train.lora_r = 'four': "),
            ("train=4", "--set: train = '4': "),
            ("train.lora_r.x=4", "there is no section 'train.lora_r'"),
            ("=4", "--set: there is no setting ''"),
        ],
    )
    def test_a_wrong_one_says_what_is_wrong(self, assignment: str, message: str) -> None:
        with pytest.raises(SettingsError, match=re.escape(message)):
            override(Settings(), [assignment])


class TestChoices:
    """Settings chosen by flags, written into the file that the user may have edited."""

    @given(
        st.sampled_from(
            [
                "filter.channels=general,!bots",
                "filter.since=2024-01-31",
                "rules.link-only=context",
                "samples.max_length=128",
                "conversations.gap_minutes=auto",
                "train.lora_r=4",
                "train.per_person=true",
                "split.test=0.2",
                "samples.system=Hello, {name}",
                "recipe=mac",
                "base=./mine",
            ]
        )
    )
    def test_are_read_back(self, assignment: str) -> None:
        chosen = override(Settings(), [assignment])
        written = with_choices(template(), changes(Settings(), chosen))
        assert parse(written, "x.toml") == chosen
        assert list(changes(parse(written, "x.toml"), chosen)) == []

    def test_replace_what_stands_there_and_leave_the_rest(self) -> None:
        text = (
            '# mine\nbase = "a"\n\n[filter]\nchannels = [\n  "tea",\n]  # why\n\n# Soup.\n[split]\n'
        )
        chosen = override(parse(text, "x"), ["filter.channels=soup", "filter.until=2024-05-01"])
        assert with_choices(text, changes(parse(text, "x"), chosen)) == (
            '# mine\nbase = "a"\n\n[filter]\nuntil = "2024-05-01"\nchannels = ["soup"]  # why\n\n'
            "# Soup.\n[split]\n"
        )

    def test_take_the_place_of_the_recipe_s_value(self) -> None:
        written = with_choices(template(), {"samples.max_length": 128})
        assert "\nmax_length = 128\n" in written
        assert "# max_length = 512" not in written
        assert len(written.splitlines()) == len(template().splitlines())

    def test_of_a_section_that_is_not_there_make_one(self) -> None:
        assert (
            with_choices("", {"filter.since": "2024-05-01"}) == '[filter]\nsince = "2024-05-01"\n'
        )
        assert with_choices("[split]\ntest = 0.2\n", {"base": "b"}) == (
            'base = "b"\n\n[split]\ntest = 0.2\n'
        )
