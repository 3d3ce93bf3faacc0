"""The chat page, as somebody uses it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from tests.serving.conftest import Serving, Starter, eventually
from tests.web.conftest import PHONE, Browsing, serious, web_options

from myna.serving import conductor

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

HOSTILE = "<img src=x onerror=alert(1)> <script>alert(2)</script> &lt; \u202ereversed"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conductor, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(conductor, "MAX_READING_SECONDS", 0.05)


@pytest.fixture
def room(serving: Serving) -> str:
    """A room of Ana, Ben and the human Me, with one message."""
    make_room(serving, "tea")
    say(serving, "tea", "soup?")
    return "/?room=tea"


def make_room(serving: Serving, name: str, **fields: Any) -> None:
    new = {"id": name, "humans": ["Me"], "personas": ["Ana", "Ben"], **fields}
    with serving.http() as http:
        assert http.post("/api/rooms", json=new).status_code == 201


def say(serving: Serving, room: str, text: str, person: str = "Me", **fields: Any) -> Any:
    with serving.http() as http:
        said = http.post(f"/api/rooms/{room}/say", json={"person": person, "text": text, **fields})
        assert said.status_code == 201, said.text
        return said.json()["message"]


def speak(serving: Serving, room: str, person: str, text: str = "ok") -> None:
    serving.engine.says = lambda _: f" {text}\n"
    with serving.http() as http:
        assert http.post(f"/api/rooms/{room}/speak", json={"person": person}).status_code == 200


def messages(page: Page) -> Locator:
    return page.locator("#log .message:not(.live) .text")


def said(page: Page, text: str) -> Locator:
    """A message with a text."""
    return page.locator("#log .text", has_text=text).first


def holds(page: Page, script: str) -> None:
    """Wait until a script says true: Playwright's own way needs what the policy forbids."""
    eventually(lambda: page.evaluate(script))


def write(page: Page, text: str) -> None:
    page.get_by_label("Message", exact=True).fill(text)
    page.keyboard.press("Enter")


def menu(page: Page, text: str, item: str) -> None:
    message = page.locator(".message", has_text=text).last
    message.hover()
    message.get_by_role("button", name="Actions").click()
    page.get_by_role("menuitem", name=item).click()


def test_a_new_chat_is_begun_and_answered_as_it_is_written(
    browsing: Browsing, serving: Serving
) -> None:
    page = browsing.open("/")
    page.get_by_role("button", name="New chat").click()
    page.get_by_role("checkbox", name="Cy").uncheck()
    page.get_by_label("Your name").fill("Zoe")
    page.get_by_role("button", name="Begin").click()
    page.locator("#room-people", has_text="with Zoe").wait_for()
    serving.engine.says = lambda _: " one thing\nand another\nZoe:"
    serving.engine.held_from = 5
    serving.engine.go.clear()
    write(page, "Ana, what is it?")
    page.locator("#status", has_text="Ana (clone) is typing").wait_for()
    live = page.locator(".live")
    live.get_by_text("one ").wait_for()
    assert live.get_attribute("aria-hidden") == "true"  # it is read when it is complete
    page.get_by_role("button", name="Stop").wait_for()
    serving.engine.go.set()
    said(page, "and another").wait_for()
    first = ["Ana, what is it?", "one thing", "and another"]
    assert messages(page).all_inner_texts()[:3] == first
    assert "clone" in page.locator(".message", has_text="one thing").inner_text()
    assert page.locator(".mine").count() == 1
    with serving.http() as http:
        [found] = http.get("/api/rooms").json()["rooms"]
    assert re.fullmatch(r"chat \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}", found["id"])
    assert found["humans"] == ["Zoe"]


