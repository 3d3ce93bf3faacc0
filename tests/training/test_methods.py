"""Training methods: the trained weights, and saving them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.training.cases import SAMPLES, SETTINGS, losses, make_base, train

from myna.config import Train
from myna.errors import ModelError, TrainingError
from myna.models.bases import Base, find_base
from myna.models.loading import FULL_MODEL_FOLDER, load_adapter, load_base
from myna.training import methods
from myna.training.checkpoints import count_parameters, trainable_parameters
from myna.training.progress import TrainingCallbacks

CPU = torch.device("cpu")
METHODS: Sequence[Any] = ("lora", "qlora", "dora", "full")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Base:
    """A base of a folder, too small to be of use, with everything that one has."""
    return find_base(str(make_base(tmp_path_factory.mktemp("tiny"))), weights=True)


def adapted(base: Base, settings: Train) -> Any:
    model, _ = methods.load_for_training(base, settings, CPU)
    if settings.method == "full":
        return methods.train_all_weights(model)
    return methods.add_lora(model, settings)


@pytest.mark.parametrize("method", METHODS)
def test_each_method_learns_and_what_it_learned_comes_back(
    tiny: Base, tmp_path: Path, method: Any
) -> None:
    settings = SETTINGS.model_copy(
        update={"method": method, "num_train_epochs": 8, "learning_rate": 2e-2}
    )
    model = adapted(tiny, settings)
    (tmp_path / "work").mkdir()
    train(model, SAMPLES, SAMPLES, settings, tmp_path / "work")
    log = losses(tmp_path / "work")
    assert sum(log[-3:]) < 0.9 * sum(log[:3])
    methods.save_trained(model, tiny, settings, tmp_path / "adapter")

    four_bits = method == "qlora"
    dtype = next(p for p in model.parameters() if p.is_floating_point()).dtype
    again = load_adapter(
        load_base(tiny, dtype=dtype, device=CPU, four_bits=four_bits), tmp_path / "adapter"
    )
    ids = torch.tensor([SAMPLES.ids[0]])
    with torch.inference_mode():
        torch.testing.assert_close(
            again(input_ids=ids).logits, model.eval()(input_ids=ids).logits, rtol=2e-2, atol=2e-2
        )


def test_only_the_full_method_trains_the_base_itself(tiny: Base) -> None:
    for method in METHODS:
        model = adapted(tiny, Train(method=method))
        names = trainable_parameters(model)
        if method == "full":
            assert len(names) == len(list(model.parameters()))
        else:
            assert all("lora_" in name for name in names)
        assert any("magnitude" in name for name in names) == (method == "dora")


def test_qlora_really_packs_the_base_in_four_bits(tiny: Base) -> None:
    model = adapted(tiny, Train(method="qlora"))
    import bitsandbytes

    packed = [m for m in model.modules() if isinstance(m, bitsandbytes.nn.Linear4bit)]
    assert len(packed) == 7 * tiny_layers(tiny)
    state = packed[0].weight.quant_state
    assert (state.quant_type, state.nested) == ("nf4", True)
    assert count_parameters(model) == count_parameters(adapted(tiny, Train(method="lora")))


def tiny_layers(base: Base) -> int:
    return int(json.loads((base.folder / "config.json").read_text())["num_hidden_layers"])


def test_four_bits_that_cannot_be_had_are_an_error(
    tiny: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "bitsandbytes", None)
    with pytest.raises(ModelError, match=r"4 bits need bitsandbytes.*pip install 'myna\[gpu\]'"):
        methods.load_for_training(tiny, Train(method="qlora"), CPU)


def test_a_base_without_linear_layers_is_refused() -> None:
    class Strange(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.only = torch.nn.Embedding(4, 4)
            self.config = type("Config", (), {"model_type": "strange", "get": lambda *_: None})()

    with pytest.raises(TrainingError, match="LoRA matches no layer of this base"):
        methods.add_lora(Strange(), Train())


class TestGoingOn:
    @pytest.fixture
    def trained(self, tiny: Base, tmp_path: Path) -> Path:
        model = adapted(tiny, SETTINGS)
        train(model, SAMPLES, SAMPLES, SETTINGS, tmp_path, TrainingCallbacks())
        methods.save_trained(model, tiny, SETTINGS, tmp_path / "adapter")
        return tmp_path / "adapter"

    def test_it_begins_as_the_adapter_is(self, tiny: Base, trained: Path) -> None:
        model = adapted(tiny, SETTINGS)
        methods.load_lora_weights(model, trained, SETTINGS, "group")
        one = load_adapter(load_base(tiny, device=CPU), trained)
        theirs = {n: p for n, p in one.named_parameters() if "lora_" in n}
        for name, value in trainable_parameters(model).items():
            torch.testing.assert_close(value, theirs[name], check_dtype=False)

    @pytest.mark.parametrize(
        ("change", "line"),
        [
            ({"lora_r": 8}, "adapter 'group' has lora_r 4, and train.lora_r is 8"),
            ({"lora_alpha": 1.0}, "adapter 'group' has lora_alpha 8.*, and train.lora_alpha is 1"),
            ({"method": "dora"}, "adapter 'group' was trained by another method than dora"),
        ],
    )
    def test_other_settings_are_refused(
        self, tiny: Base, trained: Path, change: dict[str, Any], line: str
    ) -> None:
        settings = SETTINGS.model_copy(update=change)
        with pytest.raises(TrainingError, match=line):
            methods.load_lora_weights(adapted(tiny, settings), trained, settings, "group")

    def test_damage_is_one_clear_line(self, tiny: Base, trained: Path) -> None:
        (trained / "adapter_model.safetensors").write_bytes(b"no")
        with pytest.raises(TrainingError, match="cannot continue training adapter 'group'"):
            methods.load_lora_weights(adapted(tiny, SETTINGS), trained, SETTINGS, "group")


def test_a_whole_model_is_a_base_of_its_own(tiny: Base, tmp_path: Path) -> None:
    settings = Train(method="full")
    methods.save_trained(adapted(tiny, settings), tiny, settings, tmp_path)
    assert find_base(str(tmp_path / FULL_MODEL_FOLDER), weights=True).context == tiny.context
