"""transformers' own: scoring, its cache, and the choice of a token."""

from __future__ import annotations

import math
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.adapters import random_adapter, tiny_base
from tests.engines.conftest import CONTEXT, distance

from myna.config import Sampling
from myna.engines.engine import Engine
from myna.engines.token_penalties import penalized
from myna.engines.transformers_engine import Transformers, sample_token
from myna.models.bases import Base, find_base
from myna.models.gguf_file import quiet
from myna.models.loading import load_base
from myna.rendering.tokenizer import Tokenizer

pytestmark = pytest.mark.model


def test_a_score_is_the_sum_of_next_probabilities(
    transformers: Engine, prompt: list[int], tokenizer: Tokenizer
) -> None:
    continuation = tokenizer.encode(" loud and clear.").ids
    scores = transformers.score(prompt, continuation)
    assert len(scores) == len(continuation)
    for i, (token, score) in enumerate(zip(continuation, scores, strict=True)):
        probs = transformers.next_probs([*prompt, *continuation[:i]], 49152)
        assert score == pytest.approx(math.log(probs[token]), abs=1e-3)


def test_nothing_scores_nothing(transformers: Engine, prompt: list[int]) -> None:
    assert transformers.score(prompt, []) == []


def test_the_cache_changes_nothing(
    transformers: Engine, base: Base, prompt: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was asked before, the answer is a plain forward pass's. Also in chunks."""
    import torch

    model = load_base(base, dtype=torch.float32)
    with torch.inference_mode():
        plain = model(input_ids=torch.tensor([prompt])).logits[0].float().log_softmax(-1)
    expected = [float(plain[i, t]) for i, t in enumerate(prompt[1:])]
    monkeypatch.setattr("myna.engines.transformers_engine._CHUNK_TOKENS", 5)
    for before in (prompt[:5], [*prompt, 40, 41], [99, *prompt]):
        transformers.next_probs(before, 1)
        assert transformers.score(prompt[:3], prompt[3:]) == pytest.approx(expected[2:], abs=1e-3)


def test_a_prompt_that_grew_costs_only_what_is_new(
    base: Base, prompt: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Transformers(base, None, CONTEXT)
    lengths: list[int] = []
    assert engine._shared is not None
    forward = engine._shared.model.forward

    def counted(*args: object, **named: object) -> object:
        lengths.append(named["input_ids"].shape[1])  # type: ignore[attr-defined]
        return forward(*args, **named)

    monkeypatch.setattr(engine._shared.model, "forward", counted)
    engine.next_probs(prompt, 1)
    engine.next_probs([*prompt, 40, 41], 1)
    engine.next_probs([*prompt[:-1], 50], 1)
    assert lengths == [len(prompt), 2, 1]
    engine.close()


def test_each_step_of_sampling_narrows_the_choice() -> None:
    import torch

    logits = torch.tensor([0.4, 0.3, 0.2, 0.1]).log()

    def chosen(**settings: float) -> set[int]:
        neutral = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0}
        sampling = Sampling(**(neutral | settings))  # type: ignore[arg-type]
        random = torch.Generator().manual_seed(1)
        penalties = penalized(logits, [0, 0], sampling, str)
        return {sample_token(penalties, sampling, random) for _ in range(100)}

    assert chosen() == {0, 1, 2, 3}
    assert chosen(temperature=0) == {0}
    assert chosen(top_k=2) == {0, 1}
    assert chosen(top_p=0.6) == {0, 1}
    assert chosen(min_p=0.4) == {0, 1, 2}
    assert chosen(temperature=0, repetition_penalty=3.0) == {1}
    assert chosen(temperature=0, presence_penalty=0.5) == {1}
    assert chosen(temperature=0, frequency_penalty=0.25) == {1}
    assert chosen(temperature=0, frequency_penalty=0.1) == {0}


class TestAdapters:
    """Each person's own adapter, on a base that is loaded once."""

    @pytest.fixture(scope="class")
    def tiny(self, base: Base, tmp_path_factory: pytest.TempPathFactory) -> Base:
        return tiny_base(tmp_path_factory.mktemp("tiny"), base)

    @pytest.fixture(scope="class")
    def loras(self, tiny: Base, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
        folders = [tmp_path_factory.mktemp(f"lora{rank}") for rank in (2, 4)]
        return [
            random_adapter(tiny, folder, rank=rank, qk=0.5)
            for folder, rank in zip(folders, (2, 4), strict=True)
        ]

    def alone(self, tiny: Base, lora: Path | None, prompt: list[int]) -> object:
        engine = Transformers(tiny, lora, CONTEXT)
        found = engine.next_probs(prompt, 20)
        engine.close()
        return pytest.approx(found, rel=1e-5)

    def test_asked_in_turn_each_answers_as_if_alone(
        self, tiny: Base, loras: list[Path], prompt: list[int]
    ) -> None:
        expected = [self.alone(tiny, lora, prompt) for lora in (None, *loras)]
        engines = [Transformers(tiny, lora, CONTEXT) for lora in (None, *loras)]
        for _ in range(2):
            assert [engine.next_probs(prompt, 20) for engine in engines] == expected
        assert expected[0] != expected[1] != expected[2]
        assert len({id(engine._shared) for engine in engines}) == 1
        for engine in engines:
            engine.close()

    def test_an_adapter_that_was_trained_further_is_another(
        self, tiny: Base, loras: list[Path], prompt: list[int], tmp_path: Path
    ) -> None:
        changing = tmp_path / "lora"
        shutil.copytree(loras[0], changing)
        before = Transformers(tiny, changing, CONTEXT)
        first = before.next_probs(prompt, 20)
        for file in loras[1].iterdir():
            shutil.copyfile(file, changing / file.name)
        after = Transformers(tiny, changing, CONTEXT)
        assert after.next_probs(prompt, 20) == self.alone(tiny, loras[1], prompt)
        assert before.next_probs(prompt, 20) == pytest.approx(first, rel=1e-5)
        before.close()
        after.close()

    def test_its_scale_is_a_factor(self, tiny: Base, loras: list[Path], prompt: list[int]) -> None:
        none, plain, half = (
            Transformers(tiny, loras[0], CONTEXT, scale=scale) for scale in (0.0, 1.0, 0.5)
        )
        assert none.next_probs(prompt, 20) == self.alone(tiny, None, prompt)
        assert plain.next_probs(prompt, 20) == self.alone(tiny, loras[0], prompt)
        assert half.next_probs(prompt, 20) not in (
            none.next_probs(prompt, 20), plain.next_probs(prompt, 20),
        )  # fmt: skip
        for engine in (none, plain, half):
            engine.close()

    def test_threads_do_not_disturb_each_other(
        self, tiny: Base, loras: list[Path], prompt: list[int]
    ) -> None:
        engines = [Transformers(tiny, lora, CONTEXT) for lora in (None, *loras)]
        asked = [(engine, [40 + n, *prompt]) for n in range(4) for engine in engines]
        expected = [engine.next_probs(ids, 5) for engine, ids in asked]
        with ThreadPoolExecutor(6) as pool:
            found = list(pool.map(lambda one: one[0].next_probs(one[1], 5), asked))
        assert found == [pytest.approx(probs, rel=1e-4) for probs in expected]
        for engine in engines:
            engine.close()

    def test_a_base_in_four_bits(
        self, tiny: Base, loras: list[Path], prompt: list[int], tmp_path: Path
    ) -> None:
        pytest.importorskip("bitsandbytes")
        import transformers

        options = transformers.BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4")
        with quiet():
            model = transformers.AutoModelForCausalLM.from_pretrained(
                tiny.folder, quantization_config=options, device_map={"": "cpu"}
            )
            model.save_pretrained(tmp_path)
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copyfile(tiny.folder / name, tmp_path / name)
        small = Transformers(find_base(str(tmp_path), weights=True), loras[0], CONTEXT)
        whole = Transformers(tiny, loras[0], CONTEXT)
        assert distance(small.next_probs(prompt, 50), whole.next_probs(prompt, 5000)) < 0.3
        small.close()
        whole.close()