def test_a_turn_is_said_anew_and_every_version_can_be_looked_at(
    browsing: Browsing, serving: Serving, room: str
) -> None:
    speak(serving, "tea", "Ana", "first try")
    say(serving, "tea", "hm")
    page = browsing.open(room)
    serving.engine.says = lambda _: " second try\n"
    menu(page, "first try", "Retry this turn")
    said(page, "second try").wait_for()
    assert messages(page).all_inner_texts() == ["soup?", "second try", "hm"]
    page.get_by_text("2 of 2").wait_for()
    page.get_by_role("button", name="Version before").click()
    said(page, "first try").wait_for()
    page.get_by_text("1 of 2").wait_for()
    page.get_by_label("Messages").first.focus()
    page.keyboard.press("ArrowRight")
    said(page, "second try").wait_for()
    assert messages(page).all_inner_texts() == ["soup?", "second try", "hm"]


def test_a_turn_is_continued_and_a_message_edited_and_deleted(
    browsing: Browsing, serving: Serving, room: str
) -> None:
    speak(serving, "tea", "Ana", "well")
    page = browsing.open(room)
    serving.engine.says = lambda _: ", yes\n"
    page.get_by_role("button", name="Continue", exact=True).click()
    said(page, "well, yes").wait_for()
    assert messages(page).all_inner_texts() == ["soup?", "well, yes"]
    menu(page, "soup?", "Edit")
    page.get_by_label("Text").fill("tea?")
    page.get_by_role("button", name="Save").click()
    page.locator(".text", has_text="tea?").wait_for()
    menu(page, "well, yes", "Delete")
    page.locator(".message", has_text="well, yes").wait_for(state="detached")
    assert messages(page).all_inner_texts() == ["tea?"]


def test_two_tabs_that_edit_one_message_do_not_overwrite_each_other(
    browsing: Browsing, serving: Serving, room: str
) -> None:
    first = browsing.open(room)
    second = browsing.tab(first.context, room)
    browsing.allow("status of 409")
    for page in (first, second):
        menu(page, "soup?", "Edit")
    first.get_by_label("Text").fill("tea?")
    first.get_by_role("button", name="Save").click()
    second.locator("#log", has_text="tea?").wait_for()
    second.get_by_label("Text").fill("beer?")
    second.get_by_role("button", name="Save").click()
    second.get_by_text("Somebody else changed it").wait_for()
    assert second.locator(".said").inner_text() == "tea?"
    assert second.get_by_label("Text").input_value() == "beer?"
    second.get_by_role("button", name="Save").click()
    first.locator(".text", has_text="beer?").wait_for()


def test_a_quoted_message_stands_over_the_answer_and_leads_back(
    browsing: Browsing, serving: Serving, room: str
) -> None:
    speak(serving, "tea", "Ben", "always")
    page = browsing.open(room)
    menu(page, "always", "Reply")
    page.locator("#quoting", has_text="Ben: always").wait_for()
    write(page, "really?")
    page.locator(".quote", has_text="Ben: always").click()
    page.locator(".found-message", has_text="always").wait_for()
    eventually(lambda: "Ben" in "".join(serving.engine.prompts))


def test_they_talk_while_it_plays_and_pause(
    browsing: Browsing, serving: Serving, room: str
) -> None:
    page = browsing.open(room)
    page.get_by_role("button", name="Play").click()
    page.locator("#log .message:nth-child(4)").wait_for()
    page.get_by_label("Speed").select_option("2")
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Play").wait_for()
    with serving.http() as http:
        assert http.get("/api/rooms/tea").json()["playing"]["speed"] == 2
    page.locator("#status", has_not_text="typing").wait_for()
    count = messages(page).count()
    page.get_by_label("Message", exact=True).focus()
    page.keyboard.press("Enter")  # nothing typed: the next turn
    page.locator(f"#log .message:nth-child({count + 1})").wait_for()


def test_one_of_them_is_asked_to_speak(browsing: Browsing, serving: Serving, room: str) -> None:
    page = browsing.open(room)
    page.get_by_role("button", name="Ben speaks now").click()
    page.locator(".message", has_text="ok").get_by_text("Ben").wait_for()
    assert messages(page).all_inner_texts() == ["soup?", "ok"]


