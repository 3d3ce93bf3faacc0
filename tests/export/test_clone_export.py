"""Exports that other programs run: each is loaded back by what would run it."""

from __future__ import annotations

import ast
import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.adapters import random_adapter, tiny_base
from tests.consents import trained_on
from tests.engines.conftest import distance
from tests.export.prepared import FRIENDS, make
from tests.metadata import adapter_info, prompt_format

from myna.artifacts import Channel, export_records
from myna.engines.open_engine import open_engine
from myna.errors import ConsentError, ExportError, WorkspaceError
from myna.export import dataset_export
from myna.export.clone_export import TARGETS, CloneExportReport, CloneSelection, export_clone, slugs
from myna.models.bases import Base
from myna.models.gguf_file import read_metadata
from myna.models.loading import load_adapter, load_base
from myna.rendering.tokenizer import Tokenizer
from myna.workspace import Workspace

pytestmark = pytest.mark.model

RUNNERS = ["gguf", "ollama", "merged", "textgen"]


@pytest.fixture(scope="module")
def tiny(base: Base, tmp_path_factory: pytest.TempPathFactory) -> Base:
    return tiny_base(tmp_path_factory.mktemp("tiny"), base)


@pytest.fixture(scope="module")
def lora(tiny: Base, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_adapter(tiny, tmp_path_factory.mktemp("lora"), qk=0.5)


@pytest.fixture(scope="module")
def real_lora(base: Base, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_adapter(base, tmp_path_factory.mktemp("lora"))


Trained = Callable[..., Workspace]


@pytest.fixture
def trained(tmp_path: Path) -> Trained:
    """Makes a workspace in which a clone of Ana, or of Ana and Ben, is trained."""

    def made(base: Base, lora: Path, personas: tuple[str, ...] = ("Ana",), **more: Any) -> Any:
        space = make(tmp_path / "friends", FRIENDS, personas=personas)
        folder = space.adapter("group")
        shutil.copytree(lora, folder, ignore=shutil.ignore_patterns("*.gguf"))
        adapter_info(
            base=base.name,
            base_fingerprint=base.fingerprint,
            format=prompt_format(max_length=128),
            people=trained_on(personas).people,
            channels=[Channel("", "tea", ["Ben", "Ana", "Cy"])],
            **more,
        ).save(folder)
        return space

    return made


def exported(space: Workspace, target: str, **chosen: Any) -> tuple[Path, CloneExportReport]:
    path = dataset_export.export_folder(space, target, None)
    return path, export_clone(space, target, CloneSelection(**chosen), path)


class TestGguf:
    def test_llamacpp_runs_it_as_peft_does(
        self, trained: Trained, base: Base, real_lora: Path, tokenizer: Tokenizer
    ) -> None:
        folder, done = exported(trained(base, real_lora), "gguf")
        assert done.checked == "llama.cpp loads it on SmolLM2-135M-Instruct.Q4_1.gguf"
        assert done.files == ["README.txt", "adapter.gguf", "template.jinja"]
        metadata = read_metadata(folder / "adapter.gguf")
        assert metadata["general.name"] == "Ana (clone)"
        assert "It is not the person" in str(metadata["general.description"])
        assert "a language model imitates them" in (folder / "README.txt").read_text("utf-8")
        prompt = tokenizer.encode("A chat in tea: Ana, Ben.\nBen: tea?\nAna:").ids
        engine = open_engine("llama.cpp", base, folder / "adapter.gguf", context=256)
        ours = engine.next_probs(prompt)
        engine.close()
        peft = open_engine("transformers", base, real_lora, context=256)
        assert distance(ours, peft.next_probs(prompt, 5000)) < 0.25
        plain = open_engine("llama.cpp", base, context=256)
        assert distance(plain.next_probs(prompt), peft.next_probs(prompt, 5000)) > 0.4
        plain.close()
        peft.close()

    def test_without_a_gguf_of_the_base_it_says_how_to_make_one(
        self, trained: Trained, tiny: Base, lora: Path
    ) -> None:
        folder, done = exported(trained(tiny, lora), "gguf")
        text = (folder / "README.txt").read_text("utf-8")
        assert "llama-server -m BASE.gguf --lora" in text
        assert "convert_hf_to_gguf.py makes it of" in text
        assert '"stop": ["\\nBen:", "\\nCy:"]' in text
        assert done.checked == ""

    def test_architectures_that_it_cannot_are_named(
        self, trained: Trained, tiny: Base, lora: Path, tmp_path: Path
    ) -> None:
        other = tmp_path / "other"
        shutil.copytree(tiny.folder, other)
        config = json.loads((other / "config.json").read_text())
        (other / "config.json").write_text(json.dumps(config | {"model_type": "gpt_neox"}))
        found = dataclasses.replace(tiny, name=str(other), folder=other)
        with pytest.raises(ExportError, match=r"'gpt_neox'.* only those of .*llama.*export merged"):
            exported(trained(found, lora), "gguf")


def with_settings(space: Workspace) -> Workspace:
    """Controls of repetition, some of them Ana's alone, and an adapter twice as strong."""
    space.settings_file.write_text(
        "[chat]\nrepetition_penalty = 1.1\nfrequency_penalty = 0.3\nadapter_scale = 2.0\n"
        "[chat.personas.Ana]\ntemperature = 0.4\ndry_multiplier = 0.8\ndry_window = 500\n"
    )
    return space


class TestOllama:
    def test_a_modelfile(self, trained: Trained, base: Base, real_lora: Path) -> None:
        folder, done = exported(trained(base, real_lora), "ollama")
        lines = (folder / "Modelfile").read_text("utf-8").splitlines()
        assert lines[0] == f"FROM {base.gguf}"
        assert lines[1] == "ADAPTER ./adapter.gguf"
        assert lines[2].startswith('TEMPLATE """{{- $before := "start" -}}')
        assert lines[3:8] == [
            'SYSTEM """A chat in tea: Ana, Ben, Cy."""',
            'PARAMETER stop """', 'Ben:"""', 'PARAMETER stop """', 'Cy:"""',
        ]  # fmt: skip
        assert "PARAMETER temperature 0.9" in lines
        assert lines[-1].startswith('LICENSE """A clone of Ana: a language model')
        assert done.checked.startswith("llama.cpp loads it")

    def test_sampling_is_each_personas_and_what_ollama_lacks_is_named(
        self, trained: Trained, base: Base, real_lora: Path
    ) -> None:
        space = with_settings(trained(base, real_lora, ("Ana", "Ben")))
        folder, done = exported(space, "ollama")
        ana, ben = (
            (folder / f"{name}-clone.Modelfile").read_text("utf-8").splitlines()
            for name in ("ana", "ben")
        )
        for lines, temperature in ((ana, 0.4), (ben, 0.9)):
            assert f"PARAMETER temperature {temperature}" in lines
            assert "PARAMETER repeat_penalty 1.1" in lines
            assert "PARAMETER frequency_penalty 0.3" in lines
        assert [one for one in done.lacks if one.startswith("dry_multiplier (0.8 for Ana)")]
        assert "dry_multiplier" in (folder / "README.txt").read_text("utf-8")

    def test_one_for_each_persona(self, trained: Trained, base: Base, real_lora: Path) -> None:
        folder, done = exported(trained(base, real_lora, ("Ana", "Ben")), "ollama")
        assert [f for f in done.files if "Modelfile" in f] == [
            "ana-clone.Modelfile",
            "ben-clone.Modelfile",
        ]
        assert '"Ben:"' in (folder / "ben-clone.Modelfile").read_text("utf-8")
        assert exported(trained_again(done), "ollama", person="ben")[1].personas == ["Ben"]

    def test_without_a_gguf(self, trained: Trained, tiny: Base, lora: Path) -> None:
        with pytest.raises(ExportError, match=r"Ollama needs .* as a GGUF file"):
            exported(trained(tiny, lora), "ollama")


def trained_again(done: CloneExportReport) -> Workspace:
    return Workspace(Path(done.folder).parents[1])


class TestMerged:
    def test_transformers_loads_it_with_the_adapters_own_logits(
        self, trained: Trained, tiny: Base, lora: Path, tokenizer: Tokenizer
    ) -> None:
        import torch
        import transformers

        folder, done = exported(trained(tiny, lora), "merged")
        assert "transformers loads it" in done.checked
        ids = torch.tensor([tokenizer.encode("Ben: tea?\nAna: always").ids])
        merged = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        adapted = load_adapter(load_base(tiny, dtype=torch.float32, device="cpu"), lora)
        plain = load_base(tiny, dtype=torch.float32, device="cpu")
        with torch.inference_mode():
            ours, theirs, base = (model(ids).logits for model in (merged, adapted, plain))
        assert float((ours - theirs).abs().max()) < 1e-4
        assert float((base - theirs).abs().max()) > 1e-2, "strong enough to tell"

    def test_its_sampling_is_the_first_personas_and_its_adapter_scaled(
        self, trained: Trained, tiny: Base, lora: Path, tokenizer: Tokenizer
    ) -> None:
        import torch
        import transformers

        folder, done = exported(with_settings(trained(tiny, lora)), "merged")
        found = transformers.GenerationConfig.from_pretrained(folder)
        assert (found.temperature, found.repetition_penalty, found.min_p) == (0.4, 1.1, 0.05)
        assert [one for one in done.lacks if one.startswith("dry_multiplier")]
        ids = torch.tensor([tokenizer.encode("Ben: tea?").ids])
        merged = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        twice, once = (
            load_adapter(load_base(tiny, dtype=torch.float32, device="cpu"), lora, scale)
            for scale in (2.0, 1.0)
        )
        with torch.inference_mode():
            ours, theirs, other = (model(ids).logits for model in (merged, twice, once))
        assert float((ours - theirs).abs().max()) < 1e-4
        assert float((ours - other).abs().max()) > 1e-2

    def test_its_tokenizer_makes_the_prompts_that_it_was_trained_on(
        self, trained: Trained, tiny: Base, lora: Path
    ) -> None:
        import transformers

        folder, _ = exported(trained(tiny, lora), "merged")
        found = transformers.AutoTokenizer.from_pretrained(folder)
        text = found.apply_chat_template(
            [{"role": "user", "content": "tea?"}], tokenize=False, add_generation_prompt=True
        )
        assert text == "A chat in tea: Ana, Ben, Cy.\nBen: tea?\nAna:"


class TestTextgen:
    def test_peft_loads_the_lora(
        self, trained: Trained, tiny: Base, lora: Path, tokenizer: Tokenizer
    ) -> None:
        import torch

        folder, done = exported(trained(tiny, lora), "textgen")
        assert done.checked == "peft reads the LoRA (rank 4, 28 matrices)"
        ids = torch.tensor([tokenizer.encode("Ben: tea?").ids])
        models = [
            load_adapter(load_base(tiny, dtype=torch.float32, device="cpu"), place)
            for place in (folder / "loras" / "myna-clone-ana", lora)
        ]
        with torch.inference_mode():
            ours, theirs = (model(ids).logits for model in models)
        assert torch.equal(ours, theirs)

    def test_it_carries_dry_and_the_scale(self, trained: Trained, tiny: Base, lora: Path) -> None:
        folder, done = exported(with_settings(trained(tiny, lora)), "textgen")
        preset = yaml.safe_load((folder / "presets" / "myna-clone-ana.yaml").read_text("utf-8"))
        assert preset | {
            "temperature": 0.4, "repetition_penalty": 1.1, "frequency_penalty": 0.3,
            "dry_multiplier": 0.8, "dry_base": 1.75, "dry_allowed_length": 3,
            "dry_sequence_breakers": '"\\n", ":"', "repetition_penalty_range": 500,
        } == preset  # fmt: skip
        config = json.loads((folder / "loras/myna-clone-ana/adapter_config.json").read_text())
        before = json.loads((lora / "adapter_config.json").read_text())
        assert config["lora_alpha"] == 2 * before["lora_alpha"]
        assert not [one for one in done.lacks if one.startswith("dry_multiplier")]

    def test_its_settings_are_what_it_reads(self, trained: Trained, tiny: Base, lora: Path) -> None:
        folder, _ = exported(trained(tiny, lora), "textgen")
        settings = yaml.safe_load((folder / "settings.yaml").read_text("utf-8"))
        stops = ast.literal_eval(f"[{settings['custom_stopping_strings']}]")
        assert stops == ["\nBen:", "\nCy:"]
        assert settings["custom_system_message"] == "A chat in tea: Ana, Ben, Cy."
        template = folder / "instruction-templates" / "myna-clone-ana.yaml"
        found = yaml.safe_load(template.read_text("utf-8"))
        assert found == {"instruction_template": settings["instruction_template_str"]}
        preset = yaml.safe_load((folder / "presets" / "myna-clone-ana.yaml").read_text("utf-8"))
        assert preset["min_p"] == 0.05

    def test_no_path_of_this_machine_is_in_the_lora(
        self, trained: Trained, tiny: Base, lora: Path
    ) -> None:
        folder, _ = exported(trained(tiny, lora), "textgen")
        config = json.loads((folder / "loras/myna-clone-ana/adapter_config.json").read_text())
        assert config["base_model_name_or_path"] == tiny.folder.name


class TestWhatAllShare:
    @pytest.mark.parametrize("target", RUNNERS)
    def test_whoever_may_no_longer_be_cloned_is_not_passed_on(
        self, trained: Trained, tiny: Base, lora: Path, target: str
    ) -> None:
        space = trained(tiny, lora)
        text = space.people_file.read_text("utf-8")
        space.people_file.write_text(text.replace('"clone"', '"context"'), "utf-8")
        with pytest.raises(ConsentError, match=r"has learned from Ana.* train --without \"Ana\"`"):
            exported(space, target)
        assert not (space.root / "exports" / target).exists()

    def test_every_weight_trained_is_no_lora(
        self, trained: Trained, tiny: Base, lora: Path
    ) -> None:
        space = trained(tiny, lora)
        (space.adapter("group") / "model").mkdir()
        for target in ("gguf", "textgen"):
            with pytest.raises(ExportError, match=r"'group' is no LoRA, .* `myna export merged`"):
                exported(space, target)

    def test_an_adapter_for_each_person_is_exported_one_by_one(
        self, trained: Trained, tiny: Base, lora: Path
    ) -> None:
        names = {"Ana": "group.ana", "Ben": "group.ben"}
        space = trained(tiny, lora, ("Ana", "Ben"), adapters=names)
        shutil.copytree(lora, space.adapter("group.ben"))
        with pytest.raises(ExportError, match="an adapter for each person: name one"):
            exported(space, "gguf")
        assert "adapter.gguf" in exported(space, "gguf", person="ben")[1].files
        [record] = export_records(space)
        assert record.accounts == trained_on(["Ben"]).people["Ben"].accounts

    def test_nothing_trained(self, tmp_path: Path) -> None:
        space = make(tmp_path / "friends", FRIENDS)
        with pytest.raises(WorkspaceError, match="no adapter 'x': make it with `myna train`"):
            exported(space, "gguf", adapter="x")

    def test_an_export_is_replaced_and_nothing_else(
        self, trained: Trained, tiny: Base, lora: Path
    ) -> None:
        space = trained(tiny, lora)
        folder, first = exported(space, "textgen")
        assert exported(space, "textgen")[1] == first
        (folder / "mine.txt").touch()
        with pytest.raises(ExportError, match=r"holds mine.txt, which no export wrote"):
            exported(space, "textgen")

    def test_a_failure_leaves_nothing(self, trained: Trained, tiny: Base, lora: Path) -> None:
        space = trained(tiny, lora)
        (space.adapter("group") / "adapter_model.safetensors").write_bytes(b"")
        with pytest.raises(Exception, match="damaged"):
            exported(space, "gguf")
        assert list((space.root / "exports").iterdir()) == []


def test_names_of_files_are_plain_and_all_different() -> None:
    assert slugs(["Ana Lee", "ana-lee", "Ána", "李", "../x"]) == [
        "ana-lee", "ana-lee-2", "na", "ue69d8e", "x",
    ]  # fmt: skip


def test_every_target_is_one_of_the_tests() -> None:
    assert set(TARGETS) == {*RUNNERS, "card"}
