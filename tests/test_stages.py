"""The state of each stage: missing or stale, why, and what to type next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.metadata import adapter_info, prepared_info

from myna import stages, workspace
from myna.artifacts import TrainingPlan, TrainingResult
from myna.config import Settings
from myna.errors import SettingsError, WorkspaceError
from myna.stages import Stage
from myna.workspace import ImportRecord, Workspace


@pytest.fixture
def space(tmp_path: Path) -> Workspace:
    return workspace.create(tmp_path / "friends")


def imported(space: Workspace, name: str = "tea", stored: int = 12) -> None:
    (space.messages / name).mkdir(parents=True)
    (space.messages / name / "0.parquet").touch()
    ImportRecord(space.messages / name, name, [{}], stored, stored).save()
    if not space.people_file.exists():
        space.people_file.write_text('[people.Ana]\nconsent = "clone"')


def prepared(space: Workspace, fingerprint: str = "abc") -> None:
    samples = {"train": 1200, "test": 90}
    prepared_info(samples=samples, trained_tokens=34567, samples_fingerprint=fingerprint).save(
        space.prepared
    )
    workspace.write_manifest(
        space.prepared,
        inputs=workspace.prepare_inputs(space),
        settings=workspace.prepare_settings(space.settings()),
    )


def trained(space: Workspace, name: str = "group") -> None:
    folder = space.adapter(name)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_model.safetensors").write_text("matrices")
    adapter_info().save(folder)
    workspace.write_manifest(
        folder,
        inputs=stages.train_inputs(space),
        settings=stages.train_settings(space.settings()),
    )


def evaluated(space: Workspace, name: str = "group") -> None:
    report = {
        "measures": {
            "bits_per_character": {"clone": {"value": 1.083}, "floor": {"value": 1.259}},
            "bits_change": {"clone": {"value": -0.14}},
        },
        "manifest": {"inputs": stages.report_inputs(space, name), "settings": {}},
    }
    workspace.write_json(space.reports / f"{name}.json", report)


def changed(space: Workspace, before: str, after: str) -> None:
    text = space.settings_file.read_text()
    assert before in text
    space.settings_file.write_text(text.replace(before, after))


def states(space: Workspace, name: str = "group") -> list[str]:
    return [stage.state for stage in stages.status(space, name)]


def test_the_road_from_a_new_workspace_to_a_chat(space: Workspace) -> None:
    road = [("myna import PATH", imported), ("myna prepare", prepared), ("myna train", trained)]
    for done, (command, do) in enumerate([*road, ("myna evaluate", evaluated)]):
        assert states(space) == ["done"] * done + ["missing"] * (4 - done)
        assert stages.next_command(stages.status(space)) == command
        do(space)
    assert stages.next_command(stages.status(space)) == "myna chat"
    assert [stage.summary for stage in stages.status(space)] == [
        "12 messages from 1 file(s)",
        "34,567 trained tokens in samples: 90 test, 1,200 train",
        "adapter 'group': 5,000 tokens in 10 steps",
        "1.259 → 1.083 bits per character (-14.0%) on the test split",
    ]


class TestStale:
    @pytest.fixture
    def done(self, space: Workspace) -> Workspace:
        for do in (imported, prepared, trained, evaluated):
            do(space)
        return space

    def reasons(self, space: Workspace) -> dict[str, list[str]]:
        return {s.name: s.reasons for s in stages.status(space) if s.state == "stale"}

    def test_nothing_is_without_a_change(self, done: Workspace) -> None:
        assert self.reasons(done) == {}

    def test_another_import(self, done: Workspace) -> None:
        imported(done, "cake")
        assert self.reasons(done) == {"prepare": ["messages/cake is new"]}

    def test_an_import_that_was_never_finished_is_none(self, done: Workspace) -> None:
        (done.messages / ".cake.new").mkdir()
        (done.messages / ".cake.new" / "0.parquet").touch()
        assert self.reasons(done) == {}

    def test_another_choice_in_people_toml(self, done: Workspace) -> None:
        done.people_file.write_text('[people.Anna]\nconsent = "clone"')
        assert self.reasons(done) == {"prepare": ["people.toml has changed"]}

    def test_settings_of_samples(self, done: Workspace) -> None:
        changed(done, "gap_minutes = 60", "gap_minutes = 30")
        was = "conversations.gap_minutes is now 30.0, was 60.0"
        assert self.reasons(done) == {"prepare": [was]}

    def test_settings_of_training(self, done: Workspace) -> None:
        changed(done, "# lora_r = 16", "lora_r = 8")
        assert self.reasons(done) == {"train": ["train.lora_r is now 8, was 16"]}

    def test_another_base_is_another_of_all(self, done: Workspace) -> None:
        changed(done, '# base = "smollm2-135m"', 'base = "./mine"')
        assert list(self.reasons(done)) == ["prepare", "train"]

    def test_a_budget_only_says_when_to_stop(self, done: Workspace) -> None:
        changed(done, 'budget = ""', 'budget = "4m"')
        changed(done, 'checkpoint_every = "60s"', 'checkpoint_every = "5m"')
        assert self.reasons(done) == {}

    def test_a_clone_that_talks_otherwise_is_measured_again(self, done: Workspace) -> None:
        changed(done, "temperature = 0.9", "temperature = 1.2")
        assert self.reasons(done) == {"evaluate": ["the section [chat] has changed"]}

    def test_settings_of_chats_that_no_figure_depends_on(self, done: Workspace) -> None:
        changed(done, "memory = false", "memory = true")
        assert self.reasons(done) == {}

    def test_new_samples_make_the_adapter_stale_and_its_report(self, done: Workspace) -> None:
        prepared(done, fingerprint="def")
        why = ["prepared samples has changed"]
        assert self.reasons(done) == {"train": why, "evaluate": why}

    def test_new_matrices_make_the_report_stale(self, done: Workspace) -> None:
        (done.adapter("group") / "adapter_model.safetensors").write_text("others")
        assert self.reasons(done) == {"evaluate": ["adapter group has changed"]}


def test_somebody_has_to_agree_before_anything_is_prepared(space: Workspace) -> None:
    space.people_file.write_text("[people.Ana]")
    imported(space)
    _, prepare, *_ = stages.status(space)
    assert prepare.summary == "nobody may be cloned yet"
    assert stages.next_command(stages.status(space)) == 'myna people me "YOUR NAME"'
    space.people_file.write_text('me = "Ana"\n[people.Ana]')
    assert stages.next_command(stages.status(space)) == 'myna people me "Ana"'


def test_another_adapter_has_settings_of_its_own(space: Workspace) -> None:
    for do in (imported, prepared, trained, lambda space: trained(space, "ana")):
        do(space)
    changed(space, "# lora_r = 16", "lora_r = 8")
    assert (states(space)[2], states(space, "ana")[2]) == ("stale", "done")


def test_an_adapter_of_too_few_steps_says_so(space: Workspace) -> None:
    for do in (imported, prepared, trained):
        do(space)
    few = TrainingResult(TrainingPlan(3, 900, 0.1, "", 9.0), 4.0, "only 3 steps")
    adapter_info(training=few).save(space.adapter("group"))
    assert stages.status(space)[2].summary == "adapter 'group': only 3 steps"


def test_training_that_was_stopped_goes_on(space: Workspace) -> None:
    for do in (imported, prepared, trained):
        do(space)
    work = space.training("group")
    for step in (60, 100):
        (work / "checkpoints" / f"step-{step:07d}").mkdir(parents=True)
    workspace.write_json(work / "plan.json", {"steps": 1240})
    assert stages.status(space)[2] == Stage(
        "train",
        "unfinished",
        "stopped after step 100 of 1,240",
        ["training was interrupted"],
        "myna train",
    )


def test_another_adapter_has_commands_of_its_own(space: Workspace) -> None:
    imported(space)
    prepared(space)
    trained(space)
    assert states(space, "ana") == ["done", "done", "missing", "missing"]
    commands = [stage.command for stage in stages.status(space, "ana")]
    assert commands[2:] == ["myna train --adapter ana", "myna evaluate --adapter ana"]


@pytest.mark.parametrize("path", ["messages/tea/import.json", "prepared/manifest.json"])
def test_a_damaged_manifest_is_one_clear_line(space: Workspace, path: str) -> None:
    imported(space)
    prepared(space)
    (space.root / path).write_text("{")
    with pytest.raises(WorkspaceError, match=f"{path} is damaged"):
        stages.status(space)


def test_wrong_settings_are_said_before_anything_else(space: Workspace) -> None:
    space.settings_file.write_text("[train]\nlora_r = 'many'")
    with pytest.raises(SettingsError, match=r"train.lora_r = 'many'"):
        stages.status(space)


def test_all_settings_but_those_of_talking_belong_to_a_stage() -> None:
    settings: Any = Settings().model_dump()
    known = {**workspace.prepare_settings(Settings()), **stages.train_settings(Settings())}
    # A recipe counts as what it sets.
    assert settings.keys() - known.keys() == {"bot", "chat", "engine", "recipe"}
