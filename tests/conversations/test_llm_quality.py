"""The quality pass, against a real server that answers well, badly and not at all."""

from __future__ import annotations

import json
import re
import stat
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.chats import cleaned, table

from myna.cleaning.ledger import Ledger
from myna.config import Quality, parse
from myna.conversations import llm_quality, sessions
from myna.errors import ModelError, SettingsError


class Server:
    """A model's server: `answers` are what it says, one after the other, the last for ever."""

    def __init__(self) -> None:
        self.answers: list[Any] = ["[9]"]
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.asked.append(body)
                outer.headers.append(dict(self.headers))
                answer = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                if callable(answer):
                    answer = answer(body["messages"][0]["content"])
                if isinstance(answer, int):
                    self.send_response(answer)
                    self.send_header("Location", "http://127.0.0.1:9/elsewhere")
                    self.end_headers()
                    return
                if isinstance(answer, float):
                    time.sleep(answer)
                    return
                data = answer
                if isinstance(answer, str):
                    data = json.dumps({"choices": [{"message": {"content": answer}}]}).encode()
                self.send_response(200)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def texts(self) -> list[str]:
        """Return the texts in all requests, in order."""
        prompts = (asked["messages"][0]["content"] for asked in self.asked)
        return [t for prompt in prompts for t in re.findall(r"<text \d+>\n(.*?)\n</", prompt, re.S)]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(llm_quality, "FIRST_WAIT_SECONDS", 0)
    made = Server()
    yield made
    made.http.shutdown()
    made.http.server_close()


CHAT = [
    {"author": who, "text": f"{text} {n}", "at": 100 * n + at}
    for n in range(3)
    for at, (who, text) in enumerate((("Ana", "tea"), ("Ben", "cup")))
]


def by_number(prompt: str) -> str:
    """As a model answers that finds the second conversation poor."""
    return json.dumps([2 if "tea 1" in t else 8 for t in re.findall(r"<text \d+>\n.*", prompt)])


def judged(
    server: Server, folder: Path, rows: list[dict[str, Any]] = CHAT, **settings: Any
) -> tuple[pl.DataFrame, Ledger]:
    ledger = Ledger()
    frame = sessions.split_conversations(cleaned(table(rows)), 60)
    chosen = Quality(**{"action": "context", "url": server.url, "batch": 2, **settings})
    return llm_quality.apply_quality_scores(
        frame, ledger, chosen, folder / "quality.sqlite"
    ), ledger


class TestJudge:
    def test_poor_conversations_become_context(self, server: Server, tmp_path: Path) -> None:
        server.answers = [lambda prompt: by_number(prompt.replace("\nBen", " Ben"))]
        found, ledger = judged(server, tmp_path)
        assert found["trained"].to_list() == [True, True, False, False, True, True]
        assert found["rule"].to_list() == [None, None, "quality", "quality", None, None]
        assert ledger == Ledger()

    def test_or_are_dropped_and_the_ledger_says_so(self, server: Server, tmp_path: Path) -> None:
        server.answers = ["[8, 2]", "[3]"]
        found, ledger = judged(server, tmp_path, action="drop")
        assert found["conversation"].to_list() == [0, 0, 2, 2]
        [row] = ledger.rows
        assert (row.rule, row.action, row.messages, row.characters) == ("quality", "drop", 2, 10)

    def test_it_is_not_asked_by_default(self, server: Server, tmp_path: Path) -> None:
        judged(server, tmp_path, action="keep")
        assert server.asked == []
        assert list(tmp_path.iterdir()) == []

    def test_it_reads_who_said_what_some_at_a_time(self, server: Server, tmp_path: Path) -> None:
        server.answers = ["[9, 9]", "[9]"]
        judged(server, tmp_path, model="judge")
        assert server.texts() == [
            "Ana: tea 0\nBen: cup 0",
            "Ana: tea 1\nBen: cup 1",
            "Ana: tea 2\nBen: cup 2",
        ]
        assert [asked["model"] for asked in server.asked] == ["judge", "judge"]

    def test_of_a_long_one_the_begin_and_the_end(self, server: Server, tmp_path: Path) -> None:
        rows = [{"author": "Ana", "text": f"{n} " + "tea " * 50} for n in range(100)]
        judged(server, tmp_path, rows)
        [text] = server.texts()
        assert text.startswith("Ana: 0 tea")
        assert text.endswith("tea")
        assert len(text) <= llm_quality.MAX_TEXT_CHARS + 10

    def test_what_is_context_anyway_is_not_read(self, server: Server, tmp_path: Path) -> None:
        rows = [{"author": "Ana", "text": "lol"}, {"author": "Ana", "text": "lol", "at": 99}]
        judged(server, tmp_path, rows)
        assert server.asked == []


