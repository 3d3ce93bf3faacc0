"""Notices under a person's name, in many languages; and what people write about themselves."""

# ruff: noqa: E501

from __future__ import annotations

import pytest

from myna.sources._shared.notice_words import notice_kind, without_edit_mark

NOTICES = {
    "sent": [
        "Ada sent an attachment.", "Ada hat einen Anhang gesendet.", "Ada a envoyé une pièce jointe.",
        "Ada envió un archivo adjunto.", "Ada ha inviato un allegato.", "Ada enviou um anexo.",
        "Ada heeft een bijlage verzonden.", "Użytkownik Ada wysłał(a) załącznik.",
        "Ada отправила вложение.", "Ada bir ek gönderdi.", "Adaさんが添付ファイルを送信しました。",
        "Ada님이 첨부 파일을 보냈습니다.", "Ada đã gửi một tệp đính kèm.", "Ada skickade en bilaga.",
        "Ada lähetti liitteen.", "Ada mengirim lampiran.", "Ada έστειλε ένα συνημμένο.",
        "Ada 傳送了附件。", "Ada أرسلت مرفقًا.", "Uživatel Ada poslal přílohu.",
    ],
    "call": [
        "Ada missed your call.", "Ada hat einen Anruf verpasst.", "Ada a manqué votre appel.",
        "Ada perdió tu llamada.", "Ada пропустил ваш звонок.", "Ada seni aradı.",
    ],
    "system": [
        "Ada changed the theme to Love.", "Ada hat den Namen der Gruppe in „Tee“ geändert.",
        "Ada a changé le thème en Amour.", "Ada cambió el tema a Amor.", "Ada ha cambiato il tema.",
        "Ada mudou o tema para Amor.", "Ada heeft het thema gewijzigd in Liefde.",
        "Ada zmieniła motyw na Miłość.", "Ada изменила тему на «Любовь».", "Ada temayı değiştirdi.",
        "Ada ändrade temat till Kärlek.",
        "Adaがテーマを変更しました。", "Ada님이 테마를 변경했습니다.", "Ada đã đổi chủ đề.",
        "Ada vaihtoi teemaksi Rakkaus.", "Ada змінила тему.", "Ada 更改了主題。",
        "Ada created group “Tea: 2024”", "Ada pinned a message",
        "Reacted 😂 to your message ", "Zareagował(a) ❤ na Twoją wiadomość ",
        "A réagi ❤ à votre message ", "Reaccionó con 👍 a tu mensaje ", "Gefällt eine Nachricht",
        "Ha reagito con 😮 al tuo messaggio", "Reagiu com ❤ à sua mensagem ", "Le gustó un mensaje",
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "text"), [(kind, text) for kind, texts in NOTICES.items() for text in texts]
)
def test_notices_are_known_behind_their_authors_name(kind: str, text: str) -> None:
    assert notice_kind("Ada Byron", text.replace("Ada", "Ada Byron", 1)) == kind
    assert notice_kind("Ada Byron", text) == kind


@pytest.mark.parametrize(
    "text",
    [
        "Ada here, who is there?", "Ada Lovelace was a programmer", "Bo sent an attachment.",
        "sent an attachment.", "I changed the theme", "hat jemand einen Anhang gesendet?",
        "", "Ada", "Adam sent a letter", "reacted badly to your message", "liked it",
    ],
)  # fmt: skip
def test_what_people_write_is_no_notice(text: str) -> None:
    assert notice_kind("Ada Byron", text) is None


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("tea (edited)", "tea"), ("Tee (bearbeitet)", "Tee"), ("té (editado)", "té"),
        ("thé (modifié)", "thé"), ("herbata (edytowano)", "herbata"), ("お茶 (編集済み)", "お茶"),
        ("tea", None), ("(edited) tea", None), ("tea (green)", None),
    ],
)  # fmt: skip
def test_the_mark_of_an_edit(text: str, plain: str | None) -> None:
    assert without_edit_mark(text) == plain
