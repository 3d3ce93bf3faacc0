"""`myna serve`: wrong options, refused before it starts."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Myna


def test_beyond_this_machine_it_does_not_start_without_a_key(myna: Myna) -> None:
    myna("new", "friends")
    done = myna("-C", "friends", "serve", "--host", "0.0.0.0")  # noqa: S104
    assert done.status == 2
    assert "a key is needed" in done.err
    assert len(done.err.splitlines()) == 1


def test_a_weak_or_missing_key_is_one_clear_line(myna: Myna, tmp_path: Path) -> None:
    myna("new", "friends")
    (tmp_path / "key").write_text("1234\n")
    weak = myna("-C", "friends", "serve", "--key-file", "key")
    assert (weak.status, "16 or more" in weak.err, "1234" in weak.err) == (2, True, False)
    none = myna("-C", "friends", "serve", "--key-file", "nothing")
    assert (none.status, "cannot read the key in nothing" in none.err) == (2, True)


def test_without_a_clone_and_pages_there_is_nothing_to_serve(myna: Myna) -> None:
    myna("new", "friends")
    done = myna("-C", "friends", "serve", "--port", "0", "--no-web")
    assert done.status == 1
    assert "make it with `myna train`" in done.err
