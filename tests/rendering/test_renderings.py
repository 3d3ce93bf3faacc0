"""A base's chat template, split: samples are what the template writes."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from tests import bases
from tests.bases import KINDS, Kind, make
from transformers import PreTrainedTokenizerFast

from myna.errors import SettingsError
from myna.rendering import render, renderings
from myna.rendering.render import REPLY, Segment, encode_segments
from myna.rendering.tokenizer import Tokenizer
from myna.rendering.turns import TurnLine, merge_turns

SAID = [
    ("Ben", "tea?"),
    ("Ana", "always\nat {{ five }}"),
    ("Cy", "me too"),
    ("Ben", "Ana: no"),
    ("Ana", "now"),
    ("Ben", "привет 🚀"),
]
USERS = ["Ben: tea?", "Cy: me too\nBen: Ana: no", "Ben: привет 🚀"]
OWN = ["always\nat {{ five }}", "now"]


def written(name: str, tmp_path: Path) -> tuple[list[Segment], Any]:
    """The samples of `SAID`, and the template's own tokenizer."""
    kind = KINDS[name]
    tokenizer = make(tmp_path, kind)
    turns = merge_turns((person, TurnLine(text)) for person, text in SAID)
    segments = render.render_segments(
        renderings.rendering_spec("chat", tokenizer), "Three friends.", turns, persona="Ana"
    )
    theirs = PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "tokenizer.json"))
    theirs.chat_template = kind.template
    theirs.bos_token, theirs.eos_token = kind.bos or None, kind.eos
    return segments, theirs


def conversation(*, folded: bool) -> list[dict[str, str]]:
    system = [] if folded else [{"role": "system", "content": "Three friends."}]
    users = [f"Three friends.\n\n{USERS[0]}", *USERS[1:]] if folded else USERS
    texts = [text for pair in zip(users, [*OWN, ""], strict=True) for text in pair if text]
    roles = ["user", "assistant"] * 3
    talk = [{"role": r, "content": t} for r, t in zip(roles, texts, strict=False)]
    return [*system, *talk]


@pytest.mark.parametrize("name", [name for name in KINDS if name != "headers"])
def test_token_for_token_as_the_template_itself(name: str, tmp_path: Path) -> None:
    segments, theirs = written(name, tmp_path)
    talk = conversation(folded=name in ("no-system", "system-last"))
    if name == "system-last":  # there the last user's turn would have it
        talk = talk[1:] if talk[0]["role"] == "system" else talk
    expected = theirs.apply_chat_template(talk, tokenize=True, return_dict=False)
    ours = encode_segments(segments, make(tmp_path, KINDS[name]), add_special_tokens=False)[0]
    assert ours == expected[: len(ours)]
    assert len(ours) > len("".join(USERS + OWN).encode())


def test_text_behind_a_control_token_gets_no_blank_that_the_base_would_not_put_there(
    tmp_path: Path,
) -> None:
    make(tmp_path, KINDS["system-last"])
    letters = {letter: number for number, letter in enumerate("▁" + string.printable)}
    model = tokenizers.Tokenizer(tokenizers.models.BPE(letters, []))
    model.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    model.add_special_tokens(list(KINDS["system-last"].control))
    model.save(str(tmp_path / "tokenizer.json"))
    tokenizer = Tokenizer(tmp_path)
    turns = merge_turns([("Ben", TurnLine("tea?")), ("Ana", TurnLine("always"))])
    segments = render.render_segments(
        renderings.rendering_spec("chat", tokenizer), "Two.", turns, persona="Ana"
    )
    text = "".join(segment.text for segment in segments)
    expected = model.encode(text, add_special_tokens=False).ids
    assert encode_segments(segments, tokenizer, add_special_tokens=False)[0] == expected
    assert tokenizer.encode("a").ids != tokenizer.after_control_token.encode("a").ids


def test_a_day_in_a_template_stays_the_same(tmp_path: Path) -> None:
    segments, _ = written("headers", tmp_path)
    text = "".join(segment.text for segment in segments)
    assert text.startswith(
        "<|begin|><|head|>system<|/head|>\n\nToday: 26 Jul 2024\n\nThree friends."
    )


def test_control_tokens_are_apart_and_nothing_else_is(tmp_path: Path) -> None:
    tokenizer = make(tmp_path, KINDS["default-system"])
    turns = merge_turns(
        [("Ben", TurnLine("<|im_end|>")), ("Ana", TurnLine("<|im_start|>", trained=True))]
    )
    segments = render.render_segments(
        renderings.rendering_spec("chat", tokenizer), "Two.", turns, persona="Ana"
    )
    ids = encode_segments(segments, tokenizer, add_special_tokens=False)[0]
    assert [s.text for s in segments if s.control] == [
        "<|im_start|>", "<|im_end|>", "<|im_start|>", "<|im_end|>", "<|im_start|>", "<|im_end|>"
    ]  # fmt: skip
    assert sum(number in tokenizer.control_ids for number in ids) == 6
    assert tokenizer.decode(ids).count("<|im_end|>") == 4


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        ("default-system", ["<|im_end|>"]),
        ("headers", ["<|eot|>"]),
        ("no-system", ["<end_of_turn>"]),
        ("text-markers", [" ", "</s>"]),
        ("system-last", ["</s>"]),
        ("thinking", ["<|im_end|>"]),
    ],
)
def test_of_every_reply_the_words_and_the_end_token_are_trained(
    name: str, ending: list[str], tmp_path: Path
) -> None:
    tokenizer = make(tmp_path, KINDS[name])
    turns = merge_turns((who, TurnLine(text, trained=who == "Ana")) for who, text in SAID)
    segments = render.render_segments(
        renderings.rendering_spec("chat", tokenizer), "Hm.", turns, persona="Ana"
    )
    trained = [s.text for s in segments if s.kind]
    lead = " " if name == "text-markers" else ""
    assert trained == [lead + OWN[0], *ending, lead + OWN[1], *ending]
    assert [s.text for s in segments if s.kind == REPLY] == [lead + text for text in OWN]


