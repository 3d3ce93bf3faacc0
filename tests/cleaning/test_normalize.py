"""Texts before the rules: what changes in them, and all that must not."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.chats import table, texts, thorough

from myna.cleaning.normalize import apply_text_rules, normalize_messages, tidy_texts
from myna.config import Rules
from myna.config.rules import resolve_preset
from myna.messages import normalize_text

DEFAULT = resolve_preset(Rules())


def made(text: str, **settings: Any) -> str:
    return apply_text_rules(text, resolve_preset(Rules(**settings)))


FACES = [
    *("¯\\_(ツ)_/¯", "(づ｡◕‿‿◕｡)づ", "(╯°□°）╯︵ ┻━┻", "( ͡° ͜ʖ ͡°)", "ಠ_ಠ", "(ノಠ益ಠ)ノ彡┻━┻"),
    *("@_@", "(@o@)", "Σ(@ロ@;)", "(@ω<)", "(´・ω・`)", "ლ(ಠ益ಠლ)", "T_____T", "^^^^^", "(≧▽≦)"),
    *("Ò_ó", "(╬ Ò﹏Ó)", "ᕦ(ò_óˇ)ᕤ", "(⁎⁍̴̛ᴗ⁍̴̛⁎)", "_(:3」∠)_", "(☞ﾟヮﾟ)☞", "ʕ•ᴥ•ʔ"),
]
EMOJI = [
    *(
        "👨‍👩‍👧‍👦",
        "👩🏽‍🚀",
        "🏳️‍🌈",
        "🏴‍☠️",
        "❤️‍🔥",
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    ),
    *("👁️‍🗨️", "🙂‍↔️", "1️⃣", "🇬🇷", "😂😂😂😂😂😂", "❤❤❤❤❤"),
]
WORDS = [
    *(
        "привет как дела",
        "СССР, Рёв и «Вёсла»",
        "Сірий Ріг",
        "哈哈哈哈哈哈",
        "ㅋㅋㅋㅋㅋㅋ",
        "うううううん",
    ),
    *("可笑しい、草", "می‌خواهم", "क्‍ष", "ශ්‍රී", "ന്‍", "ภาษา\u200bไทย", "55555", "שלום \u200fabc"),
    *(
        "Ça va? À bientôt…",
        "Åse på øya",
        "“so”, she said – ‘no’",
        "São Paulo",
        "© 2020 ®",
        "e\u0301",
    ),
]


class TestNothingIsLost:
    @pytest.mark.parametrize("text", [*FACES, *EMOJI, *WORDS])
    def test_faces_emoji_and_words_of_all_scripts_stay(self, text: str) -> None:
        assert apply_text_rules(text, DEFAULT) == text
        assert apply_text_rules(f"oh {text} yes", DEFAULT) == f"oh {text} yes"

    @thorough
    @given(
        st.lists(
            st.sampled_from([*FACES, *EMOJI, *WORDS])
            | st.text("абвгдежзиклмнопрстуфхцчшщыьэюяєіїґћђ", max_size=3)
            | st.text(st.characters(min_codepoint=0x3041, max_codepoint=0x9FFF), max_size=9)
            | st.text(st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3), max_size=9)
            | st.text(st.characters(min_codepoint=0x1F300, max_codepoint=0x1F64F), max_size=9),
            max_size=6,
        ).map(" ".join)
    )
    def test_byte_for_byte_in_any_mixture(self, text: str) -> None:
        assert apply_text_rules(text, DEFAULT) == text.strip()

    @thorough
    @given(texts)
    @example("\xa0á\x9e¢")
    def test_done_twice_is_done_once(self, text: str) -> None:
        once = apply_text_rules(text, DEFAULT)
        assert apply_text_rules(once, DEFAULT) == once


class TestTidied:
    @thorough
    @given(st.lists(texts | st.text(st.characters(exclude_categories=["Cs"]))))
    def test_is_what_tidy_makes_of_each(self, said: list[str]) -> None:
        assert tidy_texts(pl.Series(said, dtype=pl.String)).to_list() == [
            normalize_text(text) for text in said
        ]


class TestRuns:
    @pytest.mark.parametrize(
        ("text", "short"),
        [
            ("soooooo good!!!!!!!", "sooo good!!!"),
            ("wait......what", "wait...what"),
            ("дааааа, ну неееет", "дааа, ну нееет"),
            ("hmm, gg, zzz...", "hmm, gg, zzz..."),
            ("AAAaaaaa", "AAAaaa"),
        ],
    )
    def test_of_letters_and_marks_become_three(self, text: str, short: str) -> None:
        assert apply_text_rules(text, DEFAULT) == short

    @pytest.mark.parametrize(
        "text",
        [
            *("https://myna.example/aaaaaaa", "www.zzzzzz.example", "1000000", "0xFFFFFFFF00"),
            *(
                "AAAAB3NzaC1yc2E",
                "C:\\xxxxx\\y",
                "me@aaaaa.example",
                "`looooong`",
                "-----",
                "======",
            ),
            "```\ncall(aaaaaa);\n```",
        ],
    )
    def test_of_links_numbers_paths_and_code_stay(self, text: str) -> None:
        assert apply_text_rules(text, DEFAULT) == text
        assert apply_text_rules(f"nooooo {text} noooo", DEFAULT) == f"nooo {text} nooo"

    def test_can_be_longer_or_any(self) -> None:
        assert made("sooooooo", repeats=5) == "sooooo"
        assert made("sooooooo", repeats=0) == "sooooooo"


class TestInvisible:
    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("z\u200be\u200dr\u200co", "zero"),
            ("\ufeffhi\u2060 there\u00ad", "hi there"),
            ("a\u202eb\u202c \u2066c\u2069", "ab c"),
            ("left\u200e only", "left only"),
            ("x\U000e0068\U000e0069", "x"),
            ("\u200b \u200b", ""),
        ],
    )
    def test_characters_go(self, text: str, shown: str) -> None:
        assert apply_text_rules(text, DEFAULT) == shown
        assert made(text, repair=False) == normalize_text(text)


class TestMojibake:
    @pytest.mark.parametrize(
        ("text", "meant"),
        [
            ("itâ€™s", "it’s"),
            ("schÃ¶n", "schön"),
            ("Ð¿Ñ€Ð¸Ð²ÐµÑ‚", "привет"),
            ("РїСЂРёРІРµС‚", "привет"),
            ("ðŸ˜‚", "😂"),
            ("Iâ\x80\x99m", "I’m"),
        ],
    )
    def test_is_repaired(self, text: str, meant: str) -> None:
        assert apply_text_rules(text, DEFAULT) == meant
        assert made(text, repair=False) == normalize_text(text)


class TestMentions:
    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("@ana hi, @ben.b", "ana hi, ben.b"),
            ("(@everyone)", "(everyone)"),
            ("me@myna.example", "me@myna.example"),
            ("https://myna.example/@ana", "https://myna.example/@ana"),
            ("meet @ 5, or @5pm", "meet @ 5, or @5pm"),
            ("`@property`", "`@property`"),
        ],
    )
    def test_lose_their_sign_and_nothing_else_does(self, text: str, shown: str) -> None:
        assert apply_text_rules(text, DEFAULT) == shown
        assert made(text, at_sign="keep") == text
        assert made(text, at_sign="all") == text.replace("@", "")

    def spans(self, text: str, *mentions: tuple[int, int]) -> tuple[str, list[str]]:
        frame = table([{"author": "Ana", "text": text}])
        spans = [[{"author_id": "7", "start": start, "end": end} for start, end in mentions]]
        done = normalize_messages(
            frame.with_columns(pl.Series("mentions", spans, frame.schema["mentions"])), DEFAULT
        )
        shown: str = done["text"][0]
        return shown, [shown[span["start"] : span["end"]] for span in done["mentions"][0]]

    def test_stay_known_where_they_are_now(self) -> None:
        assert self.spans("  heyyyyy @Ana B, @7 !!!!!", (10, 16), (18, 20)) == (
            "heyyy Ana B, 7 !!!",
            ["Ana B", "7"],
        )
        assert self.spans("itâ€™s @Ana", (7, 11)) == ("it’s Ana", ["Ana"])
        assert self.spans("  Ana", (2, 5)) == ("Ana", ["Ana"])
        assert self.spans("plain Ana", (6, 9)) == ("plain Ana", ["Ana"])

    def test_that_point_nowhere_are_left_out(self) -> None:
        assert self.spans("@Ana", (0, 4), (2, 3), (3, 99), (-5, 2)) == ("Ana", ["Ana"])

    @thorough
    @given(texts, texts)
    def test_are_found_again_in_any_text(self, before: str, behind: str) -> None:
        start = len(before)
        shown, found = self.spans(f"{before}@Ana B{behind}", (start, start + 6))
        assert found == ["Ana B"]
        assert "\ufdd0" not in shown


@thorough
@given(st.lists(texts))
def test_all_at_once_is_each_by_itself(said: list[str]) -> None:
    done = normalize_messages(table([{"author": "Ana", "text": text} for text in said]), DEFAULT)
    assert done["text"].to_list() == [apply_text_rules(text, DEFAULT) for text in said]
    assert done["characters"].to_list() == [len(normalize_text(text)) for text in said]


@thorough
@given(
    st.lists(
        st.sampled_from(["@ana", "@Ben Bell", "@@cy", "tea", " ", "a@b", "!!!!!", "`", "\u200b"])
    )
)
def test_mentions_are_the_same_names_whichever_way_a_text_goes(words: list[str]) -> None:
    called = [word for word in words if word in ("@ana", "@Ben Bell", "@@cy")]
    starts = [sum(map(len, words[:n])) for n in range(len(words))]
    spans = [
        {"author_id": word, "start": start, "end": start + len(word)}
        for word, start in zip(words, starts, strict=True)
        if word in called
    ]
    frame = table([{"author": "Ana", "text": "".join(words)}])
    frame = frame.with_columns(pl.Series("mentions", [spans], frame.schema["mentions"]))
    [text], [moved] = (
        normalize_messages(frame, DEFAULT).select("text", "mentions").to_dict().values()
    )
    assert [m["author_id"] for m in moved] == called
    assert [text[m["start"] : m["end"]] for m in moved] == [name.lstrip("@") for name in called]
