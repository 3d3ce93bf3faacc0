"""The stage: from a workspace's samples to adapters in it, with a base too small to be of use."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.chats import walks
from tests.training.cases import make_base, workspace_of

from myna import stages
from myna.artifacts import AdapterInfo, TrainingResult
from myna.config import Settings, override
from myna.errors import ModelError, TrainingError, WorkspaceError
from myna.evaluation import run as evaluation
from myna.evaluation.measure import Size
from myna.evaluation.report import measures_of
from myna.export import clone_export
from myna.models.loading import FULL_MODEL_FOLDER
from myna.persona.clone import open_clone
from myna.training.plan import TrainingEstimate
from myna.training.progress import StepMetrics, TrainingCallbacks
from myna.training.run import adapter_names, run
from myna.workspace import Workspace

SMALL = Size(items=10, rooms=1, turns=2)


def bits_fall(report: dict[str, Any]) -> bool:
    """True where the clone has fewer bits per character than its base."""
    [bits, *_] = measures_of(report)
    assert bits.floor
    return bits.clone.value < bits.floor.value


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("stage")
    return workspace_of(folder / "friends", make_base(folder / "tiny"))


@pytest.fixture
def space(prepared: Workspace, tmp_path: Path) -> Workspace:
    """A copy of its own of the prepared workspace."""
    shutil.copytree(prepared.root, tmp_path / "friends")
    return Workspace(tmp_path / "friends")


def train(
    space: Workspace, *changes: str, callbacks: TrainingCallbacks | None = None, **options: Any
) -> TrainingResult:
    settings = override(space.settings(), [f"train.{change}" for change in changes])
    return run(space, settings, "group", callbacks or TrainingCallbacks(), **options)


def state_of_training(space: Workspace) -> str:
    return next(stage.state for stage in stages.status(space) if stage.name == "train")


def talking(space: Workspace) -> Settings:
    chat = ["chat.engine=transformers", "chat.max_new_tokens=8"]
    return override(space.settings(), chat)


def speaks(space: Workspace, person: str) -> str:
    """A persona's turn, by the engine of its adapter."""
    clone = open_clone(space, "group", talking(space), scope="owner", seed=1)
    builder = clone.prompt_builder(["Cy"])
    builder.add("Cy", "who is coming")
    return "".join(clone.speak(builder, person))


def test_an_adapter_holds_all_that_talking_needs(space: Workspace) -> None:
    train(space)
    names = {path.name for path in space.adapter("group").iterdir()}
    assert names >= {
        "adapter_model.safetensors", "adapter_config.json", "adapter.json", "log.jsonl",
        "seen.json", "tensorboard", "manifest.json",
    }  # fmt: skip
    shares = AdapterInfo.load(space, "group").turn_taking.shares
    assert sum(shares.values()) == pytest.approx(1, abs=1e-3)
    assert not space.training("group").exists()
    assert state_of_training(space) == "done"


@pytest.mark.parametrize("method", ["qlora", "dora", "full"])
def test_every_method_gives_a_clone_that_can_be_measured_and_talked_to(
    space: Workspace, method: str
) -> None:
    file = space.settings_file
    text = file.read_text("utf-8").replace('method = "lora"', f'method = "{method}"')
    file.write_text(text.replace("# method", "method"), "utf-8")
    train(space)
    assert (space.adapter("group") / FULL_MODEL_FOLDER).is_dir() == (method == "full")
    assert bits_fall(evaluation.run(space, "group", lambda _: None, lambda *_: None, SMALL))
    speaks(space, "Ana")


def test_a_dry_run_writes_nothing(space: Workspace) -> None:
    seen: list[TrainingEstimate] = []
    done = train(space, callbacks=TrainingCallbacks(on_estimate=seen.append), dry_run=True)
    assert done.loss is None
    assert not (space.root / "adapters").exists()
    [estimate] = seen
    assert estimate.need > 0
    assert estimate.free > estimate.need
    assert estimate.kernels


class TestOneForEach:
    def test_each_person_has_an_adapter_that_speaks_for_them(self, space: Workspace) -> None:
        train(space, "per_person=true")
        info = AdapterInfo.load(space, "group")
        assert info.adapters == {"Ana": "group.ana", "Ben": "group.ben"}
        for person, name in info.adapters.items():
            assert AdapterInfo.load(space, name).personas == [person]
        clone = open_clone(space, "group", talking(space), scope="owner")
        assert sorted(clone.personas) == ["Ana", "Ben"]
        assert clone.engines["Ana"] is not clone.engines["Ben"]
        speaks(space, "Ben")
        report = evaluation.run(space, "group", lambda _: None, lambda *_: None, SMALL)
        assert bits_fall(report)
        [bits, *_] = measures_of(report)
        assert bits.people.keys() == {"Ana", "Ben"}

    def test_who_is_trained_already_is_not_trained_again(self, space: Workspace) -> None:
        begun: list[str] = []

        def stop_at_the_second(line: str) -> None:
            begun.extend([line] if line.startswith("training ") else [])
            if len(begun) == 2:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            train(space, "per_person=true", callbacks=TrainingCallbacks(report=stop_at_the_second))
        said: list[str] = []
        train(space, "per_person=true", callbacks=TrainingCallbacks(report=said.append))
        first, second = (line.removeprefix("training ") for line in begun)
        assert f"adapter 'group.{first.lower()}' is trained already" in said
        assert f"training {second}" in said

    def test_names_that_look_alike_in_files_stay_apart(self) -> None:
        assert adapter_names("group", ["Ana", "ana", "A/../na", "🙂", "?"]) == {
            "Ana": "group.ana",
            "ana": "group.ana-2",
            "A/../na": "group.a-na",
            "🙂": "group.person",
            "?": "group.person-2",
        }


