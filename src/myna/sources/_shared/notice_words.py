"""Notices that platforms write into a person's messages, in the languages that they ship.

Messenger and Instagram write "Ada sent an attachment." under Ada's name; WhatsApp on iOS writes
"Ada added Bo" so. Whatever the language, such a line names its author, and then says what they
did by one of a few verbs. English, German, Polish and Spanish are from real exports; the other
stems are the platforms' wordings from memory and UNVERIFIED, which is why they only count
behind the author's own name. Reactions have no name, and are given whole.
"""

from __future__ import annotations

import re
from functools import cache

_SENT = (
    r"sent |shared |hat .*(?:gesendet|geteilt|geschickt)|a (?:envoyé|partagé)|a été envoyé"
    r"|(?:envió|ha enviado|compartió|ha compartido)|ha (?:inviato|condiviso|enviat|compartit)"
    r"|(?:enviou|compartilhou|partilhou)|heeft .*(?:verzonden|gestuurd|gedeeld|verstuurd)"
    r"|(?:stuurde|verzond|deelde) |(?:wysłał|udostępnił|przesłał)|(?:po|ode)slal|sdílel"
    r"|odoslal|zdieľal|.*(?:küldött|küldte|megosztott)|a (?:trimis|distribuit)"
    r"|je (?:poslal|podijelio|podijelila|podelio|podelila|delil|delila)|(?:изпрати|сподели)"
    r"|(?:отправил|поделил|прислал)|(?:надіслав|надіслала|надсилає|поділив|поділила)"
    r"|(?:έστειλε|κοινοποίησε)|.*(?:gönderdi|paylaştı)|(?:har )?(?:skickade|skickat|delade|delat)"
    r"|(?:har )?(?:sendte|sendt|delte|delt)|(?:lähetti|jakoi)|(?:saatis|jagas)|nosūtīja|kopīgoja"
    r"|(?:atsiuntė|išsiuntė|bendrino)|(?:telah )?(?:mengirim|membagikan|menghantar|berkongsi)"
    r"|đã (?:gửi|chia sẻ)|(?:ได้)?(?:ส่ง|แชร์)|.*(?:送信|シェア|共有)しました|.*を送りました"
    r"|.*(?:보냈습니다|공유했습니다)|.*(?:发送|傳送|传送|分享|寄出|寄了|发了|傳了)了?"
    r"|(?:أرسل|أرسلت|شارك|شاركت|قام)|(?:שלח|שלחה|שיתף|שיתפה)|.*(?:भेजा|भेजी|भेजे|शेयर)"
    r"|.*(?:ارسال کرد|فرستاد)|nagpadala|.*পাঠিয়েছেন"
)
_CALLED = (
    r"called |missed |started a (?:video |audio )?(?:call|chat)|joined the (?:video |audio )?"
    r"(?:call|chat)|hat .*(?:angerufen|Anruf|Videochat)|.* (?:verpasst|manqué|perdid[ao]|pers[ao])"
    r"|a (?:appelé|manqué)|(?:te|le) llamó|perdió|ti ha (?:chiamato|telefonato)|ha perso|ligou"
    r"|perdeu|heeft .*(?:gebeld|oproep|gemist)|zadzwonił|nie odebrał|opuścił połączenie"
    r"|(?:vám |ti )?volal|zmeškal|.*(?:hívott|hívást)|a (?:sunat|pierdut)"
    r"|.*(?:zvao|zvala|propustio)"
    r"|звонил|позвонил|пропустил|дзвонив|пропустив|κάλεσε|.*aradı|.*cevapsız|ringde|missade"
    r"|ringte|gikk glipp|soitti|menelepon|melewatkan|đã (?:gọi|bỏ lỡ)|(?:ได้)?(?:โทร|พลาด)"
    r"|.*(?:通話|着信).*|.*(?:전화|통화).*|.*(?:通话|來電|来电|通話).*|اتصل|فاتته|התקשר"
)
_DID = (
    # created, named, added, removed, left, joined, changed, set, pinned, unsent, voted
    r"(?:created|named|added|removed|left|joined|changed|set|cleared|pinned|unpinned|unsent|turned"
    r"|voted|reacted|liked|made|deleted|was added|was removed|is now an admin|requested)\b"
    r"|(?:hat|haben) .*(?:erstellt|benannt|hinzugefügt|entfernt|verlassen|geändert|festgelegt"
    r"|angepinnt|fixiert|gelöscht|zurückgenommen|aktiviert|deaktiviert|reagiert|abgestimmt|gesetzt"
    r"|gemacht|aufgehoben)|ist .*(?:beigetreten|Admin|Gruppenadmin)|gefällt "
    r"|a (?:créé|nommé|ajouté|supprimé|retiré|quitté|rejoint|changé|modifié|défini|épinglé|annulé"
    r"|activé|désactivé|réagi|voté|aimé|effacé|choisi)|est parti"
    r"|(?:creó|nombró|añadió|agregó|eliminó|quitó|salió|abandonó|se unió|cambió|definió|configuró"
    r"|fijó|anuló|activó|desactivó|reaccionó|votó|asignó|estableció|ha (?:creado|añadido|cambiado"
    r"|eliminado|salido|fijado|reaccionado))"
    r"|ha (?:creato|chiamato|aggiunto|rimosso|lasciato|abbandonato|cambiato|modificato|impostato"
    r"|fissato|annullato|attivato|disattivato|reagito|votato|messo|creat|afegit|canviat|eliminat)"
    r"|si è unit|è entrat"
    r"|(?:criou|nomeou|adicionou|removeu|saiu|entrou|mudou|alterou|definiu|fixou|cancelou|ativou"
    r"|desativou|reagiu|votou|curtiu|trocou|apagou|deu o nome)"
    r"|heeft .*(?:gemaakt|aangemaakt|genoemd|toegevoegd|verwijderd|verlaten|gewijzigd|ingesteld"
    r"|vastgezet|ingetrokken|ingeschakeld|uitgeschakeld|gereageerd|gestemd|veranderd)|is .*lid"
    r"|(?:utworzył|nazwał|dodał|usunął|usunęła|opuścił|dołączył|zmienił|ustawił|przypiął|przypięła"
    r"|cofnął|cofnęła|włączył|wyłączył|zareagował|zagłosował|wyczyścił|nadał)"
    r"|(?:vytvořil|pojmenoval|přidal|odebral|opustil|připojil|změnil|nastavil|připnul|zrušil|zapnul"
    r"|vypnul|reagoval|zareagoval|hlasoval)|(?:vytvoril|pomenoval|pridal|odstránil|pripojil|zmenil"
    r"|pripol|zrušil|zapol|vypol)"
    r"|.*(?:létrehoz|elnevez|hozzáad|eltávolít|kilép|csatlakoz|módosít|megváltoztat|beállít|kitűz"
    r"|visszavon|bekapcsol|kikapcsol|reagált|szavazott)"
    r"|a (?:creat|denumit|adăugat|eliminat|părăsit|schimbat|modificat|setat|fixat|anulat|activat"
    r"|dezactivat|reacționat|votat|ieșit)|s-a alăturat"
    r"|je (?:stvori|kreira|napravi|doda|ukloni|napusti|promijeni|promeni|postavi|prikvači|spremeni"
    r"|ustvari|zapusti|odstrani|nastavi|pripe|pridruži)|се присъедини|(?:създаде|добави|премахна"
    r"|напусна|промени|зададе|закачи|реагира)"
    r"|(?:создал|назвал|добавил|удалил|исключил|вышел|вышла|покинул|присоединил|изменил|сменил"
    r"|установил|задал|закрепил|отменил|включил|выключил|отключил|отреагировал|проголосовал)"
    r"|(?:створи|назва|дода|вилучи|видали|вийш|покину|приєдна|зміни|встанови|закріпи|скасува"
    r"|увімкну|вимкну|відреагува|змінює|додає)"
    r"|(?:δημιούργησε|ονόμασε|πρόσθεσε|αφαίρεσε|αποχώρησε|άλλαξε|όρισε|καρφίτσωσε|αντέδρασε"
    r"|εντάχθηκε)"
    r"|.*(?:oluşturdu|adlandırdı|ekledi|çıkardı|ayrıldı|katıldı|değiştirdi|ayarladı|sabitledi"
    r"|geri aldı|açtı|kapattı|bıraktı|oy verdi|kaldırdı|belirledi|beğendi|yaptı)"
    r"|(?:har )?(?:skapade|skapat|döpte|lade till|tog bort|lämnade|lämnat|gick med|ändrade|ändrat"
    r"|ställde in|angav|fäste|ångrade|slog på|stängde av|aktiverade|reagerade|röstade)"
    r"|(?:har )?(?:oprettede|oprettet|opprettet|navngav|tilføjede|tilføjet|la til|fjernede|fjernet"
    r"|forlod|forlot|forladt|ændrede|ændret|endret|angav|satte|fastgjorde|festet|aktiverede"
    r"|aktiverte|deaktivert|reagerede|reagerte|stemte|deltager|ble med|blev)"
    r"|(?:loi|nimesi|lisäsi|poisti|poistui|liittyi|vaihtoi|muutti|asetti|kiinnitti|perui|reagoi"
    r"|äänesti|otti)|(?:lõi|lisas|eemaldas|lahkus|liitus|muutis|määras|kinnitas)"
    r"|(?:izveidoja|pievienoja|noņēma|pameta|pievienojās|mainīja|iestatīja|piesprauda)"
    r"|(?:sukūrė|pridėjo|pašalino|išėjo|prisijungė|pakeitė|nustatė|prisegė)"
    r"|(?:telah )?(?:membuat|menamai|menambahkan|mengeluarkan|menghapus|keluar|bergabung|mengubah"
    r"|mengganti|menukar|mengatur|menyetel|menyematkan|membatalkan|mengaktifkan|menonaktifkan"
    r"|menanggapi|memberi|memilih|menambah|mencipta)"
    r"|đã (?:tạo|đặt|thêm|xóa|xoá|rời|tham gia|đổi|thay đổi|ghim|thu hồi|bật|tắt|bày tỏ|bình chọn)"
    r"|(?:ได้)?(?:สร้าง|ตั้ง|เพิ่ม|ลบ|นำ|ออกจาก|เข้าร่วม|เปลี่ยน|ปักหมุด|ยกเลิก|เปิด|ปิด|แสดง|โหวต)"
    r"|.*(?:作成|命名|追加|削除|退出|退会|参加|変更|設定|ピン留め|取り消|オン|オフ|リアクション|投票).*ました"
    r"|.*(?:만들었|추가했|삭제했|나갔|참여했|변경했|설정했|고정했|취소했|투표했|내보냈|공감했).*"
    r"|.*(?:创建|建立|命名|添加|加入|新增|移除|退出|離開|离开|更改|變更|修改|設定|设置|置顶|釘選|撤回|收回"
    r"|开启|关闭|回应|回應|投票)了?"
    r"|(?:أنشأ|أضاف|أزال|غادر|انضم|غيّر|غير|عيّن|ثبّت|ألغى|شغّل|أوقف|تفاعل|صوّت|قام)"
    r"|(?:יצר|הוסיף|הוסיפה|הסיר|עזב|הצטרף|שינה|שינתה|הגדיר|הצמיד|ביטל|הפעיל|הגיב|הצביע)"
    r"|.*(?:बनाया|जोड़ा|हटाया|छोड़|शामिल|बदला|बदली|सेट|पिन|प्रतिक्रिया)"
    r"|.*(?:ایجاد کرد|اضافه کرد|حذف کرد|ترک کرد|پیوست|تغییر داد|تنظیم کرد|سنجاق کرد)"
)
_REACTED = (
    r"Reacted .{1,20} to your message|Liked a message"
    r"|Hat mit .{1,20} auf deine Nachricht reagiert|Gefällt eine Nachricht"
    r"|(?:Hat )?.{1,20} auf deine Nachricht reagiert|Hat eine Nachricht mit „Gefällt mir“ markiert"
    r"|Zareagował(?:\(a\)|a)? .{1,20} na [Tt]woją wiadomość|Polubi(?:ł(?:\(a\)|a)?|ono) wiadomość"
    r"|Reaccionó (?:con )?.{1,20} a tu mensaje|Le (?:gustó|gusta) un mensaje"
    r"|Indicó que le gusta un mensaje|A réagi (?:avec |par )?.{1,20} à (?:votre|ton) message"
    r"|A aimé un message|Ha reagito (?:con )?.{1,20} al tuo messaggio"
    r"|Ha messo [\"“«]?Mi piace[\"”»]? a un messaggio"
    r"|Reagiu (?:com )?.{1,20} à (?:sua|tua) mensagem"
    r"|(?:Curtiu|Gostou de) uma mensagem|Heeft (?:met )?.{1,20} (?:gereageerd op je bericht"
    r"|op je bericht gereageerd)|Heeft op je bericht gereageerd met .{1,20}"
    r"|(?:Vond|Vindt) een bericht leuk|(?:Отреагировал\(?а?\)?|Реакция) .{1,20} на ваше сообщение"
    r"|(?:Нравится|Понравилось) сообщение|(?:Відреагува\w+|Реакція) .{1,20} на ваше повідомлення"
    r"|Mesajın[ıa]z?a? .{1,20} (?:ifadesi(?:ni)?|tepkisi(?:ni)?) (?:bıraktı|verdi)"
    r"|Bir mesajı beğendi|Reagerade (?:med )?.{1,20} på ditt meddelande|Gillade ett meddelande"
    r"|Reagerede (?:med )?.{1,20} på din besked|Syntes godt om en besked"
    r"|Reagerte (?:med )?.{1,20} på meldingen din|Likte en melding"
    r"|Reagoi .{1,20} viestiisi|Tykkäsi viestistä|Reagoval\(?a?\)? .{1,20} na (?:vaši|tvoji) zprávu"
    r"|To se mi líbí: zpráva|Reagál(?:t|va) .{1,20} az üzenet(?:edre|ére)|Kedvel egy üzenetet"
    r"|A reacționat (?:cu )?.{1,20} la mesajul (?:tău|dvs\.?)|I-a plăcut un mesaj"
    r"|Αντέδρασε (?:με )?.{1,20} στο μήνυμά σας|Του/της αρέσει ένα μήνυμα"
    r"|Menanggapi .{1,20} (?:pesan|terhadap pesan) Anda|Menyukai pesan"
    r"|Đã bày tỏ cảm xúc .{1,20} về tin nhắn của bạn|Đã thích (?:một )?tin nhắn"
    r"|แสดงความรู้สึก .{1,20} ต่อข้อความของคุณ|ถูกใจข้อความ"
    r"|メッセージに.{1,20}でリアクションしました|メッセージに「いいね！」しました"
    r"|(?:회원님의 )?메시지에 .{1,20}(?:공감|반응)(?:했습니다|을 남겼습니다)|메시지를 좋아합니다"
    r"|(?:对|對)(?:你|您)的(?:消息|訊息|讯息)(?:做出|作出|送出|發表)了? ?.{1,20}(?:回应|回應|心情)"
    r"|(?:赞了|說|说).{0,4}(?:消息|訊息|讚|赞)|تفاعل .{1,20} (?:مع|على) رسالتك|أعجبته رسالة"
    r"|הגיב/?ה? .{1,20} על ההודעה שלך|אהב/?ה? הודעה"
)
_EDITED = (
    *("edited", "bearbeitet", "editado", "editada", "modifié", "modificato", "bewerkt"),
    *("edytowano", "edytowana", "изменено", "ред.", "змінено", "düzenlendi", "redigerat"),
    *("redigeret", "redigert", "muokattu", "upraveno", "upravené", "szerkesztve", "editat"),
    *(
        "επεξεργασμένο",
        "diedit",
        "đã chỉnh sửa",
        "แก้ไขแล้ว",
        "編集済み",
        "수정됨",
        "已编辑",
        "已編輯",
    ),
    *("تم التعديل", "נערך", "संपादित", "uređeno", "urejeno", "редактирано"),
)

