"""Take the pictures of the pages for docs/web.md: docs/web-*.png, in a headless Chromium.

python -m docs.screenshots [NAME ...]

The chat is invented, and an engine that only recites it stands for the model: the pictures
are the same each time. They need Debian's chromium and `pip install playwright`.
"""

from __future__ import annotations

import json
import random
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playwright.sync_api import sync_playwright
from tests.serving.conftest import Serving, Starter, make_letters
from tests.web.conftest import pages_of, web_options
from tests.web.workspaces import friends, log_lines

from myna import leftovers
from myna.evaluation import blind
from myna.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser, Page

PEOPLE = ["Ana", "Ben Okafor", "Cléo", "Dilan 🌻"]
CHAT = (
    ("Me", "who forgot the tent pegs last time"),
    ("Ben Okafor", "not me"),
    ("Ben Okafor", "I packed the stove AND the coffee"),
    ("Ana", "you packed coffee for forty people"),
    ("Cléo", "the pegs were in my car"),
    ("Cléo", "they are still in my car 🫣"),
    ("Dilan 🌻", "so that was the noise on every left turn"),
    ("Me", "ok new rule: Cléo drives, Ben cooks, Ana navigates"),
    ("Ana", "I navigated us into a lake"),
    ("Ben Okafor", "a beautiful lake though"),
)
OTHERS = (
    ("Film night", ["Ana", "Cléo"], "Ana", "no subtitles no deal"),
    ("", ["Ben Okafor"], "Ben Okafor", "the bread is alive"),
)
LAPTOP, PHONE = {"width": 1180, "height": 760}, {"width": 390, "height": 780}


def recite(serving: Serving, room: str, person: str, text: str) -> None:
    """Let the engine say a line as a persona."""
    serving.engine.says = lambda _: f" {text}\n"
    with serving.http() as http:
        http.post(f"/api/rooms/{room}/speak", json={"person": person}).raise_for_status()


def fill(serving: Serving) -> None:
    """Make the chats of the pictures."""
    with serving.http() as http:
        for number, (title, personas, person, text) in enumerate(OTHERS):
            room = f"other {number}"
            http.post("/api/rooms", json={"id": room, "humans": ["Me"], "personas": personas})
            http.patch(f"/api/rooms/{room}", json={"title": title})
            recite(serving, room, person, text)
        http.post("/api/rooms", json={"id": "camp", "humans": ["Me"], "personas": PEOPLE})
        http.patch("/api/rooms/camp", json={"title": "Camping, again"})
        turn = ""
        for person, text in CHAT:
            if person == "Me":
                http.post("/api/rooms/camp/say", json={"person": "Me", "text": text})
            elif person == turn:
                serving.engine.says = lambda _, text=text: f"\n{text}\n"
                http.post("/api/rooms/camp/continue", json={}).raise_for_status()
            else:
                recite(serving, "camp", person, text)
            turn = person
        serving.engine.says = lambda _: " a lake with a car park in it\n"
        http.post("/api/rooms/camp/retry", json={})
        history = http.get("/api/rooms/camp/messages").json()["messages"]
        quoted = next(m["id"] for m in history if "into a lake" in m["text"])
        body = {"person": "Me", "text": "we do not talk about the lake", "reply_to": quoted}
        http.post("/api/rooms/camp/say", json=body)


def speaking(page: Page, serving: Serving, person: str, text: str) -> None:
    """Hold the engine in the middle of a line."""
    serving.engine.go.clear()
    serving.engine.held_from = len(text)
    serving.engine.says = lambda _: f" {text} and more\n"
    with serving.http() as http:
        headers = {"Prefer": "respond-async"}
        http.post("/api/rooms/camp/speak", json={"person": person}, headers=headers)
    page.locator(".live", has_text=text[:-3]).wait_for()


def done(page: Page, serving: Serving) -> None:
    """Stop the line that is held."""
    with serving.http() as http:
        http.post("/api/rooms/camp/stop")
    serving.engine.go.set()
    serving.engine.held_from = 0
    page.locator(".live").wait_for(state="detached")


def chat(page: Page, serving: Serving, save: Callable[[str], None]) -> None:
    """The chat on a laptop, while somebody speaks."""
    page.goto(f"{serving.url}/?room=camp")
    page.get_by_text("we do not talk about").first.wait_for()
    speaking(page, serving, "Dilan 🌻", "the lake talks about US")
    save("web-chat")
    done(page, serving)


def prompt(page: Page, serving: Serving, save: Callable[[str], None]) -> None:
    """The raw prompt with its answer."""
    page.goto(f"{serving.url}/prompt?room=camp&person=Cl%C3%A9o")
    page.locator("#to-chat[href*=camp]").wait_for()
    page.wait_for_load_state("networkidle")
    serving.engine.says = lambda _: " the lake was fine. the pegs were in the lake\n"
    page.get_by_role("button", name="Continue").click()
    page.locator("#output", has_text="in the lake").wait_for()
    save("web-prompt")


