"""Small formats in WhatsApp's exports: marks, halves of the day, chat names in file names.

The origin of the words, and which are unverified, is described in `whatsapp_words`.
"""

from __future__ import annotations

import re

DIRECTION_MARKS = "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u061c\ufeff"
"""Characters that set the direction of text, and the byte order mark."""

_NO_MARKS = dict.fromkeys(map(ord, DIRECTION_MARKS))


def strip_marks(text: str) -> str:
    """The text without direction marks."""
    return text.translate(_NO_MARKS)


def normalize(text: str) -> str:
    """The text without direction marks, and with plain blanks."""
    if text.isascii():
        return " ".join(text.split())
    return " ".join(strip_marks(text).replace("\u2011", "-").split())


def phrase_key(text: str) -> str:
    """The key of a phrase, the same for all spellings of the app."""
    return normalize(text).strip("<> .。،।").lower()


def phrases(text: str) -> tuple[str, ...]:
    """Split phrases at bars."""
    return tuple(phrase.strip() for phrase in text.replace("\n", " ").split("|"))


def _plain(word: str) -> str:
    return re.sub(r"[\s.'’\"״]", "", normalize(word).lower())


_BEFORE_NOON = phrases("""
    am | a. m. | in the morning | at night | vorm. | vormittags | morgens | nachts | de la mañana |
    de la madrugada | du matin | da manhã | da madrugada | di mattina | ap. | e paradites | ΠΜ |
    π.μ. | ÖÖ | öğleden önce | ДП | сутра | пре подне | преподне | prije podne | pre podne | dop. |
    dopoledne | dopoludnia | de. | délelőtt | priešpiet | priekšp. | priekšpusdienā | e.h. | f.h. |
    fm | f.m. | formiddag | förmiddag | i.n. | saa. | asubuhi | vm. | voorm. | SA | PG | Pagi |
    пр.об. | преди обяд | таңғы | ТЧ | д.п. | ص | صباحًا | صباحا | ق.ظ. | قبل از ظهر | دن | לפנה״צ |
    לפנה"צ | पूर्वाह्न | पूर्वाह्ण | सुबह | म.पू. | স. | সকাল | পূর্বাহ্ণ | પૂર્વ મધ્યાહ્ન |
    ਪੂ.ਦੁ. | முற்பகல் | மு.ப | పూర్వాహ్నం | ಪೂರ್ವಾಹ್ನ | രാവിലെ | ก่อนเที่ยง | 上午 | 午前 | 오전 |
    凌晨 | 清晨 | 早上 | 새벽 | 아침
""")

_AFTER_NOON = phrases("""
    pm | p. m. | in the afternoon | in the evening | nachm. | nachmittags | abends | mittags |
    de la tarde | de la noche | del mediodía | de l’après-midi | du soir | da tarde | da noite |
    di pomeriggio | di sera | ip | e pasdites | ΜΜ | μ.μ. | ÖS | öğleden sonra | ПП | по подне |
    попладне | поподне | poslije podne | po podne | odp. | odpoledne | odpoludnia | popoludní |
    du. | délután | popiet | pēcp. | pēcpusdienā | e.m. | eftermiddag | ettermiddag | jioni |
    mchana | usiku | nam. | nm. | PTG | Petang | CH | сл.об. | след обяд | ТК | кешкі | н.п. | م |
    مساءً | مساء | ب.ظ. | بعد از ظهر | رات | אחה״צ | אחה"צ | अपराह्न | अपराह्ण | दोपहर | शाम | रात |
    म.उ. | অপরাহ্ণ | বিকাল | রাত | ઉત્તર મધ્યાહ્ન | ਬਾ.ਦੁ. | பிற்பகல் | பி.ப | అపరాహ్నం | ಅಪರಾಹ್ನ |
    വൈകുന്നേരം | ഉച്ചയ്ക്ക് | หลังเที่ยง | 下午 | 午後 | 오후 | 晚上 | 傍晚 | 中午 | 저녁 | 밤 | 낮
""")

_NEITHER = phrases("""
    klo | kl. | kl | um | at | à | às | a las | a la | alle | alle ore | ore | om | ob | o | u | v |
    в | у | at. | la | lúc | saat | pukul | pkl. | jam | ore. | uur | uhr | Uhr | h | hod. | g. |
    godz. | ч. | ур. | น. | 时 | 時
""")

