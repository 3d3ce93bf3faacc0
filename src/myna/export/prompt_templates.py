r"""How another program makes the prompts that a clone was trained on: as a chat template.

Runners know a system message, a user and an assistant. Here the assistant is a persona
and the user is the person who said most beside them; what stands between their turns
comes from the very spec that the adapter was trained with. The template is Jinja, as transformers,
llama.cpp, vLLM and text-generation-webui read it, or Go's, as Ollama does.

What no template can do: escape a line in a message that looks like another's turn.
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
        persona: who answers.
        user: whom the user speaks for.
        system: the system line.
        people: everyone whose turn may be next.
        spec: the rendering that the adapter was trained with.
        adapter: the folder of the adapter.
        opening: what stands before the system line, but for what runners put there.
    """

    persona: str
    user: str
    system: str
    people: tuple[str, ...]
    spec: RenderingSpec
    adapter: Path
    opening: str = ""

    def between(self, before: str, after: str) -> str:
        """All from the end of a turn ("start", "user", "assistant") to the next one's words."""
        role = self.spec.role(self.persona, self.persona)
        roles = {USER: "other", ASSISTANT: role, "start": "start"}
        name = {USER: self.user, ASSISTANT: self.persona}[after]
        return self._text(self.spec.between[f"{roles[before]}>{roles[after]}"], name)

    def lead(self, after: str) -> str:
        """What somebody's words begin with."""
        role = self.spec.role(self.persona, self.persona)
        return self.spec.prefix(role if after == ASSISTANT else "other")

    def stops(self) -> list[str]:
        """What ends the persona's turn; one text for each person who may be next."""
        own = self.spec.role(self.persona, self.persona)
        delimiters = self.spec.between[f"{own}>other"]
        if self.spec.ends_with_control_token:
            return [next(one.text for one in delimiters if one.control)]
        return [self._text(delimiters, person) for person in self.people if person != self.persona]

    def _text(self, delimiters: Sequence[Delimiter], name: str) -> str:
        return "".join(
            (self.spec.written_name(name) if one.named else "") + one.text for one in delimiters
        )


def opening(spec: RenderingSpec, tokenizer: Tokenizer) -> str:
    """The text before the system line, without the tokens that runners put before any text."""
    begin = {tokenizer.control_token(number) for number in tokenizer.bos_ids}
    return "".join(one.text for one in spec.opening if one.text not in begin)


def jinja(voice: Voice) -> str:
    """The template for chats with a voice, in Jinja."""
    words = "m['content'] | trim"
    return "".join(
        [
            "{%- set ns = namespace(before='start', system=",
            _quoted(voice.system),
            ") -%}",
            "{%- for m in messages -%}{%- if m['role'] == 'system' and m['content'] -%}",
            f"{{%- set ns.system = {words} -%}}",
            "{%- endif -%}{%- endfor -%}",
            f"{{{{- {_quoted(voice.opening)} + ns.system -}}}}",
            f"{{{{- {_quoted(voice.spec.header_end)} -}}}}",
            "{%- for m in messages -%}",
            "{%- if m['role'] == 'assistant' -%}",
            _jinja_between(voice, ASSISTANT),
            f"{{{{- {_quoted(voice.lead(ASSISTANT))} + {words} -}}}}",
            "{%- set ns.before = 'assistant' -%}",
            "{%- elif m['role'] != 'system' -%}",
            _jinja_between(voice, USER),
            f"{{{{- {_quoted(voice.lead(USER))} + {words} -}}}}",
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
        middle = f"{{%- else -%}}{{{{- {_quoted(own)} -}}}}"
    else:
        middle = (
            f"{{%- elif ns.before == 'user' -%}}{{{{- {_quoted(user)} -}}}}"
            f"{{%- else -%}}{{{{- {_quoted(own)} -}}}}"
        )
    return f"{{%- if ns.before == 'start' -%}}{{{{- {_quoted(start)} -}}}}{middle}{{%- endif -%}}"


def go(voice: Voice) -> str:
    """The template for chats with a voice, in Go's language for them, as Ollama fills it."""
    return "".join(
        [
            '{{- $before := "start" -}}',
            _go(voice.opening),
            "{{- if .System }}{{ .System }}{{ else }}",
            _go(voice.system),
            "{{- end -}}",
            _go(voice.spec.header_end),
            '{{- range .Messages }}{{ if eq .Role "assistant" -}}',
            _go_between(voice, ASSISTANT),
            _go_words(voice, ASSISTANT),
            '{{- $before = "assistant" -}}',
            '{{- else if ne .Role "system" -}}',
            _go_between(voice, USER),
            _go_words(voice, USER),
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
    """What stands before somebody's words at the start, after the user's, after their own."""
    start, user, own = (voice.between(before, after) for before in ("start", USER, ASSISTANT))
    return start, user, own


def _go_words(voice: Voice, after: str) -> str:
    """The words behind their lead: a clone's own come with theirs already."""
    lead = voice.lead(after)
    if not lead:
        return "{{- .Content -}}"
    begins = f'printf "%.{len(lead)}s" .Content'
    put = f"{{{{- if ne ({begins}) {_quoted_for_go(lead)} -}}}}{_go(lead)}{{{{- end -}}}}"
    return f"{put}{{{{- .Content -}}}}"


def _go(text: str) -> str:
    return f"{{{{- {_quoted_for_go(text)} -}}}}" if text else ""


def _quoted(text: str) -> str:
    """A literal in Jinja: JSON's, without escapes by number, which llama.cpp cannot read."""
    return json.dumps(text, ensure_ascii=False)


def _quoted_for_go(text: str) -> str:
    return _quoted(text).replace("{", "\\u007b").replace("}", "\\u007d")