class TestScores:
    def test_they_are_kept_and_not_asked_again(self, server: Server, tmp_path: Path) -> None:
        server.answers = ["[9, 1]", "[9]"]
        first, _ = judged(server, tmp_path)
        again, _ = judged(server, tmp_path)
        assert again.equals(first)
        assert len(server.asked) == 2
        assert stat.S_IMODE((tmp_path / "quality.sqlite").stat().st_mode) == 0o600
        assert b"tea" not in (tmp_path / "quality.sqlite").read_bytes()

    def test_what_was_scored_before_a_failure_is_kept(self, server: Server, tmp_path: Path) -> None:
        server.answers = ["[9, 9]", 400]
        with pytest.raises(ModelError, match="answered 400 Bad Request"):
            judged(server, tmp_path)
        server.answers = ["[9]"]
        judged(server, tmp_path)
        assert server.texts()[-1] == "Ana: tea 2\nBen: cup 2"
        assert len(server.asked) == 3

    def test_the_same_words_are_the_same_question(self, server: Server, tmp_path: Path) -> None:
        server.answers = ["[9, 9]", "[9]"]
        judged(server, tmp_path)
        judged(server, tmp_path, [row | {"at": row["at"] + 9000} for row in CHAT])
        assert len(server.asked) == 2

    @pytest.mark.parametrize(
        "bad", ["", "great!", "[1]", "[1, 2, 3]", "[1, 11]", '["a", "b"]', "[[1], 2]", "[NaN, 1]"]
    )
    def test_where_an_answer_cannot_be_read_they_are_asked_one_by_one(
        self, server: Server, tmp_path: Path, bad: str
    ) -> None:
        server.answers = [bad, "7", "Here it is: [2.5]", "[9]"]
        found, ledger = judged(server, tmp_path)
        assert found["trained"].to_list() == [True, True, False, False, True, True]
        assert ledger.notes == []

    @pytest.mark.parametrize(
        "bad",
        [
            *(b"", b"\xff", b"[]", b'{"choices": []}', b'{"choices": [{"message": null}]}'),
            *(b'{"choices": [{"message": {"content": ["x"]}}]}', b"[" * 100_000),
        ],
    )
    def test_without_a_score_a_conversation_stays_and_the_ledger_says_so(
        self, server: Server, tmp_path: Path, bad: bytes
    ) -> None:
        server.answers = [bad]
        found, ledger = judged(server, tmp_path, CHAT[:2])
        assert found["trained"].all()
        assert ledger.notes[0].startswith("1 conversations have no score")


class TestServer:
    def test_an_error_of_its_own_is_tried_again(self, server: Server, tmp_path: Path) -> None:
        server.answers = [500, 503, "[9]"]
        judged(server, tmp_path, CHAT[:2])
        assert len(server.asked) == 3

    def test_but_not_for_ever(self, server: Server, tmp_path: Path) -> None:
        server.answers = [500]
        with pytest.raises(ModelError, match="answered 500"):
            judged(server, tmp_path, CHAT[:2])
        assert len(server.asked) == llm_quality.MAX_TRIES

    def test_silence(self, server: Server, tmp_path: Path) -> None:
        server.answers = [0.4]
        with pytest.raises(ModelError, match=r"did not answer within 0.1 s.*are kept"):
            judged(server, tmp_path, CHAT[:2], timeout=0.1)

    def test_nobody_there(self, server: Server, tmp_path: Path) -> None:
        server.http.server_close()
        with pytest.raises(ModelError, match=r'cannot be reached .*quality.action = "keep"'):
            judged(server, tmp_path, CHAT[:2], url="http://127.0.0.1:9/v1")

    def test_texts_follow_no_redirect(self, server: Server, tmp_path: Path) -> None:
        server.answers = [307]
        with pytest.raises(ModelError, match="answered 307"):
            judged(server, tmp_path, CHAT[:2])

    def test_the_key_comes_from_the_environment(
        self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        judged(server, tmp_path, CHAT[:2])
        monkeypatch.setenv(llm_quality.API_KEY_VARIABLE, "s3cret")
        judged(server, tmp_path, CHAT[2:4])
        assert [h.get("Authorization") for h in server.headers] == [None, "Bearer s3cret"]
        assert b"s3cret" not in (tmp_path / "quality.sqlite").read_bytes()


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/v1", "http://localhost:1", "http://[::1]:1"])
def test_this_machine_may_be_asked(url: str) -> None:
    assert parse(f'[quality]\naction = "drop"\nurl = "{url}"', "x").quality.url == url


@pytest.mark.parametrize(
    "url", ["https://api.example", "http://127.0.0.1.example/v1", "http://10.0.0.2:8080/v1"]
)
def test_another_one_only_where_that_is_meant(url: str) -> None:
    text = f'[quality]\naction = "drop"\nurl = "{url}"\n'
    with pytest.raises(SettingsError, match="allow_remote = true"):
        parse(text, "x")
    assert parse(text + "allow_remote = true", "x").quality.allow_remote
