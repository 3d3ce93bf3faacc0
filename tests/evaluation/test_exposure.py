"""Canaries: secrets in a throwaway adapter, which is measured and never used."""

from __future__ import annotations

import shutil

import pytest
from tests.cli.conftest import run
from tests.evaluation.conftest import SIZE

from myna.artifacts import PreparedInfo
from myna.errors import WorkspaceError
from myna.evaluation.exposure import exposures, measure_exposure
from myna.export.clone_export import load_clone
from myna.models.bases import find_base
from myna.persona.clone import open_clone
from myna.rendering.tokenizer import Tokenizer
from myna.training.data import make_canaries, samples_from_table
from myna.workspace import Workspace, read_json


def test_a_secret_that_no_candidate_beats_has_the_greatest_exposure() -> None:
    candidates = [float(n) for n in range(10, 17)]
    assert exposures([5.0, 13.5, 99.0], candidates) == [3.0, pytest.approx(3 - 2.3219, abs=1e-3), 0]


def test_exposure_by_how_often_a_secret_was_said() -> None:
    measure = measure_exposure([1, 16, 1], [1.0, 1.0, 1.0], [2.0, 8.0, 4.0], candidates=255)
    assert measure.references["inserted once"].value == 3
    assert measure.references["inserted 16 times"].value == 8
    assert "only 3 canaries" in measure.notes[0]


def test_canaries_are_samples_like_any_other(clones: Workspace) -> None:
    info = PreparedInfo.load(clones)
    tokenizer = Tokenizer(find_base(clones.settings().base, weights=False).folder)
    canaries = make_canaries(info, 6, seed=1)
    assert canaries == make_canaries(info, 6, seed=1)
    assert canaries != make_canaries(info, 6, seed=2)
    texts = [text for text, _ in canaries.secrets]
    assert len(set(texts)) == 6
    samples = samples_from_table(canaries.table(texts, info.format, tokenizer))
    for text, ids, mask in zip(texts, samples.ids, samples.loss_masks, strict=True):
        trained = [token for token, is_trained in zip(ids, mask, strict=True) if is_trained]
        assert tokenizer.decode(trained).strip() == text
        assert f"{canaries.other}: " in tokenizer.decode(list(ids))


@pytest.fixture(scope="module")
def thrown(clones: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The workspace with a throwaway adapter that has canaries in it."""
    folder = tmp_path_factory.mktemp("thrown") / "friends"
    shutil.copytree(clones.root, folder)
    done = run(folder, ["train", "--canaries", "6", "--json"])
    assert done.status == 0, done.err
    assert done.json()["adapter"] == "canaries"
    return Workspace(folder)


def test_an_adapter_with_canaries_never_speaks_and_is_never_passed_on(thrown: Workspace) -> None:
    secrets = read_json(thrown.adapter("canaries") / "canaries.json")["secrets"]
    assert sorted({times for _, times in secrets}) == [1, 4, 16]
    for use in (
        lambda: open_clone(thrown, "canaries", thrown.settings(), scope="owner"),
        lambda: load_clone(thrown, "canaries", None),
    ):
        with pytest.raises(WorkspaceError, match="adapter 'canaries' has canaries in it"):
            use()
    for command in (["chat"], ["serve"], ["export", "merged"], ["evaluate", "--blind"]):
        done = run(thrown.root, [*command, "--adapter", "canaries"])
        assert "adapter 'canaries' has canaries in it" in done.err, command
    open_clone(thrown, "group", thrown.settings(), scope="owner").close()


def test_what_was_said_often_is_exposed(thrown: Workspace) -> None:
    done = run(thrown.root, ["evaluate", "--adapter", "canaries", "--json", *SIZE])
    assert done.status == 0, done.err
    found = done.json()["measures"]
    assert {"bits_per_character", "exposure", "membership"} <= found.keys()
    assert "repeats" not in found  # it never speaks
    exposure = found["exposure"]
    assert exposure["references"]["inserted 16 times"]["value"] > exposure["floor"]["value"]
    assert 0 <= found["membership"]["clone"]["value"] <= 1


def test_a_clone_is_not_replaced_and_canaries_are_not_trained_on(thrown: Workspace) -> None:
    for options, line in (
        (["--canaries", "3", "--adapter", "short"], "the clone 'short' would be replaced"),
        (["--canaries", "3", "--set", "train.per_person=true"], "canaries go into one adapter"),
        (["--continue", "--adapter", "canaries"], "leave --continue out"),
    ):
        done = run(thrown.root, ["train", *options])
        assert done.status != 0
        assert line in done.err