def test_a_clone_of_ones_own_suggests_into_the_input(browsing: Browsing, serving: Serving) -> None:
    make_room(serving, "tea", humans=["Cy"])
    speak(serving, "tea", "Ana", "soup?")
    serving.engine.says = lambda _: " I would\n"
    page = browsing.open("/?room=tea")
    page.get_by_role("button", name="My clone suggests").click()
    holds(page, "document.getElementById('text').value === 'I would'")
    assert messages(page).all_inner_texts() == ["soup?"]


def test_the_people_title_and_day_of_a_chat_are_changed(
    browsing: Browsing, serving: Serving, room: str
) -> None:
    page = browsing.open(room)
    page.locator("#people").click()
    page.get_by_label("Title").fill("Soup")
    page.get_by_role("checkbox", name="Ben").uncheck()
    page.get_by_role("checkbox", name="Cy").check()
    page.get_by_label("Your name").fill("Zoe")
    page.get_by_role("button", name="Save").click()
    page.locator("#room-title", has_text="Soup").wait_for()
    page.locator("#room-list", has_text="Soup").wait_for()
    page.locator("#room-people", has_text="Ana, Cy and Zoe").wait_for()


def test_rooms_are_listed_and_all_of_them_searched(
    browsing: Browsing, serving: Serving, room: str
) -> None:
    make_room(serving, "pub")
    say(serving, "pub", "Größe and beer", "Ana")
    page = browsing.open("/")
    assert page.locator("#room-list .last").all_inner_texts() == [
        "Ana: Größe and beer", "Me: soup?"
    ]  # fmt: skip
    page.get_by_role("searchbox").fill("GRÖSSE")
    page.locator("#found a").click()
    page.locator(".found-message", has_text="beer").wait_for()
    assert page.url.endswith(
        f"room=pub&message={page.locator('.found-message').get_attribute('data-id')}"
    )
    page.go_back()
    page.locator("#nothing").wait_for()


def test_a_chat_goes_on_in_a_copy(browsing: Browsing, serving: Serving, room: str) -> None:
    say(serving, "tea", "hm")
    page = browsing.open(room)
    menu(page, "soup?", "Branch from here")
    page.locator("#room-list li").nth(1).wait_for()
    page.locator(".message", has_text="hm").wait_for(state="detached")
    write(page, "beer?")
    said(page, "beer?").wait_for()
    assert messages(page).all_inner_texts()[:2] == ["soup?", "beer?"]
    assert [m.text for m in serving.rooms.store.messages("tea")] == ["soup?", "hm"]


def test_text_of_a_chat_is_never_markup(browsing: Browsing, serving: Serving) -> None:
    make_room(serving, "tea<b>", humans=["<b>Zoe</b>"])
    with serving.http() as http:
        http.patch("/api/rooms/tea<b>", json={"title": f"{HOSTILE} title"})
    said = say(serving, "tea<b>", HOSTILE, "<b>Zoe</b>")
    say(serving, "tea<b>", "again", "<b>Zoe</b>", reply_to=said["id"])
    speak(serving, "tea<b>", "Ana", HOSTILE)
    page = browsing.open("/?room=tea%3Cb%3E")
    page.locator("#log .message:nth-child(3)").wait_for()
    found = messages(page).all_text_contents()
    assert found[0] == HOSTILE.replace("\u202e", "") or found[0] == HOSTILE
    page.locator("#people").click()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("searchbox").fill("onerror")
    page.locator("#found a").first.wait_for()
    for tag in ("img[src=x]", "main script", "main b:not(.name)"):
        assert page.locator(tag).count() == 0
    page.get_by_role("button", name="More about").click()
    page.get_by_role("menuitem", name="Raw prompt").click()
    holds(page, "document.getElementById('prompt').value.includes('onerror')")
    assert page.locator("main img, main script").count() == 0


