"""LINE's words in the languages that it speaks: titles, times, weekdays, placeholders.

English, Japanese, Chinese and Thai are known from test texts of public parsers, the others
from memory.
"""

from __future__ import annotations

import re

TITLES = tuple(
    re.compile(pattern)
    for pattern in (
        r"Chat history (?:with|in) (.+)",
        r"(.+?)(?:との|の)トーク履歴",
        r"[与與](.+)的聊天[记記][录錄]",
        r"(.+)的聊天[记記][录錄]",
        r"ประวัติ(?:การ)?(?:แชท|สนทนา)(?:กับ|ใน(?:กลุ่ม)?) ?\"?(.+?)\"?",
        r"(.+?)(?: ?님과의|와의|과의|의) ?대화.*",
        r"Riwayat (?:obrolan|chat) (?:dengan|di|dalam) (.+)",
        r"Lịch sử trò chuyện (?:với|trong) (.+)",
        r"Historial de (?:chat|chats|la conversación) (?:con|en) (.+)",
        r"Histórico (?:de|da) (?:conversas?|bate-papo) (?:com|em) (.+)",
        r"Historique d(?:e la|es) (?:discussions?|conversations?) (?:avec|dans) (.+)",
        r"Chatverlauf (?:mit|in) (.+)",
    )
)
HALVES = {
    **dict.fromkeys(("am", "a.m.", "上午", "午前", "오전", "凌晨", "早上", "清晨"), 0),
    **dict.fromkeys(("pm", "p.m.", "下午", "午後", "오후", "中午", "晚上"), 12),
    **dict.fromkeys(("ก่อนเที่ยง", "sa"), 0),
    **dict.fromkeys(("หลังเที่ยง", "ch"), 12),
}
HALF = "|".join(re.escape(half) for half in HALVES)
CLOCK = (
    rf"(?:(?P<before>{HALF})\s?)?(?P<hour>\d{{1,2}})[:.](?P<minute>\d\d)"
    rf"(?:\s?(?P<after>{HALF}))?"
)
TABBED = re.compile(rf"{CLOCK}\t(?:(?P<name>[^\t]*)\t)?(?P<text>.*)", re.IGNORECASE)
SPACED = re.compile(rf"{CLOCK} (?P<text>.*)", re.IGNORECASE)
TORN = re.compile(
    rf"(?:(?:{HALF})\s?)?\d{{1,2}}(?:[:.]\d{{0,2}})?(?:\s?\S{{0,3}})?"
    r"|\d{4}(?:[./]\d{0,2}){0,2}\s?\D{0,24}",
    re.IGNORECASE,
)
"""The beginning of a line with a time or a date."""

YEAR_FIRST = re.compile(
    r"(?P<year>\d{4})\s?[./年년-]\s?(?P<month>\d{1,2})\s?[./月월-]\s?(?P<day>\d{1,2})\s?[.日일]?"
    r"\s*(?P<weekday>\D{0,24})"
)
YEAR_LAST = re.compile(
    r"(?P<weekday>[^\d\t]{0,24}?)[\s,]*(?P<first>\d{1,2})[./-](?P<second>\d{1,2})[./-]"
    r"(?P<year>\d{4})\.?"
)
# Monday first; each language's words, with short forms.
WEEKDAYS = {
    word: number
    for words in (
        "monday tuesday wednesday thursday friday saturday sunday",
        "mon tue wed thu fri sat sun",
        "月 火 水 木 金 土 日",
        "月曜日 火曜日 水曜日 木曜日 金曜日 土曜日 日曜日",
        "一 二 三 四 五 六 日",
        "월 화 수 목 금 토 일",
        "월요일 화요일 수요일 목요일 금요일 토요일 일요일",
        "จันทร์ อังคาร พุธ พฤหัสบดี ศุกร์ เสาร์ อาทิตย์",
        "จ อ พ พฤ ศ ส อา",
        "senin selasa rabu kamis jumat sabtu minggu",
        "sen sel rab kam jum sab min",
        "lunes martes miércoles jueves viernes sábado domingo",
        "lun mar mié jue vie sáb dom",
        "segunda-feira terça-feira quarta-feira quinta-feira sexta-feira sábado domingo",
        "lundi mardi mercredi jeudi vendredi samedi dimanche",
        "montag dienstag mittwoch donnerstag freitag samstag sonntag",
        "mo di mi do fr sa so",
    )
    for number, word in enumerate(words.split())
}
WEEKDAYS |= {"天": 6}
WEEKDAY_MARKS = re.compile(r"^(?:周|週|星期|礼拜|禮拜|วัน)|[\s()（）.,]")

PLACEHOLDERS = {
    word.strip(): kind
    for kind, words in {
        "image": "Photo, Photos, 写真, 照片, 图片, 圖片, 사진, รูป, รูปภาพ, Foto, Fotos, Ảnh, "
        "Imagen, Imagem",
        "video": "Video, Videos, 動画, 视频, 影片, 동영상, วิดีโอ, Vidéo, Vídeo",
        "voice": "Voice message, Audio, ボイスメッセージ, 语音信息, 语音讯息, 語音訊息, "
        "음성메시지, 음성 메시지, ข้อความเสียง, Pesan suara, Tin nhắn thoại, Mensaje de voz, "
        "Mensagem de voz, Sprachnachricht",
        "file": "File, ファイル, 文件, 檔案, 파일, ไฟล์, Berkas, Tệp, Archivo, Arquivo, Fichier, "
        "Datei",
        "sticker": "Sticker, Stickers, スタンプ, 贴图, 貼圖, 스티커, สติกเกอร์, สติ๊กเกอร์, Stiker, "
        "Nhãn dán",
    }.items()
    for word in words.split(",")
}
OTHERS = {
    *("Location", "位置", "位置情報", "위치", "ตำแหน่ง", "Lokasi", "Contact"),
    *("連絡先", "联系人", "聯絡資訊", "Album", "Albums", "アルバム", "相册"),
    *("相簿", "앨범", "Note", "Notes", "ノート", "记事本", "記事本"),
    *("노트", "Gift", "プレゼント", "礼物", "禮物", "Poll", "投票"),
}
"""Placeholders of what is neither media nor words."""

BRACKETED = re.compile(r"\[([^\[\]\n]{1,40})\](?: (.*))?", re.DOTALL)
UNSENT = re.compile(
    r"(?:(?P<name>.*?)(?: unsent a message\.?|がメッセージの送信を取り消しました|(?:已)?收回訊息"
    r"|已收回訊息|撤回了一条消息|님이 메시지 (?:전송|보내기)를? 취소했습니다\.?"
    r"| (?:ได้)?ยกเลิกข้อความ(?:แล้ว)?| membatalkan pengiriman pesan\.?))"
    r"|Message unsent\.?|メッセージの送信を取り消しました|ยกเลิกข้อความแล้ว"
    r"|您已收回訊息|你撤回了一条消息"
)
YOU = ("You", "您", "你", "คุณ", "")
