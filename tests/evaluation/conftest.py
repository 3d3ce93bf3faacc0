"""A workspace with two trained clones, with a base too small to be of use."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.chats import walks
from tests.training.cases import make_base, workspace_of

from myna.cli.evaluate import evaluate_if_stale
from myna.config import override
from myna.training.progress import TrainingCallbacks
from myna.training.run import run
from myna.workspace import Workspace

SIZE = ["--items", "12", "--rooms", "1"]
TALKS = (
    "chat.engine=transformers", "chat.max_new_tokens=8", "samples.max_length=96",
    "split.validation=0.1", "split.test=0.3",
)  # fmt: skip


@pytest.fixture(scope="session")
def clones(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Adapters "group" and, of half the training, "short"; never change it."""
    folder = tmp_path_factory.mktemp("clones")
    chat = walks(160, ("Ana", "Ben"))
    space = workspace_of(folder / "friends", make_base(folder / "tiny"), chat, TALKS)
    shorter = override(space.settings(), ["train.num_train_epochs=0.5"])
    for name, settings in (("group", space.settings()), ("short", shorter)):
        run(space, settings, name, TrainingCallbacks())
    return space


@pytest.fixture(scope="session")
def measured(clones: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The workspace with both clones measured as by `SIZE`; never change it."""
    folder = tmp_path_factory.mktemp("measured") / "friends"
    shutil.copytree(clones.root, folder)
    space = Workspace(folder)
    for name in ("group", "short"):
        evaluate_if_stale(space, name, items=12, rooms=1, full=False)
    return space


@pytest.fixture
def own_clones(clones: Workspace, tmp_path: Path) -> Workspace:
    """A copy of the workspace that a test may change."""
    shutil.copytree(clones.root, tmp_path / "friends")
    return Workspace(tmp_path / "friends")