def test_a_transcript_is_shared_as_text_and_as_a_picture_and_always_marked(
    browsing: Browsing, serving: Serving, room: str
) -> None:
    speak(serving, "tea", "Ana", "always")
    page = browsing.open(room)
    page.get_by_role("button", name="More about").click()
    page.get_by_role("menuitem", name="Share").click()
    text = page.get_by_label("The chat as text").input_value()
    assert "Ana (clone): always" in text
    assert text.startswith("Made with myna")
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save picture").click()
    picture = saved.value.path().read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 5000
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save text").click()
    assert saved.value.path().read_text("utf-8") == text


def test_a_lost_connection_goes_on_where_it_was(
    browsing: Browsing, serving: Serving, room: str
) -> None:
    page = browsing.open(room)
    said(page, "soup?").wait_for()
    browsing.allow("ERR_INTERNET_DISCONNECTED")
    page.context.set_offline(True)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.locator("#status.problem").wait_for()
    say(serving, "tea", "while you were away", "Zoe")
    page.context.set_offline(False)
    said(page, "while you were away").wait_for()
    page.locator("#status.problem").wait_for(state="detached")
    assert messages(page).all_inner_texts() == ["soup?", "while you were away"]


def test_a_chat_that_another_deletes_is_gone(
    browsing: Browsing, serving: Serving, room: str
) -> None:
    page = browsing.open(room)
    said(page, "soup?").wait_for()
    with serving.http() as http:
        http.delete("/api/rooms/tea")
    page.get_by_text("This chat was deleted.").wait_for()
    assert page.url.endswith("/")


def test_everything_is_reached_by_keyboard(browsing: Browsing, serving: Serving, room: str) -> None:
    speak(serving, "tea", "Ana", "always")
    page = browsing.open(room)
    said(page, "always").wait_for()
    page.locator(".skip").focus()
    seen: list[str] = []
    for _ in range(40):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.id || document.activeElement.className"))
    for wanted in ("search", "people", "play", "room-more", "more plain", "next", "retry", "text"):
        assert wanted in seen, seen
    page.locator(".more").last.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.textContent") == "Edit"
    page.keyboard.press("Escape")
    assert page.locator("#menu").is_hidden()


@pytest.mark.parametrize("colors", ["light", "dark"])
def test_a_chat_fits_a_phone_and_nothing_serious_stops_a_reader(
    browsing: Browsing, serving: Serving, room: str, colors: str
) -> None:
    for person, text in (("Zoe", "w" * 300), ("Max Ü", "short"), ("🌻", "👩‍🚀 ok")):
        say(serving, "tea", text, person)
    speak(serving, "tea", "Ana", "as a clone")
    page = browsing.open(room, viewport=PHONE, color_scheme=colors, has_touch=True)
    said(page, "as a clone").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert page.get_by_label("Message", exact=True).is_visible()
    assert serious(page) == []
    page.locator("#people").click()
    assert serious(page) == []
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("link", name="All chats").click()
    page.locator("#room-list a").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert serious(page) == []


def test_older_messages_come_when_one_scrolls_up(browsing: Browsing, serving: Serving) -> None:
    make_room(serving, "tea")
    store = serving.rooms.store
    for number in range(450):
        store.add("tea", "Ana" if number % 3 else "Ben", f"number {number}")
    page = browsing.open("/?room=tea")
    said(page, "number 449").wait_for()
    assert messages(page).count() == 200
    page.locator("#scroller").evaluate("node => { node.scrollTop = 0 }")
    holds(page, "document.querySelectorAll('#log .message').length === 400")
    assert messages(page).first.text_content() == "number 50"
    top = page.evaluate("document.getElementById('scroller').scrollTop")
    assert top > 1000  # what was read stays where it was