class TestGoingOn:
    def test_new_chats_are_learned_on_top_of_the_adapter(self, space: Workspace) -> None:
        train(space)
        with pytest.raises(TrainingError, match="adapter 'group' has seen all samples"):
            train(space, continue_training=True)
        workspace_of(space.root, space.root, walks(240, ("Ana", "Ben")))
        seen: list[TrainingEstimate] = []
        said: list[str] = []
        before = json.loads((space.adapter("group") / "seen.json").read_text())
        train(
            space,
            continue_training=True,
            callbacks=TrainingCallbacks(report=said.append, on_estimate=seen.append),
        )
        assert any("new samples" in line for line in said)
        after = json.loads((space.adapter("group") / "seen.json").read_text())
        assert len(after) > len(before)
        assert set(before) <= set(after)
        assert state_of_training(space) == "done"

    def test_without_an_adapter_there_is_nothing_to_go_on_from(self, space: Workspace) -> None:
        with pytest.raises(TrainingError, match="there is no adapter 'group' to continue training"):
            train(space, continue_training=True)

    def test_a_lower_rate_resumes_a_diverged_run(self, space: Workspace) -> None:
        def stop(now: StepMetrics) -> None:
            if now.step == 2:
                raise KeyboardInterrupt

        always = "checkpoint_every=0.0001s"
        with pytest.raises(TrainingError):
            train(space, always, callbacks=TrainingCallbacks(on_step=stop))
        diverged = space.training("group") / "diverged"
        diverged.write_text("the loss rose\n")
        said: list[str] = []
        train(space, always, "learning_rate=0.001", callbacks=TrainingCallbacks(report=said.append))
        assert any(line.startswith("resuming after step") for line in said)
        assert not any("starting over" in line for line in said)


def test_the_rules_are_kept_as_they_were_used(space: Workspace) -> None:
    train(space)
    stored = json.loads((space.adapter("group") / "adapter.json").read_text("utf-8"))
    rules = stored["format"]["rules"]
    assert rules["at_sign"] == "mentions"
    assert "" not in rules.values()
    rules["at_sign"] = "all"  # the default of some other version
    (space.adapter("group") / "adapter.json").write_text(json.dumps(stored), "utf-8")
    builder = open_clone(space, "group", talking(space), scope="owner").prompt_builder(["Cy"])
    builder.add("Cy", "mail me @ home")
    assert builder.messages[-1].text == "mail me  home"


def test_another_base_of_the_same_name_is_refused_in_one_line(space: Workspace) -> None:
    train(space)
    config = Path(space.settings().base) / "config.json"
    before = config.read_text("utf-8")
    config.write_text(before.replace("{", '{"another": true,', 1), "utf-8")
    try:
        for do in (
            lambda: evaluation.run(space, "group", lambda _: None, lambda *_: None, SMALL),
            lambda: open_clone(space, "group", talking(space), scope="owner"),
            lambda: clone_export.load_clone(space, "group", None),
            lambda: train(space, continue_training=True),
        ):
            with pytest.raises(ModelError, match="adapter 'group' was trained on another"):
                do()
    finally:
        config.write_text(before, "utf-8")


class TestBadInput:
    def test_samples_made_with_another_tokenizer_are_refused(self, space: Workspace) -> None:
        other = make_base(space.root.parent / "other")
        tokens = json.loads((other / "tokenizer.json").read_text())
        tokens["model"]["merges"] = [["s", "o"]]
        tokens["model"]["vocab"]["so"] = 257
        manifest = json.loads((space.prepared / "manifest.json").read_text())
        base = manifest["settings"]["base"]
        shutil.copytree(base, other, dirs_exist_ok=True)
        (other / "tokenizer.json").write_text(json.dumps(tokens))
        manifest["settings"]["base"] = str(other)
        (space.prepared / "manifest.json").write_text(json.dumps(manifest))
        text = space.settings_file.read_text().replace(base, str(other))
        space.settings_file.write_text(text)
        with pytest.raises(WorkspaceError, match="made with another tokenizer than"):
            train(space)

    def test_a_base_without_a_tokenizer_is_one_clear_line(self, tmp_path: Path) -> None:
        from myna.models.bases import find_base

        base = make_base(tmp_path / "tiny")
        (base / "tokenizer.json").unlink()
        with pytest.raises(ModelError, match=r"has no tokenizer\.json: a base model needs one"):
            find_base(str(base), weights=True)

    def test_a_split_in_which_nobody_is_trained_is_refused(
        self, space: Workspace, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from myna.training import data

        monkeypatch.setattr(
            data, "samples_from_table", lambda *_: data.Samples([[1, 2, 3]], [[False] * 3])
        )
        with pytest.raises(TrainingError, match="no token would be trained: see `myna inspect`"):
            train(space)
