"""The template for other programs makes the very text that the clone was trained on."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import jinja2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engines.servers import KEY, llama_server

from myna.export.prompt_templates import Voice, go_template, jinja_template, text_before_system
from myna.models.bases import Base
from myna.rendering import render, renderings
from myna.rendering.tokenizer import Tokenizer
from myna.rendering.turns import Turn, TurnLine

pytestmark = pytest.mark.model

RENDERINGS = ("transcript", "names", "mind-upload", "chat")
SYSTEM = "A chat in tea: Ana, Ben, Cy."


def voice(style: str, tokenizer: Tokenizer, persona: str = "Ana", user: str = "Ben") -> Voice:
    found = renderings.rendering_spec(style, tokenizer)
    people = (user, persona, "Cy")
    return Voice(persona, user, SYSTEM, people, found, Path(), text_before_system(found, tokenizer))


def filled(voice: Voice, *said: tuple[str, str], system: str | None = None) -> str:
    messages = [{"role": role, "content": text} for role, text in said]
    if system is not None:
        messages.insert(0, {"role": "system", "content": system})
    template = jinja2.Environment(autoescape=False).from_string(jinja_template(voice))  # noqa: S701
    return template.render(messages=messages, add_generation_prompt=True)


def trained_on(voice: Voice, *said: tuple[str, str]) -> str:
    names = {"user": voice.user, "assistant": voice.persona}
    turns = [Turn(names[role], (TurnLine(text),)) for role, text in said]
    header = voice.system + voice.spec.header_end
    shown = render.render_segments(
        voice.spec, header, turns, persona=voice.persona, next_person=voice.persona
    )
    return "".join(segment.text for segment in shown)


@pytest.mark.parametrize("style", RENDERINGS)
@settings(max_examples=40, deadline=None)
@given(
    texts=st.lists(
        st.sampled_from(["tea?", 'a "b" {{c}} {% d %}', "two\nlines", "👍", "\\n"]), max_size=5
    ),
    first=st.sampled_from(["user", "assistant"]),
    names=st.sampled_from([("Ana", "Ben"), ('A"na', "Be\\n"), ("{{Ana}}", "{% Ben %}")]),
)
def test_it_is_the_renderers_own_text(
    tokenizer: Tokenizer, style: str, texts: list[str], first: str, names: tuple[str, str]
) -> None:
    roles = ["user", "assistant"] if first == "user" else ["assistant", "user"]
    said = [(roles[at % 2], text) for at, text in enumerate(texts)]
    one = voice(style, tokenizer, *names)
    if said and said[-1][0] == "assistant":
        said = said[:-1]  # nobody answers themselves
    assert filled(one, *said) == trained_on(one, *said)


@pytest.mark.parametrize("style", RENDERINGS)
def test_a_system_message_takes_the_place_of_the_system_line(
    tokenizer: Tokenizer, style: str
) -> None:
    one = voice(style, tokenizer)
    text = filled(one, ("user", "tea?"), system="Another line.")
    assert text == trained_on(one, ("user", "tea?")).replace(SYSTEM, "Another line.")


def test_what_ends_the_personas_turn(tokenizer: Tokenizer) -> None:
    assert voice("transcript", tokenizer).stops() == ["\nBen:", "\nCy:"]
    assert voice("mind-upload", tokenizer).stops() == ["\nBen:", "\nCy:"]
    assert voice("names", tokenizer).stops() == ["<|im_end|>"]
    assert voice("chat", tokenizer).stops() == ["<|im_end|>"]


def test_gos_template_says_the_same_in_its_own_words(tokenizer: Tokenizer) -> None:
    """Tried in Go's own text/template, this gives the text of the tests above."""
    assert go_template(voice("transcript", tokenizer)) == (
        '{{- $before := "start" -}}'
        '{{- if .System }}{{ .System }}{{ else }}{{- "A chat in tea: Ana, Ben, Cy." -}}'
        '{{- end -}}{{- "\\n" -}}'
        '{{- range .Messages }}{{ if eq .Role "assistant" -}}'
        '{{- if eq $before "start" -}}{{- "Ana:" -}}{{- else -}}{{- "\\nAna:" -}}{{- end -}}'
        '{{- if ne (printf "%.1s" .Content) " " -}}{{- " " -}}{{- end -}}{{- .Content -}}'
        '{{- $before = "assistant" -}}'
        '{{- else if ne .Role "system" -}}'
        '{{- if eq $before "start" -}}{{- "Ben:" -}}{{- else -}}{{- "\\nBen:" -}}{{- end -}}'
        '{{- if ne (printf "%.1s" .Content) " " -}}{{- " " -}}{{- end -}}{{- .Content -}}'
        '{{- $before = "user" -}}'
        "{{- end }}{{ end -}}"
        '{{- if eq $before "start" -}}{{- "Ana:" -}}{{- else -}}{{- "\\nAna:" -}}{{- end -}}'
    )


def test_a_name_is_no_code_in_gos_template(tokenizer: Tokenizer) -> None:
    text = go_template(voice("transcript", tokenizer, persona='}} {{ .System }} """'))
    assert '"\\u007d\\u007d \\u007b\\u007b .System \\u007d\\u007d \\"\\"\\":"' in text
    assert '"""' not in text


def test_llamacpp_reads_the_template_as_jinja_does(base: Base, tokenizer: Tokenizer) -> None:
    for style in RENDERINGS:
        one = voice(style, tokenizer, persona='A"na {{x}}')
        said = [("user", "tea?"), ("assistant", "always\nnow?"), ("user", "ok 👍")]
        body = {"messages": [{"role": role, "content": text} for role, text in said]}
        with llama_server(base, chat_template=jinja_template(one)) as address:
            request = urllib.request.Request(  # noqa: S310
                f"{address}/apply-template",
                json.dumps(body).encode(),
                {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"},
            )
            with urllib.request.urlopen(request) as answer:  # noqa: S310
                assert json.load(answer)["prompt"] == filled(one, *said), style