def training(page: Page, serving: Serving, save: Callable[[str], None]) -> None:
    """A training as it goes on."""
    page.goto(f"{serving.url}/training")
    page.get_by_text("After step 60").wait_for()
    save("web-training")


def data(page: Page, serving: Serving, save: Callable[[str], None]) -> None:
    """The ledger as a picture."""
    page.goto(f"{serving.url}/data#ledger")
    page.locator(".flow").wait_for()
    page.wait_for_load_state("networkidle")
    page.locator("#ledger").scroll_into_view_if_needed()
    page.evaluate("document.querySelector('#ledger').scrollIntoView()")
    page.evaluate("scrollBy(0, -60)")
    save("web-data")


def game(page: Page, serving: Serving, save: Callable[[str], None]) -> None:
    """A round of the game on a phone, with its answer."""
    with serving.http() as http:
        opened = http.post("/api/game/open", json={"rounds": 10}).json()
        page.goto(f"{serving.url}/join#code={opened['code']}")
        page.get_by_label("Your name").fill("Cy")
        page.get_by_role("button", name="Join").click()
        page.get_by_text("The owner lets you in").wait_for()
        [player] = http.get("/api/game").json()["game"]["players"]
        http.post("/api/game/admit", json={"player": player["id"], "person": "Cy"})
        http.post("/api/game/next", json={})
    page.get_by_role("group", name="Replies").get_by_role("button").first.click()
    page.get_by_role("group", name="People").get_by_role("button", name="Ana").click()
    page.locator(".was-real").wait_for()
    save("web-game")


def house(folder: Path) -> Workspace:
    """The workspace of the owner's pictures: in training, and with cards that were looked at."""
    space = friends(folder, "Zoë")
    deck = blind.load_deck(space, "group")
    real = ["the pegs are in my car", "I said soup, not SOAP", "no. the red one", "coffee first"]
    said = ["I have the pegs", "soup soup soup", "the red tent is mine", "ok but who drives"]
    asked = ["who has the pegs", "what did you bring", "that hill again?", "when do we start"]
    cards = [
        replace(card, before=[(card.before[0][0], asked[i % 4])], real=real[i % 4],
                clone=said[i % 4], is_shown=True)
        for i, card in enumerate(deck.cards)
    ]  # fmt: skip
    blind.save_deck(space, "group", replace(deck, cards=cards))
    work = space.training("group")
    work.mkdir()
    plan = {"steps": 120, "tokens": 40_000, "epochs": 1.0, "reason": "", "tokens_per_second": 310}
    (work / "plan.json").write_text(json.dumps(plan))
    rng = random.Random(3)
    steps = [json.loads(line) for line in log_lines(range(1, 84), 120).splitlines()]
    for step in steps:
        step["loss"] += 2.2 / (1 + step["step"] / 9) + rng.gauss(0, 0.12)
        if step["validation_loss"]:
            step["validation_loss"] = step["loss"] + 0.15
    (work / "log.jsonl").write_text("".join(json.dumps(step) + "\n" for step in steps))
    answers = {20: "yes the the", 60: "the pegs are in my car\nI think"}
    lines = [{"step": step, "asked": "Ben: who has the pegs", "person": "Ana", "reply": reply}
             for step, reply in answers.items()]  # fmt: skip
    (work / "previews.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return space


SHOTS: dict[str, tuple[dict[str, Any], Callable[[Page, Serving, Callable[[str], None]], None]]] = {
    "web-chat": ({"viewport": LAPTOP}, chat),
    "web-dark": ({"viewport": {"width": 760, "height": 780}, "color_scheme": "dark"}, chat),
    "web-phone": ({"viewport": PHONE, "has_touch": True, "is_mobile": True}, chat),
    "web-prompt": ({"viewport": LAPTOP}, prompt),
    "web-training": ({"viewport": {"width": 1180, "height": 980}}, training),
    "web-data": ({"viewport": LAPTOP}, data),
    "web-game": ({"viewport": PHONE, "has_touch": True, "is_mobile": True}, game),
}
"""Each picture: the browser's options, and the function that takes it."""


def take(browser: Browser, serving: Serving, name: str, folder: Path) -> None:
    """Take one picture."""
    options, shot = SHOTS[name]
    context = browser.new_context(locale="en-GB", reduced_motion="reduce", **options)
    page = context.new_page()
    shot(page, serving, lambda _: page.screenshot(path=folder / f"{name}.png") and None)
    context.close()


def main(names: list[str], folder: Path) -> None:
    """Take all pictures, or those of these names."""
    with tempfile.TemporaryDirectory() as made, sync_playwright() as playwright:
        work, space = Path(made), house(Path(made) / "house" / "friends")
        starter = Starter(make_letters(work), work, pages_of(space.root), personas=PEOPLE)
        serving = starter(web_options(), context=4000)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        try:
            fill(serving)
            with leftovers.locked(space.training_lock("group")):
                for name in names or SHOTS:
                    take(browser, serving, name, folder)
        finally:
            browser.close()
            starter.end()


if __name__ == "__main__":
    main(sys.argv[1:], Path(__file__).parent)
