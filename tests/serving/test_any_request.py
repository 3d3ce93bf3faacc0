"""Requests as nobody would write them: an answer for each, and never a fault of the server."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.chats import texts
from tests.damage import examples, mutilations
from tests.serving.conftest import Serving

BODY = {
    "model": "Ana",
    "messages": [
        {"role": "system", "content": "a tea room"},
        {"role": "user", "name": "Bo", "content": [{"type": "text", "text": "tea?"}]},
    ],
    "temperature": 0.7,
    "max_tokens": 5,
    "stop": ["\n"],
    "n": 1,
    "seed": 7,
    "logprobs": False,
}
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(width=32) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
FIELDS = st.dictionaries(
    st.sampled_from([*BODY, "stream", "top_p", "top_k", "min_p", "prompt", "dry_base", "tools"]),
    ANYTHING,
    max_size=3,
)
ROOM = "/api/rooms/any"
ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                ("POST", f"{ROOM}/say"),
                ("POST", f"{ROOM}/speak"),
                ("POST", f"{ROOM}/play"),
                ("POST", f"{ROOM}/retry"),
                ("POST", f"{ROOM}/stop"),
                ("POST", f"{ROOM}/forget"),
                ("POST", f"{ROOM}/join"),
                ("POST", f"{ROOM}/leave"),
                ("POST", f"{ROOM}/summon"),
                ("POST", f"{ROOM}/dismiss"),
                ("PATCH", ROOM),
                ("PATCH", f"{ROOM}/messages/1"),
                ("DELETE", f"{ROOM}/messages/2"),
                ("GET", f"{ROOM}/messages"),
                ("GET", f"{ROOM}/chances"),
                ("POST", "/api/rooms"),
                ("DELETE", ROOM),
            ]
        ),
        st.fixed_dictionaries(
            {},
            optional={
                "person": st.sampled_from(["Ana", "Bo", "nobody"]) | texts,
                "text": texts,
                "name": st.sampled_from(["Ana", "Ben", "Zoe"]) | texts,
                "key": st.sampled_from(["a", "b"]) | texts,
                "id": st.just("any") | texts,
                "turns": st.integers(-1, 3),
                "opening": texts,
                "chat": ANYTHING,
                "notes": ANYTHING,
                "among": ANYTHING,
                "to": ANYTHING,
            },
        ),
        st.booleans(),
    ),
    min_size=1,
    max_size=8,
)
NEEDED = {
    "say": ("person", "text", "key"), "speak": ("person", "opening"), "play": ("turns",),
    "join": ("name",), "leave": ("name",), "summon": ("name",), "dismiss": ("name",),
    "1": ("text",), "rooms": ("id",), "any": ("chat", "notes"),
}  # fmt: skip
"""Fields of an action, by the last word of its path: others are refused at once."""

JSON = {"Content-Type": "application/json"}
quick = settings(max_examples=examples(25), suppress_health_check=list(HealthCheck))


def well(answer: Any) -> None:
    """No fault of the server; an error is JSON that says what is wrong."""
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        assert answer.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
def test_any_body(serving: Serving, path: str) -> None:
    with serving.http() as http:

        @given(mutilations(), FIELDS)
        @example(lambda data: b"[" * 100_000, {})
        @example(lambda data: b"\xff\xfe\x00", {})
        @example(lambda data: data, {"messages": [{"role": "user", "content": "\ud800"}]})
        @quick
        def check(damage: Any, fields: dict[str, Any]) -> None:
            whole = {**BODY, **({} if "chat" in path else {"prompt": "Bo: tea?\nAna:"}), **fields}
            for body in (json.dumps(whole).encode(), damage(json.dumps(BODY).encode())):
                well(http.post(path, content=body, headers=JSON))

        check()


def test_any_actions_in_a_room(serving: Serving) -> None:
    with serving.http() as http:

        @given(ACTIONS)
        @quick
        def check(actions: list[tuple[tuple[str, str], dict[str, Any], bool]]) -> None:
            http.post("/api/rooms", json={"id": "any", "humans": ["Bo"]})
            for (method, path), fields, only_known in actions:
                known = NEEDED.get(path.rpartition("/")[2], ())
                sent = {k: v for k, v in fields.items() if k in known or not only_known}
                body = json.dumps(sent).encode() if method != "GET" else b""
                well(http.request(method, path, content=body, headers=JSON))
            found = http.get(f"{ROOM}/messages")
            if found.status_code == 200:
                ids = [message["id"] for message in found.json()["messages"]]
                assert ids == sorted(set(ids))
            http.delete(ROOM)

        check()