def test_a_line_of_another_cannot_look_like_somebodys(tmp_path: Path) -> None:
    tokenizer = make(tmp_path, KINDS["default-system"])
    turns = merge_turns([("Ben", TurnLine("hi\nCy: I steal")), ("Ana", TurnLine("hm\nCy: no"))])
    segments = render.render_segments(
        renderings.rendering_spec("chat", tokenizer), "Hm.", turns, persona="Ana"
    )
    texts = [segment.text for segment in segments]
    assert " hi\n Cy: I steal" in texts
    assert "hm\nCy: no" in texts  # her own turn is hers to its end token


class TestWhoOpens:
    def test_where_a_user_must_come_first_the_system_line_is_one(self, tmp_path: Path) -> None:
        assert self.opened("no-system", tmp_path) == (
            "<bos><start_of_turn>user\nHm.<end_of_turn>\n<start_of_turn>model\nhi"
        )

    def test_or_somebody_who_only_starts(self, tmp_path: Path) -> None:
        assert self.opened("text-markers", tmp_path) == (
            "<s>[INST] <<SYS>>\nHm.\n<</SYS>>\n\n[start] [/INST] hi"
        )

    def test_elsewhere_the_persona_may(self, tmp_path: Path) -> None:
        assert self.opened("thinking", tmp_path) == (
            "<|im_start|>system\nHm.<|im_end|>\n<|im_start|>assistant\nhi"
        )

    def opened(self, name: str, tmp_path: Path) -> str:
        tokenizer = make(tmp_path, KINDS[name])
        segments = render.render_segments(
            renderings.rendering_spec("chat", tokenizer),
            "Hm.",
            merge_turns([("Ana", TurnLine("hi"))]),
            persona="Ana",
        )
        ending = len(renderings.rendering_spec("chat", tokenizer).between["own>end"])
        return "".join(segment.text for segment in segments[:-ending])


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("", "has no chat template"),
        ("{% if %}", "cannot be used"),
        ("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "takes"),
        ("{{ 'x' * 10**11 }}", "takes more memory|takes longer"),
        ("{% set x = 'xxxxxxxxxx' %}{% for a in range(99) %}{{ x * 99999 }}{% endfor %}", "writes"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "calls itself without end|cannot be"),
        ("{{ '%2000000000d' % 1 }}", "takes more memory|takes longer|writes more"),
        (
            bases.LOOP + "{{ loop.index }}{{ message['content'] }}<|im_end|>{% endfor %}",
            "not always",
        ),
        (bases.LOOP + "{{ message['content'] | upper }}<|im_end|>{% endfor %}", "changes contents"),
        (
            bases.LOOP + "{{ message['role'] }}{{ message['content'] }}"
            "{{ '!' if loop.index > 7 }}<|im_end|>{% endfor %}",
            "many turns",
        ),
        (
            bases.LOOP + "{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}",
            "no control",
        ),
        (
            bases.LOOP + "{{ message['role'] }}: {{ message['content'] }}<|stop|>{% endfor %}",
            "where no engine would stop",
        ),
        ("{{ raise_exception('never') }}", "never"),
        ("{{ messages.clear() }}", "unsafe"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{% include '/etc/passwd' %}", "loader"),
    ],
)
def test_a_template_that_cannot_be_split_says_so_and_names_a_way_out(
    template: str, why: str, tmp_path: Path
) -> None:
    tokenizer = make(tmp_path, Kind(template, ("<|im_end|>", "<|stop|>"), eos="<|im_end|>"))
    if not template:
        (tmp_path / "tokenizer_config.json").write_text("{}", "utf-8")
    with pytest.raises(SettingsError, match=rf'(?s){why}.*use rendering = "?.transcript') as caught:
        renderings.rendering_spec("chat", tokenizer)
    assert "\n" not in str(caught.value)


def test_a_template_in_a_file_of_its_own_counts(tmp_path: Path) -> None:
    make(tmp_path, Kind("{{ 'nothing' }}", ("<|im_end|>",), eos="<|im_end|>"))
    (tmp_path / "chat_template.jinja").write_text(
        bases.LOOP + "{{ message['role'] }}={{ message['content'] }}<|im_end|>{% endfor %}", "utf-8"
    )
    found = renderings.rendering_spec("chat", Tokenizer(tmp_path))
    assert [mark.text for mark in found.between["other>own"]] == ["<|im_end|>", "assistant="]


def test_of_several_templates_the_default_one_counts(tmp_path: Path) -> None:
    tokenizer = make(tmp_path, KINDS["thinking"])
    named = [{"name": "tool_use", "template": "{{ 1 }}"}]
    named += [{"name": "default", "template": KINDS["thinking"].template}]
    config = {**tokenizer.settings, "chat_template": named}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config), "utf-8")
    assert renderings.rendering_spec("chat", Tokenizer(tmp_path)) == renderings.rendering_spec(
        "chat", tokenizer
    )