HALVES_OF_DAY: dict[str, str] = {
    **{_plain(word): "" for word in _NEITHER},
    **{_plain(word): "p" for word in _AFTER_NOON},
    **{_plain(word): "a" for word in _BEFORE_NOON},
}


def half_of_day(word: str) -> str | None:
    """The half of the day that a word means: "a", "p", neither (""), or None if unknown."""
    return HALVES_OF_DAY.get(_plain(word))


_NAMED = re.compile(
    r"^.{0,40}?(?:WhatsApp|واتساب)\S{0,20}(?: \S{1,20}){0,2}? "
    r"(?:with|mit|con|avec|com|met|с контактом|с|з|s uživatelem|s používateľom|z|dengan|cu|med|với|"
    r"käyttäjän kanssa|ile|עם|مع|-) (?P<name>.+)$",
    re.IGNORECASE,
)
_NAMED_FIRST = re.compile(
    r"^(?P<name>.+?) ?(?:ile WhatsApp Sohbeti|के साथ WhatsApp चैट|とのWhatsAppチャット|"
    r"님과 ?(?:의 )?WhatsApp 대화)$|"
    r"^[与與和]「?(?P<between>.+?)」? ?的 ?WhatsApp ?(?:聊天|對話|聊天记录|對話紀錄)$",
    re.IGNORECASE,
)


def chat_name(stem: str) -> str | None:
    """The name of the chat in a file's or folder's name, or None."""
    for form in (_NAMED, _NAMED_FIRST):
        if match := form.match(stem):
            return next(group for group in match.groups() if group).strip() or None
    return None


NOTICE_BEGINNINGS = phrases("""
    Messages and calls are end-to-end encrypted | Messages you send to this |
    Messages to this chat | Messages to this group | Nachrichten und Anrufe sind Ende-zu-Ende |
    Nachrichten in diesem Chat | Nachrichten, die du in diesem | Deine Nachrichten und Anrufe |
    Nachrichten an diese | Los mensajes y las llamadas están cifrados |
    Los mensajes y llamadas están | Los mensajes que | Tus mensajes y llamadas |
    Les messages et les appels sont chiffrés | Les messages et appels sont | Les messages envoyés |
    Vos messages et vos appels | I messaggi e le chiamate sono crittografati |
    I messaggi che invii | I tuoi messaggi e le tue chiamate |
    As mensagens e as chamadas são protegidas | As mensagens e chamadas são encriptadas |
    As mensagens e ligações | Suas chamadas e mensagens | Berichten en gesprekken worden |
    Berichten en oproepen zijn | Uw oproepen en berichten | Сообщения и звонки защищены |
    Сообщения и звонки в этом чате | Ваши сообщения и звонки | Повідомлення й дзвінки захищено |
    Wiadomości i połączenia są | Twoje wiadomości oraz | Zprávy a hovory jsou |
    Vaše zprávy a hovory | Správy a hovory sú | Az üzenetek és hívások |
    Mesajele și apelurile sunt | Mesajlar ve aramalar uçtan uca | Pesan dan panggilan terenkripsi |
    Pesan-pesan dan panggilan | Mesej dan panggilan disulitkan | Meddelanden och samtal är |
    Beskeder og opkald er | Meldinger og samtaler er | Viestit ja puhelut salataan |
    Poruke i pozivi zaštićeni | Τα μηνύματα και οι κλήσεις | Els missatges i les trucades |
    ההודעות והשיחות מוצפנות | الرسائل والمكالمات مشفرة | پیام‌ها و تماس‌ها | میسجز اور کالز |
    मैसेजेस और कॉल्स एंड-टू-एंड | मेसेजेस आणि कॉल्स | મેસેજ અને કૉલ | মেসেজ এবং কল |
    ข้อความและการโทร | Tin nhắn và cuộc gọi được mã hóa | メッセージと通話は | 메시지 및 전화는 |
    메시지와 통화는 | 訊息和通話經端對端加密 | 訊息已受端對端加密 | 消息和通话都进行端到端加密 |
    Waiting for this message | This business is now using WhatsApp |
    This chat is with a business account
""")
"""Beginnings of notices that iOS writes under a person's or the chat's name."""
