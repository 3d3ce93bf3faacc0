"""Names of chats from paths."""

from __future__ import annotations

from pathlib import Path

import pytest

from myna.sources import ChatFile
from myna.sources._shared.chat_names import chat_name, tell_apart


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("csv/kitchen/1.csv", "kitchen"),
        ("tools/shed/2024-03.csv", "shed"),
        ("shed/messages.csv", "shed"),
        ("shed/export part 2.csv", "shed"),
        ("Downloads/1.csv", "1"),
        ("csv/messages.csv", "messages"),
        ("shed/roof.csv", "roof"),
        ("shed/roof (1).csv", "roof"),
        ("shed/roof [part 3].csv", "roof"),
        ("shed/roof-2.csv", "roof-2"),
        ("Küche/März 2024.csv", "März 2024"),
    ],
)
def test_a_file_that_is_only_numbered_has_its_folders_name(path: str, name: str) -> None:
    assert chat_name(ChatFile(Path("/x") / path)) == ("", name)


def names(*paths: str) -> tuple[list[tuple[str, str]], list[str]]:
    files = [ChatFile(Path("/x") / path) for path in paths]
    lines = tell_apart(files)
    return [chat_name(file) for file in files], lines


def test_parts_of_one_chat_are_one_chat_and_that_is_told() -> None:
    found, [line] = names("kitchen/1.csv", "kitchen/2.csv", "garden/1.csv")
    assert found == [("", "kitchen"), ("", "kitchen"), ("", "garden")]
    assert "'kitchen' (2 files)" in line


@pytest.mark.parametrize(
    ("paths", "spaces"),
    [
        (("a/roof.csv", "b/roof.csv"), ["a", "b"]),
        (("a/kitchen/1.csv", "b/kitchen/1.csv"), ["a", "b"]),
        (("a/x/roof.csv", "b/x/roof.csv"), ["a/x", "b/x"]),
        (("roof.csv", "old/Roof.csv"), ["x", "old"]),
        (("a/roof.csv", "a/roof [part 2].csv"), ["", ""]),
    ],
)
def test_chats_of_one_name_in_several_folders_stay_apart(paths, spaces) -> None:
    found, lines = names(*paths)
    assert [space for space, _ in found] == spaces
    assert len(lines) == bool(spaces[0])


def test_an_id_in_the_name_is_enough() -> None:
    assert names("a/G - c - roof [12].csv", "b/G - c - roof [12].csv")[1] == []
