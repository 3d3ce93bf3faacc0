"""Phrases that rules know, by language: non-responses and goodbyes.

Plain words match with any letter stretched ("looool"), in upper and lower case. Add a language
here; words of a single chat go into `[rules]` of myna.toml.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

NON_RESPONSES: dict[str, str] = {
    "English": "lol lolz lul lel lmao lmfao rofl roflmao kek gg ggs ggwp ez ggez f heh hah",
    "German": "lachflash tihi",
    "French": "mdr ptdr xptdr",
    "Spanish, Portuguese": "jaj jeje kkk rsrs",
    "Swedish, Danish, Norwegian": "asg garv",
    "Polish, Czech": "beka",
    "Russian, Ukrainian, Bulgarian": "лол кек ору ржу хех хех гг ггвп изи азаза",
    "Greek": "λολ",
    "Turkish": "puhaha",
    "Indonesian, Malay": "wkwk awokawok ngakak",
    "Japanese": "草 笑 ワロタ わらた くさ",
    "Chinese": "草 呵呵 嘿嘿 嘻嘻 笑死 xswl hhh",
}
"""Words that answer nothing: laughter spelled out, and "good game"."""

LAUGHTER = (
    "(?:b+w*a*|w+a+|m+u*w*a*)?h+a+[ah]*|a+h+a+h+[ah]*",  # "aha" is an answer
    "[eh]*h+e+h+[eh]*",
    "[ih]*h+i+h+[ih]*",
    "[oh]*h+o+h+o+[oh]*",
    "h{3,}",
    "[aj]*j+a+j+[aj]*",
    "[ej]*j+e+j+[ej]*",
    "[ij]*j+i+j+[ij]*",
    "k{3,}",
    "(?:rs)+",
    "(?:hue){2,}",
    "(?:wk){2,}w?",
    "(?:a?w+o+k+){2,}a?",
    "x+d+",
    "w{2,}",
    "п?[ах]*х+а+[ах]*",
    "[ех]*х+е+х+[ех]*",
    "[их]*х+и+х+[их]*",
    "х+д+",
    "[αχ]*χ+α+χ+[αχ]*",
    "[ㅋㅎ]+",
    "哈{2,}",
    "23{3,}",
    "5{3,}",
    "(?:ฮ่?า)+ๆ*",
    "ه{2,}",
    "خ{3,}",
    "ח{2,}",
    "(?:हा){2,}",
)
"""Laughter in many scripts: haha, jaja, kkk, ахаха, www, ㅋㅋ, 哈哈, 555, ههه, חחח."""

GOODBYES: dict[str, tuple[str, ...]] = {
    "English": (
        r"(?:i )?(?:have |got |gotta |need )?(?:gtg|g2g|ttyl)(?:[^\w?][^?]{0,40})?",
        r"i? ?(?:really )?(?:gotta|have to|got to|must|need to|should|better) "
        r"(?:go|run|sleep|leave|get some sleep)(?: now| to (?:bed|sleep))?",
        r"(?:i ?'?m |i am |i'll be )?(?:just )?(?:going|heading|off|gonna go) (?:off )?to "
        r"(?:sleep|bed)",
        r"(?:i ?'?m |i am )?(?:gonna|going to|about to|will|i'll|let me) (?:go )?(?:to )?"
        r"(?:sleep|crash|hit the hay|hit the sack|head out|head off)(?: now| soon)?",
        r"(?:i ?'?m )?(?:off|out)(?: of here)? for (?:the night|tonight|today)",
        r"(?:good ?|g'?)night(?: \w+)?|nighty? ?night|night (?:all|guys|everyone)|gn(?: \w+)?",
        r"(?:c|see) ?(?:ya|u)(?: \w+){0,3}|see you(?: (?:later|soon|around|tomorrow|then))?",
        r"(?:bye|goodbye|bye ?bye|buh-?bye|baibai)(?: \w+)?",
        r"(?:talk|speak)(?: to (?:you|u|ya))? (?:later|soon|tomorrow)|later(?:s| guys| all| dude)",
        r"peace out|take care|sleep (?:well|tight)|sweet dreams",
    ),
    "German": (
        "gute nacht|gut nacht|gn8|nachti|n8",
        "tsch(?:ü|u|ue)ss+i?|tschau|tschö|wiedersehen",
        "bis (?:dann|morgen|später|bald|nachher|die tage)",
        "(?:ich )?muss (?:jetzt |mal |dann |leider )*(?:los|weg|off|gehen|schlafen|ins bett)",
        "(?:ich )?geh?e? (?:jetzt |mal |dann )*(?:schlafen|pennen|ins bett|off)",
        "(?:ich )?bin (?:jetzt |mal |dann )+(?:weg|off|raus|im bett)",
    ),
    "French": (
        "bonne nuit|au revoir|(?:à|a) (?:plus|demain|bient(?:ô|o)t|toute|la prochaine)",
        "(?:je )?vais (?:dormir|me coucher|au lit|y aller)|faut que j'y aille|je dois y aller",
    ),
    "Spanish": (
        "(?:ya )?me voy(?: (?:a dormir|a la cama|ya))?|(?:me )?tengo que ir(?:me)?",
        "adi(?:ó|o)s|hasta (?:mañana|luego|pronto)|nos vemos|cha[uo]|que descanses",
    ),
    "Portuguese": (
        "vou (?:dormir|pra cama|nessa|indo)|tenho que ir|preciso ir",
        "tchau|at(?:é|e) (?:amanh(?:ã|a)|logo|mais)|falou",
    ),
    "Italian": (
        "buona ?notte|notte|arrivederci|ci vediamo|a (?:domani|dopo|presto)",
        "vado a (?:dormire|letto|nanna)|devo (?:andare|scappare)",
    ),
    "Dutch": (
        "welterusten|slaap lekker|trusten|doei|tot (?:morgen|later|straks|zo)",
        "ik ga (?:slapen|naar bed|ervandoor)|(?:ik )?moet (?:gaan|weg|slapen)",
    ),
    "Swedish, Danish, Norwegian": (
        "god ?natt?|natti|hej ?d(?:å|a)|vi ses|farvel|ha det|sov godt|sov gott",
        "(?:jag |jeg )?(?:ska|skal|må) (?:sova|sove)|(?:jag )?går och lägger mig",
    ),
    "Polish": (
        "(?:do)?branoc|do (?:jutra|zobaczenia|us(?:ł|l)yszenia)|narka|na razie|papa",
        "id(?:ę|e) spa(?:ć|c)|musz(?:ę|e) (?:lecie(?:ć|c)|i(?:ś|s)(?:ć|c)|spada(?:ć|c))",
    ),
    "Czech, Slovak": ("dobrou(?: noc)?|dobr(?:ú|u) noc|jdu sp(?:á|a)t|idem spa(?:ť|t)",),
    "Russian": (
        "спокойной(?: ночи)?|доброй ночи|споки|(?:всем )?пока(?: всем| пока)?|давай пока",
        "до (?:завтра|встречи|свидания|скорого)|увидимся|мне пора|бб",
        "(?:я )?(?:пошла|пош[её]л|пойду|ушла|уш[её]л|иду|ложусь) спать",
        "(?:я )?спать(?: (?:пошла|пош[её]л|пойду|иду))?",
    ),
    "Ukrainian": (
        "(?:на )?добраніч|бувай(?:те)?|до (?:завтра|зустрічі|побачення)",
        "(?:я )?(?:пішла|пішов|піду|йду|іду) спати",
    ),
    "Turkish": (
        "iyi geceler|g(?:ö|o)r(?:ü|u)(?:ş|s)(?:ü|u)r(?:ü|u)z|ho(?:ş|s)(?:ç|c)a ?kal(?:ın)?",
        "(?:ben )?(?:ka(?:ç|c)t(?:ı|i)m|yat(?:ı|i)yorum|uyuyorum)|bay bay",
    ),
    "Greek": ("καλην(?:ύ|υ)χτα|τα λ(?:έ|ε)με|π(?:ά|α)ω για (?:ύ|υ)πνο",),
    "Romanian, Hungarian": ("noapte bun(?:ă|a)|m(?:ă|a) culc|j(?:ó|o) (?:é|e)jt|megyek aludni",),
    "Finnish": ("hyv(?:ää|aa) y(?:ö|o)t(?:ä|a)|öitä|heippa|n(?:ä|a)hd(?:ää|aa)n",),
    "Indonesian, Malay": (
        "selamat tidur|met tidur|dadah|sampai jumpa|(?:aku |gue )tidur (?:dulu|dl)",
    ),
    "Vietnamese": ("ngủ ngon|tạm biệt|(?:mình |tớ |em |anh )?đi ngủ(?: đây)?",),
    "Thai": ("ฝันดี(?:นะ|ครับ|ค่ะ)*|ราตรีสวัสดิ์|ไปนอน(?:แล้ว|ละ|ก่อน)(?:นะ)?|บ๊ายบาย",),
    "Japanese": (
        "おやすみ(?:なさい|なさーい|〜|ー)?|お休み(?:なさい)?|また(?:ね|明日|あした|な)",
        "じゃあ?(?:ね|な)|バイバイ|(?:もう)?寝(?:る(?:ね|わ|よ)?|ます)|落ち(?:る(?:ね|わ)?|ます)",
    ),
    "Korean": (
        "잘 ?자(?:요)?|안녕히 (?:주무세요|계세요)|(?:나 )?(?:잘게|자러 ?갈게)(?:요)?|바이바이",
    ),
    "Chinese": (
        "晚安|再见|再見|拜拜|明天见|明天見|回头见|886?",
        "(?:我)?(?:先|去)?(?:睡了|睡觉了|睡觉去了|下了|走了)|(?:我)?(?:要|得)?去?睡觉了",
    ),
    "Arabic": ("تصبح(?:ي|ون)? على خير|مع السلامة|إلى اللقاء",),
    "Persian": ("شب (?:بخیر|خوش)|خداحافظ",),
    "Hebrew": ("לילה טוב|ביי|להתראות",),
    "Hindi": ("शुभ रात्रि|अलविदा|shubh ratri",),
}
"""Goodbyes; words that are also greetings ("ciao") are none."""

GOODBYE_OPENERS = (
    "ok okay k kk well alright right anyway anyways so and oh ah aw sorry guys thanks thx ty yeah "
    "yes yep cool great nice hm hmm lol haha welp aight anyhow but "
    "also gut naja bon allez bueno vale então va dobra ну ладно так окей hadi jaa よし 好 好吧"
)
"""Words before a goodbye."""

GOODBYE_TAILS = (
    "guys all everyone everybody yall folks people bro bros man dude mate love babe now then later "
    "tomorrow soon again too well lol haha xd alle allerseits zusammen leute tous todos "
    "tutti allemaal wszystkim всем народ ребята ребят"
)
"""Words after a goodbye."""

GOODBYE_ANSWERS = (
    "(?:you|u) ?(?:too|2)|same|night|sleep (?:well|tight|good)|sweet dreams"
    "|have (?:fun|a good (?:one|day|night|time))"
    "|ok(?:ay)?|kk?|later|dir auch|schlaf gut|toi aussi|igualmente|anche a te|i tobie|и тебе"
)
"""Answers to a goodbye."""


def non_response_pattern(more: Iterable[str] = (), *, anywhere: bool = False) -> str:
    """Return a pattern of non-responses.

    Args:
        more: further words.
        anywhere: also match a non-response of two letters or more among other words.
    """
    words = sorted(
        {word for line in NON_RESPONSES.values() for word in line.split()} | set(filter(None, more))
    )
    one = f"(?:{'|'.join([*map(_stretched, words), *LAUGHTER])})"
    whole = rf"^\W*{one}(?:\W+{one})*\W*$"
    if not anywhere:
        return f"(?i){whole}"
    among = "|".join(_stretched(word) for word in words if len(word) > 1)
    return rf"(?i)(?:^|[^\w'])(?:{among})(?:$|[^\w'])|{whole}"


def goodbye_pattern(more: Iterable[str] = ()) -> str:
    """Return a pattern of goodbyes: short lines that ask nothing."""
    fragments = [f for language in GOODBYES.values() for f in language]
    one = f"(?:{'|'.join([*fragments, *map(_stretched, sorted(set(filter(None, more))))])})"
    opener = f"(?:{'|'.join(map(re.escape, GOODBYE_OPENERS.split()))})"
    tail = f"(?:{'|'.join(map(re.escape, GOODBYE_TAILS.split()))})"
    blank = r"[^\w?]"
    before, behind = f"(?:{opener}{blank}+)", f"(?:{blank}+(?:{one}|{tail}))"
    return rf"(?i)^{blank}*{before}{{0,4}}{one}{behind}{{0,3}}{blank}*$"


def goodbye_answer_pattern() -> str:
    """Return a pattern of answers to a goodbye."""
    return rf"(?i)^\W*(?:{GOODBYE_ANSWERS})(?:\W+\w+)?\W*$"


def _stretched(phrase: str) -> str:
    """Return a pattern of a phrase with any of its letters stretched."""
    return "".join(f"{c}+" if c.isalpha() else re.escape(c) for c in phrase)
