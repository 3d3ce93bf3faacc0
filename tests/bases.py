"""Bases that are tokenizers and nothing else, one for each kind of chat template there is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tokenizers
from tokenizers import decoders, models, pre_tokenizers, processors

from myna.rendering.tokenizer import Tokenizer


@dataclass(frozen=True)
class Kind:
    """The chat format of a family of bases."""

    template: str
    control: tuple[str, ...]
    bos: str = ""
    eos: str = ""


LOOP = "{% for message in messages %}"
ASKS_FOR_TURNS = (
    "{% for m in messages if m['role'] != 'system' %}"
    "{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}{% endfor %}"
)

CHATML = (
    LOOP + "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
)

KINDS = {
    # A system line of its own where there is none, and nothing else.
    "default-system": Kind(
        "{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nBe good<|im_end|>\n' }}"
        "{% endif %}" + CHATML,
        ("<|im_start|>", "<|im_end|>"),
        eos="<|im_end|>",
    ),
    # Contents trimmed, a token before all, headers between two tokens, a day.
    "headers": Kind(
        "{{ bos_token }}" + LOOP + "{{ '<|head|>' + message['role'] + '<|/head|>\n\n' }}"
        "{% if loop.first %}{{ 'Today: ' + strftime_now('%d %b %Y') + '\n\n' }}{% endif %}"
        "{{ message['content'] | trim + '<|eot|>' }}{% endfor %}",
        ("<|begin|>", "<|head|>", "<|/head|>", "<|eot|>"),
        bos="<|begin|>",
        eos="<|eot|>",
    ),
    # No role for a system line, other names of roles, and turns by turns.
    "no-system": Kind(
        "{{ bos_token }}{% if messages[0]['role'] == 'system' %}"
        "{{ raise_exception('no system here') }}{% endif %}" + ASKS_FOR_TURNS + LOOP +
        "{% set role = 'model' if message['role'] == 'assistant' else message['role'] %}"
        "{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}"
        "{% endfor %}",
        ("<bos>", "<start_of_turn>", "<end_of_turn>"),
        bos="<bos>",
        eos="<end_of_turn>",
    ),
    # Markers that are text, blanks around replies, the system line within the first user's.
    "text-markers": Kind(
        ASKS_FOR_TURNS + "{% if messages[0]['role'] == 'system' %}"
        "{% set system = '<<SYS>>\n' + messages[0]['content'] + '\n<</SYS>>\n\n' %}"
        "{% set rest = messages[1:] %}{% else %}{% set system = '' %}{% set rest = messages %}"
        "{% endif %}{% for message in rest %}{% if message['role'] == 'user' %}"
        "{{ bos_token + '[INST] ' + (system if loop.first else '') + message['content']"
        " + ' [/INST]' }}{% else %}{{ ' ' + message['content'] + ' ' + eos_token }}{% endif %}"
        "{% endfor %}",
        ("<s>", "</s>"),
        bos="<s>",
        eos="</s>",
    ),
    # The system line goes into the last user's turn.
    "system-last": Kind(
        "{{ bos_token }}" + ASKS_FOR_TURNS +
        "{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] %}"
        "{% set rest = messages[1:] %}{% else %}{% set rest = messages %}{% endif %}"
        "{% for message in rest %}{% if message['role'] == 'user' %}{{ '[INST]' }}"
        "{% if loop.last and system is defined %}{{ system + '\n\n' }}{% endif %}"
        "{{ message['content'] + '[/INST]' }}{% else %}{{ message['content'] + eos_token }}"
        "{% endif %}{% endfor %}",
        ("<s>", "</s>", "[INST]", "[/INST]"),
        bos="<s>",
        eos="</s>",
    ),
    # Something before the last reply only.
    "thinking": Kind(
        LOOP + "{{ '<|im_start|>' + message['role'] + '\n' }}"
        "{% if loop.last and message['role'] == 'assistant' %}{{ '<think>\n\n</think>\n\n' }}"
        "{% endif %}{% generation %}{{ message['content'] }}{% endgeneration %}"
        "{{ '<|im_end|>\n' }}{% endfor %}",
        ("<|im_start|>", "<|im_end|>", "<think>", "</think>"),
        eos="<|im_end|>",
    ),
}  # fmt: skip


def make(folder: Path, kind: Kind, extra: Sequence[str] = ()) -> Tokenizer:
    """The tokenizer of such a base, a token for each byte."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    model = tokenizers.Tokenizer(models.BPE({c: i for i, c in enumerate(alphabet)}, []))
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    model.decoder = decoders.ByteLevel()
    model.add_special_tokens([*kind.control, *extra])
    if kind.bos:
        number = model.token_to_id(kind.bos)
        model.post_processor = processors.TemplateProcessing(
            single=f"{kind.bos} $A", special_tokens=[(kind.bos, number)]
        )
    folder.mkdir(parents=True, exist_ok=True)
    model.save(str(folder / "tokenizer.json"))
    named = {"bos_token": kind.bos or None, "eos_token": kind.eos}
    config = {"chat_template": kind.template, **named}
    (folder / "tokenizer_config.json").write_text(json.dumps(config), "utf-8")
    (folder / "config.json").write_text(
        json.dumps({"eos_token_id": model.token_to_id(kind.eos)}), "utf-8"
    )
    return Tokenizer(folder)
