r"""Chat templates, by which other programs make the prompts that a clone was trained on.

These programs know a system message, a user and an assistant. Here the assistant is a
persona and the user is the person who wrote most beside them; the text between their turns
comes from the rendering of the samples. The template is Jinja, as transformers, llama.cpp,
vLLM and text-generation-webui read it, or Go's, as Ollama does.

No template can escape a line in a message that looks like another's turn.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from myna.rendering.spec import Delimiter, RenderingSpec
from myna.rendering.tokenizer import Tokenizer

USER, ASSISTANT = "user", "assistant"


@dataclass(frozen=True)
class Voice:
    """A persona as an assistant.

    Attributes:
        persona: the person for whom the assistant speaks.
        user: the person for whom the user speaks.
        system: the system line.
        people: everyone who may speak next.
        spec: the rendering that the adapter was trained with.
        adapter: the folder of the adapter.
        before_system: the text before the system line, without the BOS that programs add.
    """

    persona: str
    user: str
    system: str
    people: tuple[str, ...]
    spec: RenderingSpec
    adapter: Path
    before_system: str = ""

    def between(self, before: str, after: str) -> str:
        """The text from the end of a turn ("start", "user", "assistant") to the next one's text."""
        role = self.spec.role(self.persona, self.persona)
        roles = {USER: "other", ASSISTANT: role, "start": "start"}
        name = {USER: self.user, ASSISTANT: self.persona}[after]
        return self._text(self.spec.between[f"{roles[before]}>{roles[after]}"], name)

    def lead(self, after: str) -> str:
        """The text before the first message of a turn, such as a blank."""
        role = self.spec.role(self.persona, self.persona)
        return self.spec.prefix(role if after == ASSISTANT else "other")

    def stops(self) -> list[str]:
        """The stop strings of the persona's turn: one, or one for each person who may be next."""
        own = self.spec.role(self.persona, self.persona)
        delimiters = self.spec.between[f"{own}>other"]
        if self.spec.ends_with_control_token:
            return [next(one.text for one in delimiters if one.control)]
        return [self._text(delimiters, person) for person in self.people if person != self.persona]

    def _text(self, delimiters: Sequence[Delimiter], name: str) -> str:
        return "".join(
            (self.spec.written_name(name) if one.named else "") + one.text for one in delimiters
        )


def text_before_system(spec: RenderingSpec, tokenizer: Tokenizer) -> str:
    """The text before the system line, without the BOS that programs add themselves."""
    bos = {tokenizer.control_token(id_) for id_ in tokenizer.bos_ids}
    return "".join(one.text for one in spec.opening if one.text not in bos)


def jinja_template(voice: Voice) -> str:
    """The Jinja template for chats with a persona."""
    words = "m['content'] | trim"
    return "".join(
        [
            "{%- set ns = namespace(before='start', system=",
            as_json(voice.system),
            ") -%}",
            "{%- for m in messages -%}{%- if m['role'] == 'system' and m['content'] -%}",
            f"{{%- set ns.system = {words} -%}}",
            "{%- endif -%}{%- endfor -%}",
            f"{{{{- {as_json(voice.before_system)} + ns.system -}}}}",
            f"{{{{- {as_json(voice.spec.header_end)} -}}}}",
            "{%- for m in messages -%}",
            "{%- if m['role'] == 'assistant' -%}",
            _jinja_between(voice, ASSISTANT),
            f"{{{{- {as_json(voice.lead(ASSISTANT))} + {words} -}}}}",
            "{%- set ns.before = 'assistant' -%}",
            "{%- elif m['role'] != 'system' -%}",
            _jinja_between(voice, USER),
            f"{{{{- {as_json(voice.lead(USER))} + {words} -}}}}",
            "{%- set ns.before = 'user' -%}",
            "{%- endif -%}{%- endfor -%}",
            "{%- if add_generation_prompt -%}",
            _jinja_between(voice, ASSISTANT),
            "{%- endif -%}",
        ]
    )


def _jinja_between(voice: Voice, after: str) -> str:
    start, user, own = _between(voice, after)
    if user == own:
        middle = f"{{%- else -%}}{{{{- {as_json(own)} -}}}}"
    else:
        middle = (
            f"{{%- elif ns.before == 'user' -%}}{{{{- {as_json(user)} -}}}}"
            f"{{%- else -%}}{{{{- {as_json(own)} -}}}}"
        )
    return f"{{%- if ns.before == 'start' -%}}{{{{- {as_json(start)} -}}}}{middle}{{%- endif -%}}"


def go_template(voice: Voice) -> str:
    """The Go template for chats with a persona, as Ollama fills it."""
    return "".join(
        [
            '{{- $before := "start" -}}',
            _go(voice.before_system),
            "{{- if .System }}{{ .System }}{{ else }}",
            _go(voice.system),
            "{{- end -}}",
            _go(voice.spec.header_end),
            '{{- range .Messages }}{{ if eq .Role "assistant" -}}',
            _go_between(voice, ASSISTANT),
            _go_content(voice, ASSISTANT),
            '{{- $before = "assistant" -}}',
            '{{- else if ne .Role "system" -}}',
            _go_between(voice, USER),
            _go_content(voice, USER),
            '{{- $before = "user" -}}',
            "{{- end }}{{ end -}}",
            _go_between(voice, ASSISTANT),
        ]
    )


def _go_between(voice: Voice, after: str) -> str:
    start, user, own = _between(voice, after)
    if user == own:
        middle = f"{{{{- else -}}}}{_go(own)}"
    else:
        middle = f'{{{{- else if eq $before "user" -}}}}{_go(user)}{{{{- else -}}}}{_go(own)}'
    return f'{{{{- if eq $before "start" -}}}}{_go(start)}{middle}{{{{- end -}}}}'


def _between(voice: Voice, after: str) -> tuple[str, str, str]:
    """The text before a turn: at the start, after the user's turn, after their own."""
    start, user, own = (voice.between(before, after) for before in ("start", USER, ASSISTANT))
    return start, user, own


def _go_content(voice: Voice, after: str) -> str:
    """The text of a turn behind its lead, which generated turns have already."""
    lead = voice.lead(after)
    if not lead:
        return "{{- .Content -}}"
    begins = f'printf "%.{len(lead)}s" .Content'
    put = f"{{{{- if ne ({begins}) {_go_literal(lead)} -}}}}{_go(lead)}{{{{- end -}}}}"
    return f"{put}{{{{- .Content -}}}}"


def _go(text: str) -> str:
    return f"{{{{- {_go_literal(text)} -}}}}" if text else ""


def as_json(value: str | list[str]) -> str:
    """JSON without numeric escapes, which llama.cpp cannot read; also a literal in Jinja."""
    return json.dumps(value, ensure_ascii=False)


def _go_literal(text: str) -> str:
    return as_json(text).replace("{", "\\u007b").replace("}", "\\u007d")