# Words that some languages put in front of a name, and behind it.
_BEFORE = (
    r"(?:Użytkowni(?:k|czka) |Uživatel |Používateľ |Utilizatorul |Пользователь |Користувач |Si )?"
)
_BEHIND = r"(?: |さん(?:が|は|から)? ?|님(?:이|이가|은|께서)? ?|(?=[^\x00-\x7f]))"


@cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    # A match at the beginning of the predicate; the verb may stand at its end.
    return tuple(
        (kind, re.compile(rf"(?:{stems})", re.DOTALL))
        for kind, stems in (("sent", _SENT), ("call", _CALLED), ("system", _DID))
    )


_REACTION = re.compile(rf"(?:{_REACTED})\.?\s*")
_EDIT_MARK = re.compile(rf"\s*\((?:{'|'.join(map(re.escape, _EDITED))})\)\s*$")
MAX_NOTICE_CHARS = 400


def notice_kind(author: str, text: str) -> str | None:
    """The kind of a notice under a person's name: "sent", "call" or "system"; else None.

    "sent" says no more than that there is an attachment.
    """
    if len(text) > MAX_NOTICE_CHARS or not text:
        return None
    if _REACTION.fullmatch(text):
        return "system"
    predicate = _predicate(author, text)
    if predicate is None:
        return None
    return next((kind for kind, form in _patterns() if form.match(predicate)), None)


def _predicate(author: str, text: str) -> str | None:
    """The text behind the author's own name at its beginning, or None."""
    for subject in dict.fromkeys((author, author.partition(" ")[0])):
        if len(subject) > 1 and subject in text[: len(subject) + 20]:
            form = rf"{_BEFORE}{re.escape(subject)}{_BEHIND}"
            if match := re.match(form, text):
                return text[match.end() :]
    return None


def without_edit_mark(text: str) -> str | None:
    """The text without Instagram's "(edited)" behind it; None if it has no such mark."""
    plain = _EDIT_MARK.sub("", text)
    return plain if plain != text else None