def test_many_browsers_see_the_same_messages_in_the_same_order(
    browsing: Browsing, serving: Serving, room: str
) -> None:
    first = browsing.open(room)
    pages = [first, *(browsing.tab(first.context, room) for _ in range(3))]
    for page in pages[1:3]:
        said(page, "soup?").wait_for()
    with serving.http() as http:
        http.put("/api/rooms/tea/playing", json={"on": True, "turns": 4, "speed": 10})
        for number in range(5):
            say(serving, "tea", f"human {number}", "Zoe")
        eventually(lambda: not http.get("/api/rooms/tea").json()["playing"]["is_on"])
        history = [m["text"] for m in http.get("/api/rooms/tea/messages").json()["messages"]]
    for page in pages:
        messages(page).nth(len(history) - 1).wait_for()
        assert messages(page).all_text_contents() == history


def test_the_key_is_asked_for_beyond_this_machine(start: Starter, browse: Browsing) -> None:
    serving = start(web_options(key="a-key-of-many-letters", listens_on_loopback=False))
    browse.url = serving.url
    page = browse.open("/?room=tea")
    assert "/login" in page.url
    page.get_by_label("Key").fill("a-key-of-many-letters")
    page.keyboard.press("Enter")
    page.locator("#rooms").wait_for()


class TestTheRawPrompt:
    def test_it_is_shown_edited_and_continued(
        self, browsing: Browsing, serving: Serving, room: str
    ) -> None:
        page = browsing.open("/prompt?room=tea&person=Ana")
        prompt = page.get_by_label("Prompt", exact=True)
        holds(page, "document.getElementById('prompt').value.endsWith('Ana:')")
        text = prompt.input_value()
        assert "\nMe: soup?\nAna:" in text
        serving.engine.says = lambda _: " a prune\nMe:"
        prompt.fill(text.replace("soup?", "a fruit?").removesuffix("\nAna:"))
        page.get_by_role("button", name="Continue").click()
        page.locator("#output", has_text="a prune").wait_for()
        assert serving.engine.prompts[-1].endswith("\nMe: a fruit?\nAna:")
        assert serving.rooms.store.messages("tea")[-1].text == "soup?"

    def test_it_refuses_a_prompt_that_ends_on_the_persona(
        self, browsing: Browsing, room: str
    ) -> None:
        page = browsing.open("/prompt?room=tea&person=Ana")
        holds(page, "document.getElementById('prompt').value.endsWith('Ana:')")
        browsing.allow("status of 400")
        prompt = page.get_by_label("Prompt", exact=True)
        prompt.fill(prompt.input_value() + " I said it")
        page.get_by_role("button", name="Continue").click()
        page.get_by_text("ends on a message of Ana").wait_for()
        assert serious(page) == []

    def test_its_tokens_are_shown_with_the_chances_of_the_next(
        self, browsing: Browsing, serving: Serving, room: str
    ) -> None:
        serving.engine.likely = {"x": 0.5}
        page = browsing.open("/prompt?room=tea&person=Ana")
        holds(page, "document.getElementById('prompt').value.endsWith('Ana:')")
        page.get_by_role("button", name="Tokens").click()
        page.locator("#token-list span").first.wait_for()
        text = page.get_by_label("Prompt", exact=True).input_value()
        assert "".join(page.locator("#token-list span").all_text_contents()) == text
        assert page.locator("#chances tr").first.inner_text().startswith(json.dumps("x"))
        assert serious(page) == []


def test_initials_and_colours_come_from_the_name_alone(browsing: Browsing) -> None:
    from myna.web import shell

    page = browsing.open("/")
    names = ["Ana", "Ana Maria Silva", "👩‍🚀 Zoe", "élise", "ß", "   ", "山田 太郎", "x_y"]
    found = page.evaluate(
        """async ([url, names]) => {
            const { initials, hue } = await import(url);
            return names.map((name) => [initials(name), hue(name)]);
        }""",
        [shell.static_url("faces.js"), names],
    )
    assert [one for one, _ in found] == ["A", "AS", "👩‍🚀", "É", "SS", "?", "山太", "XY"]
    assert all(0 <= hue < 12 for _, hue in found)
