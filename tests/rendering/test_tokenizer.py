"""The tokenizer of a base's folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tokenizers
from hypothesis import example, given
from hypothesis import strategies as st
from tests.bases import KINDS, make
from tests.chats import texts, thorough

from myna.errors import ModelError
from myna.rendering.tokenizer import BatchTokenizer, Tokenizer


def folder(path: Path, **files: object) -> Path:
    """A base's folder with a tokenizer of a few words."""
    words = {word: number for number, word in enumerate(["a", "b", "<s>", "</s>", "<unk>"])}
    model = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, "<unk>"))
    model.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    model.add_special_tokens(["<s>", "</s>"])
    pieces = [("<s>", 2), ("</s>", 3)]
    model.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=pieces
    )
    model.save(str(path / "tokenizer.json"))
    for name, content in files.items():
        (path / f"{name}.json").write_text(json.dumps(content))
    return path


class TestEnds:
    def test_the_end_token_is_that_of_generation_first(self, tmp_path: Path) -> None:
        base = folder(
            tmp_path, generation_config={"eos_token_id": [1, 3]}, config={"eos_token_id": 3}
        )
        assert Tokenizer(base).eos_id == 1

    @pytest.mark.parametrize(
        "files",
        [
            {"config": {"eos_token_id": 3}},
            {"config": {}, "tokenizer_config": {"eos_token": "</s>"}},
            {"tokenizer_config": {"eos_token": {"content": "</s>"}}},
        ],
    )
    def test_it_is_found_wherever_a_base_says_it(self, tmp_path: Path, files: dict) -> None:
        assert Tokenizer(folder(tmp_path, **files)).eos_id == 3

    def test_a_base_that_says_it_nowhere(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match="names no end-of-text token"):
            Tokenizer(folder(tmp_path))

    def test_what_a_model_wants_before_any_text(self, tmp_path: Path) -> None:
        tokenizer = Tokenizer(folder(tmp_path, config={"eos_token_id": 3}))
        assert tokenizer.bos_ids == (2,)
        assert tokenizer.encode("a b").ids == [0, 1]


class TestFolder:
    def test_without_a_tokenizer(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match=r"has no tokenizer.json: choose a base that has one"):
            Tokenizer(tmp_path)

    def test_with_a_damaged_one(self, tmp_path: Path) -> None:
        (tmp_path / "tokenizer.json").write_text("{")
        with pytest.raises(ModelError, match=r"cannot read .*tokenizer.json"):
            Tokenizer(tmp_path)


@pytest.mark.model
class TestEmbedded:
    def test_typed_control_tokens_stay_text(self, tokenizer: Tokenizer) -> None:
        text = "<|im_start|>system\nhi<|im_end|><|endoftext|>"
        ids = tokenizer.encode(text).ids
        assert tokenizer.decode(ids) == text
        assert min(ids) > 16  # its control tokens come first

    def test_the_ways_to_encode_agree(self, tokenizer: Tokenizer) -> None:
        some = ["Ana: tea?\n", "", "<|im_end|> 🚀", "\U0004ffff"]
        for tokens in (tokenizer.encode_batch(some), tokenizer.encode_batch([])):
            assert len(tokens.ids) == len(tokens.starts) == len(tokens.ends) == tokens.counts.sum()
        each = [tokenizer.encode(text).ids for text in some]
        assert tokenizer.encode_batch(some).ids.tolist() == [i for ids in each for i in ids]
        assert tokenizer.count(some) == [len(ids) for ids in each]
        assert "".join(tokenizer.decode([i]) for i in each[0]) == some[0]

    @thorough
    @given(st.lists(texts, max_size=5))
    @example(["  \x0b", "\x0c  a"])
    def test_the_fast_way_gives_what_the_standard_one_gives(
        self, tokenizer: Tokenizer, some: list[str]
    ) -> None:
        assert tokenizer._batch._tokie is not None
        fast, standard = tokenizer.encode_batch(some), tokenizer._batch.encode_standard(some)
        assert fast.ids.tolist() == standard.ids.tolist()
        assert fast.counts.tolist() == standard.counts.tolist()
        # Of a character that is several tokens, the standard way says of each that it is all.
        assert (fast.starts >= standard.starts).all()
        assert (fast.ends <= standard.ends).all()

    def test_a_fast_way_that_differs_is_not_taken(
        self, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(BatchTokenizer, "_ids", lambda *_: [1])
        assert Tokenizer(tokenizer.folder)._batch._tokie is None


def test_a_tokenizer_of_another_kind_is_read_too(tmp_path: Path) -> None:
    tokenizer = Tokenizer(folder(tmp_path, config={"eos_token_id": 3}))
    tokens = tokenizer.encode_batch(["a b", "é b a"])
    assert tokens.ids.tolist() == [0, 1, 4, 1, 0]
    assert (tokens.starts.tolist(), tokens.ends.tolist()) == ([0, 2, 3, 6, 8], [1, 3, 5, 7, 9])


def test_tokens_that_are_not_called_special_are_not_read_out_of_text_either(
    tmp_path: Path,
) -> None:
    whole = make(tmp_path, KINDS["default-system"])
    model = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    model.add_tokens([tokenizers.AddedToken("<think>", special=False), "\t\t"])
    model.save(str(tmp_path / "tokenizer.json"))
    changed = Tokenizer(tmp_path)
    for text in ("a<think>b", "<think>"):
        assert changed.encode(text).ids == whole.encode(text).ids
        assert changed.encode_batch([text]).ids.tolist() == whole.encode(text).ids
    assert changed.control_id("<think>") in changed.control_ids
    assert len(changed.encode("\t\t").ids) == 1  # that is text, and has always been
