"""Phrases: what is a non-response and what ends a conversation, in many languages."""

from __future__ import annotations

import polars as pl
import pytest

from myna.cleaning import phrases


def met(pattern: str, text: str) -> bool:
    return bool(pl.Series([text]).str.contains(pattern)[0])


class TestNoResponse:
    @pytest.mark.parametrize(
        "text",
        [
            *("lol", "LMAOOOO", "gg", "lol lmao", "haha!!", "hehehe 😂", "xDDD", "*rofl*", "ggwp."),
            *("mdr", "jajaja", "kkkkk", "rsrs", "ахахах", "лол", "ржу", "wkwkwk", "草", "wwww"),
            *("ㅋㅋㅋ", "哈哈哈", "555", "ههههه", "חחח", "χαχαχα", "हाहा"),
        ],
    )
    def test_is_laughing_and_the_end_of_a_game(self, text: str) -> None:
        assert met(phrases.non_response_pattern(), text)

    @pytest.mark.parametrize(
        "text",
        [
            *("", "ok", "yes", "aha", "no lol", "lol same", "egg", "hah what", "ajsksksk", "hi"),
            *("да", "ха ты где", "k", "😂", "55", "12555", "rip", "hmm", "草原", "Hahn", "logo"),
        ],
    )
    def test_is_nothing_else(self, text: str) -> None:
        assert not met(phrases.non_response_pattern(), text)

    def test_words_can_be_added(self) -> None:
        assert met(phrases.non_response_pattern(["based", "c.c"]), "Baaased")
        assert met(phrases.non_response_pattern(["c.c"]), "c.c lol")
        assert not met(phrases.non_response_pattern(["c.c"]), "cxc")
        assert not met(phrases.non_response_pattern([""]), "?!")

    def test_may_stand_anywhere(self) -> None:
        pattern = phrases.non_response_pattern(anywhere=True)
        assert met(pattern, "no lol that is true")
        assert met(pattern, "haha")
        assert not met(pattern, "an egg, a lollipop and an F")


class TestEnder:
    @pytest.mark.parametrize(
        "text",
        [
            *("gtg", "ok gtg, dinner", "cya", "I'm going to sleep", "im off to bed", "ttyl guys"),
            *("good night everyone!", "gn", "bye :)", "I have to go now", "see you tomorrow"),
            *("gute nacht", "muss jetzt los", "bis morgen", "bonne nuit", "je vais dormir"),
            *("me voy a dormir", "vou dormir", "buonanotte", "welterusten", "god natt", "dobranoc"),
            *("спокойной ночи", "я спать", "всем пока", "добраніч", "iyi geceler", "おやすみ"),
            *("잘자", "晚安", "睡了", "לילה טוב", "شب بخیر", "well, good night, see you tomorrow"),
        ],
    )
    def test_is_what_somebody_says_who_leaves(self, text: str) -> None:
        assert met(phrases.goodbye_pattern(), text)

    @pytest.mark.parametrize(
        "text",
        [
            *("", "are you going to sleep?", "he said good night to her and left", "see what?"),
            *("gtg?", "I have to go to the dentist on Monday", "by the way", "later", "night"),
            *("пока не знаю", "sleep is for the weak", "the bye week"),
            *("su startx", "I am going to bed bath and beyond", "ciao", "buenas noches", "hello"),
        ],
    )
    def test_is_nothing_else(self, text: str) -> None:
        assert not met(phrases.goodbye_pattern(), text)

    def test_words_can_be_added(self) -> None:
        assert met(phrases.goodbye_pattern(["over and out"]), "ok, over and out")


@pytest.mark.parametrize("text", ["you too", "sleep well!", "night", "ok", "u2", "have a good one"])
def test_goodbyes_are_answered(text: str) -> None:
    assert met(phrases.goodbye_answer_pattern(), text)
    assert not met(phrases.goodbye_answer_pattern(), f"{text} and what about the kettle")


def test_each_fragment_is_a_pattern_of_its_own() -> None:
    for fragments in phrases.GOODBYES.values():
        for fragment in fragments:
            assert not met(f"^(?:{fragment})$", "")
    for fragment in phrases.LAUGHTER:
        assert not met(f"^(?:{fragment})$", "")
