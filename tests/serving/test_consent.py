"""Consent that is withdrawn while the server runs: the clone is silent from the next turn on."""

from __future__ import annotations

import pytest
from tests.consents import friend
from tests.serving.conftest import PERSONAS, Starter

from myna import people
from myna.people import People
from myna.workspace import Workspace

HI = [{"role": "user", "content": "hi"}]


def deny(start: Starter, *names: str) -> None:
    """Write what `myna people deny` writes."""
    persons = (friend(name, "no" if name in names else "clone") for name in PERSONAS)
    people.save(Workspace(start.folder).people_file, People(tuple(persons)))


@pytest.mark.parametrize("model", ["Ana", "Ana (clone)", "Ben", "group", "group+names"])
def test_an_adapter_that_learned_from_them_is_silent_in_openais_api(
    start: Starter, model: str
) -> None:
    serving = start()
    assert serving.ask(model=model).status_code == 200
    deny(start, "Ana")
    refused = serving.ask(model=model)
    assert refused.status_code == 403
    error = refused.json()["error"]
    assert (error["code"], error["type"]) == ("no_consent", "permission_error")
    assert "learned from Ana, who may not be cloned now" in error["message"]
    with serving.http() as http:
        assert http.post("/v1/completions", json={"model": model, "prompt": "x"}).status_code == 403
        assert http.get(f"/v1/models/{model}").status_code == 403
        assert http.get("/v1/models").json()["data"] == []
    deny(start)
    assert serving.ask(model=model).status_code == 200


def test_in_a_room_nobody_speaks_any_more(start: Starter) -> None:
    serving = start()
    with serving.http() as http:
        http.post("/api/rooms", json={"id": "tea", "humans": ["Me"], "personas": ["Ana", "Ben"]})
        http.post("/api/rooms/tea/say", json={"person": "Me", "text": "hi"})
        assert http.post("/api/rooms/tea/speak", json={"person": "Ana"}).status_code == 200
        deny(start, "Ana")
        for body in ({"person": "Ana"}, {"person": "Ben"}, {}):
            refused = http.post("/api/rooms/tea/speak", json=body)
            assert (refused.status_code, refused.json()["error"]["code"]) == (403, "no_consent")
        refused = http.post("/api/rooms/tea/play", json={"turns": 2})
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "no_consent")
        assert http.post("/api/rooms/tea/retry").status_code == 403
        assert http.post("/api/rooms/tea/summon", json={"name": "Cy"}).status_code == 403
        assert http.get("/api/rooms/tea").json()["personas"] == []
        assert http.get("/api/personas").json()["personas"] == []
        assert len(http.get("/api/rooms/tea/messages").json()["messages"]) == 2


def test_with_adapters_of_their_own_the_others_go_on(start: Starter) -> None:
    serving = start(per_person=True)
    deny(start, "Ana")
    assert serving.ask(model="Ana").status_code == 403
    assert serving.ask(model="Ben").status_code == 200
    group = serving.ask(model="group")
    assert group.status_code == 200
    assert serving.engines["Ana"].prompts == [], "whoever is silent is not asked, either"
    with serving.http() as http:
        ids = [model["id"] for model in http.get("/v1/models").json()["data"]]
    assert ids == ["Ben (clone)", "Cy (clone)", "group", "group+names"]
