"""Phrases of WhatsApp's export in the user's language: plain data, no code of the reader.

Where the words are from, so that a wrong one can be told from a missing one:

- media, deleted messages, missed calls, attached files and locations: the string
  resources of the apps themselves, iOS 22.24.81 (its `Localizable.strings`) and Android
  2.8 (`strings.xml`: `email_media_omitted`, `export_media_omitted`, `email_file_attached`,
  `revoked_msg_incoming`, `missed_voice_call` and so on), as the parser whats_json lists
  them. What later versions changed is added where real files have it
  (`<Medien ausgeschlossen>`, `<Multimedia omitido>`).
- notices of encryption: the same resources; only how they begin is kept.
- edited messages: English, German and Spanish are from real files; the rest is from
  memory and UNVERIFIED.
- polls, view-once media, video notes, calls that were not missed: English is known from
  real files; the other languages are UNVERIFIED.
- words of the half of the day: Unicode's CLDR, from memory: rare ones are UNVERIFIED.
- names of files: German, English, Spanish, French, Italian, Portuguese, Dutch, Russian and
  Czech are from real exports; the rest is UNVERIFIED.

A final full stop, upper and lower case, direction marks and kinds of blanks do not count
(`forms.key`). What is missing here costs little: U+200E, with which the apps mark most of what
they write themselves, is seen in any language.
"""

from __future__ import annotations

from myna.sources._shared.whatsapp_formats import phrase_key, phrases

# Android does not say which kind of media it was.
_MEDIA = phrases("""
    Media omitted | Medien ausgeschlossen | Medien weggelassen | Multimedia omitido |
    Archivo omitido | Médias omis | Fichier omis | Média omis | Media omessi | Media omesso |
    Mídia omitida | Arquivo de mídia oculto | Ficheiro não revelado | Ficheiro multimédia oculto |
    Media weggelaten | Без медиафайлов | Файл пропущен | Медіа пропущено | Без файл | Без фајл |
    медији су изостављени | pliki pominięto | pominięto multimedia | Média vynechána |
    Média vynechány | Médiá vynechané | Hiányzó médiafájl | Conținut media omis |
    Fișiere media omise | Medya atlanmış | Medya dahil edilmedi | Media tidak disertakan |
    Media disingkirkan | Media har utelämnats | Mediefil udeladt | Uten vedlegg | Utelatt media |
    Media jätetty pois | Meedia ära jäetud | Bez multivides | Praleistas medijos turinys |
    Medij izpuščen | Medijski zapis izostavljen | Pa media | Εξαίρεση πολυμέσων | Mitjans omesos |
    Media weggelaat | Media imerukwa | Media çıxarılmışdır | Fayl o‘tkazib yuborildi |
    Файл қосылған жоқ | Walang kalakip na media | מדיה הושמטה | המדיה לא נכללה |
    تم استبعاد الوسائط | پيوست نما/آهنگ حذف شد | میڈیا چھوڑ دیا گیا | मीडिया के बिना |
    मीडिया वगळले | મીડિયા અવગણાયું | মিডিয়া বাদ দেওয়া হয়েছে | ਮੀਡੀਆ ਛੱਡਿਆ ਗਿਆ |
    ஊடகங்கள் நீக்கப்பட்டது | మాధ్యమం విస్మరించబడింది | ಮೀಡಿಯಾ ಕೈಬಿಡಲಾಗಿದೆ | മീഡിയ ഒഴിവാക്കി |
    สื่อถูกลบ | Bỏ qua Media | メディアは含まれていません | 미디어 파일을 생략한 대화내용 |
    省略多媒体文件 | 忽略多媒體檔
""")

_IMAGE = phrases("""
    image omitted | Bild weggelassen | imagen omitida | image absente | immagine omessa |
    imagem ocultada | imagem não revelada | afbeelding weggelaten | изображение отсутствует |
    изображение опущено | зображення відсутнє | obraz pominięty | obrázek vynechán |
    obrázok vynechaný | kép küldése sikertelen | Imagine omisă | görüntü dahil edilmedi |
    gambar tidak disertakan | imej tidak dimasukkan | bild utesluten | billede udeladt |
    bilde ikke inkludert | ei kuvaa | slika izostavljena | εικόνα παραλείφθηκε | Imatge omesa |
    íomhá ligthe ar lár | התמונה הושמטה | لم يتم إدراج الصورة | تصویر حذف شد |
    تصویر نکال دی گئی ہے | फ़ोटो हटाई गई | इमेज वगळली | છબી પડતી મૂકાઈ | ইমেজ বাদ দেওয়া হয়েছে |
    ไม่มีรูปภาพ | đã bỏ qua hình ảnh | 画像は含まれていません | 이미지 생략됨 | 圖片已略去 |
    圖像已省略 | 照片已忽略
""")

_VIDEO = phrases("""
    video omitted | video note omitted | video message omitted | Video weggelassen |
    Videonachricht weggelassen | video omitido | vidéo absente | video omesso | vídeo omitido |
    vídeo não revelado | video weggelaten | видео отсутствует | видео опущено | відео відсутнє |
    wideo pominięte | video vynecháno | video vynechané | Videó kihagyva | clip video omis |
    video dahil edilmedi | video tidak disertakan | video tidak dimasukkan | video utesluten |
    video udeladt | video utelatt | videota ei sisällytetä | video izostavljen |
    βίντεο παραλείφθηκε | vídeo omès | físeán ligthe ar lár | סרטון הווידאו הושמט |
    لم يتم إدراج الفيديوهات | ویدیو حذف شد | ویڈیو نظرانداز | वीडियो छोड़ा गया | व्हिडीओ वगळला |
    વિડિયો પડતી મુકાઈ | ভিডিও বাদ দেওয়া হয়েছে | วิดีโอถูกลบ | đã bỏ video |
    ビデオは含まれていません | 비디오 생략됨 | 影片已略去 | 影片已省略 | 视频已忽略
""")

# iOS says the same of a voice message and of a song; most are voice messages.
_VOICE = phrases("""
    audio omitted | voice message omitted | view once voice message omitted | Audio weggelassen |
    audio omitido | audio omis | audio omesso | áudio ocultado | ficheiro de áudio não revelado |
    audio weggelaten | аудиофайл отсутствует | аудио отсутствует | аудио опущено | аудіо відсутнє |
    audio pominięte | zvukový soubor vynechán | zvuk vynechaný | Hang kihagyása | fără audio |
    ses dahil edilmedi | audio tidak disertakan | audio tidak dimasukkan | ljud utelslutet |
    lyd udeladt | lyd utelatt | äänitiedostoa ei sisällytetä | zvuk izostavljen |
    ήχος παραλείφθηκε | Àudio omès | comhad fuaime ar lár | קטע קול הושמט |
    لم يتم إدراج المقاطع الصوتية | صدا حذف شد | آڈیو نظرانداز | ऑडियो हटाई गयी | ऑडिओ वगळला |
    ઓડિયો ફાઇલ શામેલ કરી નથી | অডিও বাদ দেওয়া হয়েছে | ไม่มีไฟล์เสียง | bỏ qua tệp âm thanh |
    音声は含まれていません | 오디오 생략됨 | 音訊已略去 | 音訊已省略 | 音频已忽略
""")

_STICKER = phrases("""
    sticker omitted | Sticker weggelassen | sticker omitido | sticker omis | sticker non incluso |
    figurinha omitida | sticker não revelado | sticker weggelaten | стикер не добавлен |
    наклейку не додано | pominięto naklejkę | nálepka vynechána | nálepka vynechaná |
    matrica kihagyva | Çıkartma dahil edilmedi | stiker tidak disertakan |
    pelekat tidak disertakan | sticker utesluten | klistermærke udeladt | klistremerke utelatt |
    tarraa ei sisällytetty | naljepnica izostavljena | αυτοκόλλητο παραλήφθηκε | adhesiu omès |
    fágadh an greamán ar lár | סטיקר הושמט | تم حذف الملصقات | استیکر حذف شد | اسٹیکر نظرانداز |
    स्टिकर छोड़ा गया | स्टिकर वगळले | સ્ટીકર પડતું મુકાયું | স্টিকার বাদ দেওয়া হয়েছে |
    ไม่มีสติกเกอร์ | đã bỏ sticker | スタンプは含まれていません | 스티커 제외됨 | 貼圖已略去 |
    貼圖已忽略 | 贴图已省略
""")

_GIF = phrases("""
    GIF omitted | GIF weggelassen | GIF omitido | GIF retiré | GIF esclusa | GIF não revelada |
    GIF weggelaten | GIF отсутствует | GIF-анімацію пропущено | Plik GIF pominięty | GIF vynechán |
    GIF vynechaný | GIF fájl kihagyása | GIF omis | GIF dahil edilmedi | GIF tidak disertakan |
    GIF tidak dimasukkan | GIF utesluten | GIF udeladt | GIF utelatt | GIF-animaatio jätetty pois |
    GIF izostavljen | Παράληψη GIF | GIF omès | GIF ligthe ar lár | GIF הושמט |
    لم يتم إدراج صورة GIF | GIF حذف شد | GIF نظرانداز | GIF छोड़ा गया | GIF वगळले | GIF પડતી મૂકાઈ |
    জিআইএফ বাদ দেওয়া হয়েছে | ละเว้น GIF | Đã bỏ qua ảnh GIF | GIFは含まれていません | GIF 생략됨 |
    GIF 已略去 | GIF 圖片已被省略 | GIF 动态图已被忽略
""")

_DOCUMENT = phrases("""
    document omitted | Dokument weggelassen | documento omitido | document manquant |
    documento omesso | documento não revelado | document weggelaten | документ отсутствует |
    документ опущен | документ пропущено | dokument pominięty | dokument vynechán |
    dokument vynechaný | dokumentum kihagyva | document omis | belge dahil edilmedi |
    dokumen tidak disertakan | dokumen tidak dimasukkan | dokument uteslutet | dokument udeladt |
    utelatt dokument | dokumenttia ei sisällytetä | dokument izostavljen | έγγραφο παραλείφθηκε |
    Document omès | cáipéis ligthe ar lár | מסמך הושמט | لم يتم إدراج المستند | سند حذف شد |
    دستاویز نظرانداز | डॉक्यूमेंट छोड़ा गया | डॉक्युमेंट वगळले | ડોક્યુમેન્ટ સામેલ કર્યું નહિ |
    ডকুমেন্ট বাদ দেওয়া হয়েছে | ละเว้นเอกสาร | đã bỏ qua tài liệu |
    ドキュメントは含まれていません | 문서 생략됨 | 文件已略去 | 文件已忽略 | 文档已省略
""")

_CONTACT = phrases("""
    Contact card omitted | Kontaktkarte ausgelassen | Tarjeta de contacto omitida |
    Fiche contact manquante | Scheda contatto omessa | Cartão do contato omitido |
    Contacto não revelado | Visitekaartje weggelaten | Карточка контакта отсутствует |
    Картка контакту відсутня | Pominięta wizytówka kontaktu | Vizitka vynechána |
    Karta kontaktu vynechaná | Névjegykártya kihagyva | Carte de vizită contact omisă |
    Kişi kartı dahil edilmedi | Kartu kontak tidak disertakan | Kad kenalan tidak dimasukkan |
    Kontaktkort uteslutet | Kontaktkort udeladt | Kontaktkort sløyfet |
    Yhteystietokortti jätettiin pois | Posjetnica izostavljena | Η κάρτα επαφής παραλήφθηκε |
    Targeta de contacte omesa | Cárta teagmhála ar lár | כרטיס איש קשר הושמט |
    لم يتم إدراج بطاقة جهة اتصال | برگ مخاطب حذف شد | رابطہ کارڈ نظر انداز |
    कॉन्टैक्ट कार्ड छोड़ा गया | संपर्क कार्ड वगळले | સંપર્કનું કાર્ડ પડતું મૂકાયું |
    পরিচিতির কার্ড বাদ দেওয়া হয়েছে | บัตรรายชื่อที่ละเว้น | Bỏ qua thẻ liên lạc |
    連絡先カードを省略 | 연락처 카드 생략됨 | 聯絡人卡片已略去 | 聯絡人卡片已省略 | 联系人卡片已忽略
""")

# Media that can be looked at once is in no export. "null" is what Android writes of it.
_ONCE = phrases("""
    You received a view once message. For added privacy, you can only open it on your phone |
    view once message omitted | view once photo | view once video
""")

# Android's; iOS gives the place where it began.
_LIVE_LOCATION = phrases("""
    live location shared | Live-Standort wird geteilt | ubicación en tiempo real compartida |
    Localisation en direct partagée | posizione attuale condivisa |
    localização atual compartilhada | Está a partilhar a sua localização | live locatie gedeeld |
    Геоданные отправлены | геодані надіслано | udostępniona transmisja położenia |
    byla sdílena aktuální poloha | bola zdieľaná aktuálna poloha | tartózkodási hely megosztva |
    locație în timp real distribuită | Mevcut konum paylaşıldı | Lokasi terkini dibagikan |
    lokasi terkini dikongsi | liveposition delad | live placering delt | posisjon i sanntid delt |
    live-sijainti jaettu | hetke asukoht jagatud | trenutna lokacija podijeljena |
    η τωρινή τοποθεσία κοινοποιήθηκε | Ubicació en directe compartida | משתף מיקום בשידור חי |
    تمت مشاركة الموقع المباشر | مکان زنده به اشتراک گذاشته شد | लाइव स्थान साझा किया गया |
    ตำแหน่งปัจจุบันถูกแบ่งปัน | vị trí hiện thời được chia sẻ | ライブロケーション共有 |
    공유한 실시간 위치 | 實時位置已分享 | 共享实时位置
""")

# The word before the link of a place that is on no map.
_LOCATION = phrases("""
    location | live location | Standort | Live-Standort | ubicación | localisation | position |
    posizione | localização | locatie | местоположение | геопозиция | місцезнаходження | położenie |
    lokalizacja | poloha | helyzet | hely | locație | konum | lokasi | plats | placering |
    posisjon | sijainti | asukoht | lokacija | atrašanās vieta | buvimo vieta | τοποθεσία |
    ubicació | vendndodhja | ligging | mahali | məkan | joylashuv | орналасуы | локација | מיקום |
    الموقع | موقعیت | مقام | स्थान | સ્થળ | অবস্থান | ਟਿਕਾਣਾ | இருப்பிடம | స్థలం | ಸ್ಥಳ | സ്ഥലം |
    ตำแหน่งที่ตั้ง | vị trí | 位置情報 | 位置情 | 위치 | 位置 | 位
""")

LOCATION_WORDS = frozenset(map(phrase_key, _LOCATION))

OMITTED_MEDIA: dict[str, tuple[str, str]] = {
    phrase_key(phrase): (kind, name)
    for kind, name, phrases in (
        ("file", "", _MEDIA),
        ("file", "", _ONCE),
        ("image", "", _IMAGE),
        ("video", "", _VIDEO),
        ("voice", "", _VOICE),
        ("sticker", "", _STICKER),
        ("gif", "", _GIF),
        ("file", "", _DOCUMENT),
        ("file", "contact", _CONTACT),
        ("file", "location", _LIVE_LOCATION),
    )
    for phrase in phrases
}
"""Phrases for media that was left out, with the kind and the name of an attachment."""

_FILE_ATTACHED = phrases("""
    file attached | Datei angehängt | archivo adjunto | archivo adjuntado | fichier joint |
    file allegato | arquivo anexado | ficheiro anexado | bestand bijgevoegd | файл добавлен |
    файл прикреплен | файл додано | załączony plik | plik załączony | soubor byl přiložen |
    súbor pripojený | fájl csatolva | fișier atașat | dosya ekli | file terlampir |
    fail dilampirkan | bifogad fil | fil vedhæftet | vedlagt fil | liitetiedosto | fail lisatud |
    pievienots fails | byla prisegta | priložena datoteka | datoteka u privitku | συνημμένο αρχείο |
    arxiu adjunt | skedë e ngjitur | lêer aangeheg | fayl əlavə olunub | fayl biriktirildi |
    faili limeambatanishwa | nakalakip na file | прикачен файл | прикачен фајл |
    прикачена датотека | қосымша файл | קובץ מצורף | الملف مرفق | پیوست شد | پیوستہ فائل |
    फाइल अटैच कर दी गई है | फाइल संलग्न | ફાઇલ જોડાયેલ | ফাইল সংযুক্ত হয়েছে | ਅਟੈਚ ਕੀਤੀ ਫਾਇਲ |
    ணைக்கப்பட்டத | ఫైల్ జోడించబడినది | ಕಡತ ಸೇರಿಸಲಾಯಿತು | ഫയൽ ചേർത്തു | ไฟล์ที่แนบ | tệp đính kèm |
    添付ファイル有り | 파일 첨부됨 | 附件檔案 | 文件附件
""")

FILE_ATTACHED = frozenset(map(phrase_key, _FILE_ATTACHED))
"""Android: `IMG-20200102-WA0003.jpg (file attached)`."""

_ATTACHED = phrases("""
    attached | Anhang | angehängt | adjunto | pièce jointe | allegato | anexado | anexo |
    bijgevoegd | прикреплено | додано | załączono | příloha | príloha | csatolva | atașare |
    eklendi | terlampir | dilampir | bifogat | vedhæftet | vedlagt | liite | priloženo |
    επισυνάφθηκε | adjunt | ceangailte | מצורף | المُرفق | پیوست | پیوستہ | अटैच किया गया |
    संलग्न केले | જોડાયેલ | แนบ | đính kèm | 添付ファイル | 첨부됨 | 附件
""")

ATTACHED = frozenset(map(phrase_key, _ATTACHED))
"""iOS: `<attached: 00000012-PHOTO-2020-01-02-10-15-30.jpg>`."""

_DELETED = phrases("""
    This message was deleted | Diese Nachricht wurde gelöscht | Se eliminó este mensaje |
    Este mensaje fue eliminado | Ce message a été supprimé | Questo messaggio è stato eliminato |
    Mensagem apagada | Esta mensagem foi apagada | Esta mensagem foi apagada pelo remetente |
    Dit bericht is verwijderd | Данное сообщение удалено | Сообщение удалено |
    Це повідомлення було видалено | Ta wiadomość została usunięta | Tato zpráva byla smazána |
    Tato zpráva byla odstraněna | Táto správa bola odstránená | Ez az üzenet törlésre került |
    Acest mesaj a fost șters | Bu mesaj silindi | Pesan ini dihapus | Pesan ini telah dihapus |
    Mesej ini telah dipadam | Det här meddelandet raderades | Detta meddelande raderades |
    Denne besked er blevet slettet | Denne besked blev slettet | Denne meldingen ble slettet |
    Tämä viesti poistettiin | See sõnum on kustutatud | Šī ziņa tika izdzēsta |
    Ši žinutė buvo ištrinta | Ova je poruka izbrisana | Ova poruka je izbrisana |
    To sporočilo je bilo izbrisano | Ова порука је обрисана | Оваа порака беше избришана |
    Съобщението беше изтрито | Αυτό το μήνυμα διαγράφηκε | Aquest missatge s'ha suprimit |
    Aquest missatge està esborrat | Scriosadh an teachtaireacht seo |
    Hierdie boodskap was uitgevee | Ujumbe huu ulifutwa | Bu ismarıc silindi |
    Ushbu xabar o‘chirildi | Бұл хат жойылды | Itong mensahe ay binura na | הודעה זו נמחקה |
    تم حذف هذه الرسالة | این پیام حذف شده است | این پیام حذف شد | یہ میسج حذف کر دیا گیا ہے۔ |
    یہ پیغام حذف کیا گیا | यह मैसेज डिलीट कर दिया गया है | यह संदेश मिटाया गया |
    हा मेसेज हटवण्यात आला | हा संदेश हटविण्यात आला होता | આ મેસેજ ડિલીટ કરાયો | આ સંદેશ રદ્દ કરાયો |
    এই মেসেজটি বাদ দেওয়া হয়েছে | এই বার্তাটি মুছে ফেলা হয়েছে | ਇਸ ਸੁਨੇਹੇ ਨੂੰ ਹਟਾਇਆ ਗਿਆ |
    இத்தகவல் திரும்பப்பெறப்பட்டது | ಈ ಸಂದೇಶವು ಅಳಿಸಲ್ಪಟ್ಟಿದೆ | ഈ സന്ദേശം ഇല്ലാതാക്കിയതാണ് |
    ข้อความนี้ถูกลบแล้ว | ข้อความนี้ได้ถูกลบ | Tin nhắn này đã bị xóa | Tin nhắn này đã bị xoá |
    このメッセージは削除されました | 이 메시지는 삭제되었습니다 | 此訊息已刪除 | 这条消息已被删除 |
    信息已删除 | This message was deleted by an admin
""")

DELETED = frozenset(map(phrase_key, _DELETED))

_YOU_DELETED = phrases("""
    You deleted this message | Du hast diese Nachricht gelöscht | Eliminaste este mensaje |
    Vous avez supprimé ce message | Hai eliminato questo messaggio | Você apagou esta mensagem |
    Apagou esta mensagem | U hebt dit bericht verwijderd | Je hebt dit bericht verwijderd |
    Вы удалили данное сообщение | Вы удалили это сообщение | Ви видалили це повідомлення |
    Usunąłeś(-ęłaś) tę wiadomość | Usunąłeś(aś) tę wiadomość | Tuto zprávu jste smazal/a |
    Tuto zprávu jste odstranil/a | Túto správu ste odstránili | Törölted ezt az üzenetet |
    Ezt az üzenetet törölted | Ați șters acest mesaj | Bu mesajı sildiniz |
    Anda menghapus pesan ini | Anda telah menghapus pesan ini | Anda telah memadamkan mesej ini |
    Du har tagit bort meddelandet | Du raderade det här meddelandet | Du raderade detta meddelande |
    Du har slettet denne besked | Du slettede denne besked | Du slettet denne meldingen |
    Poistit tämän viestin | Kustutasid selle sõnumi | Jūs izdzēsāt šo ziņu |
    Jūs ištrynėte šią žinutę | Izbrisali ste ovu poruku | To sporočilo ste izbrisali |
    Обрисао/ла си ову поруку | Ја избриша оваа порака | Изтрихте това съобщение |
    Διαγράψατε αυτό το μήνυμα | Διαγράψατε το μήνυμα | Has suprimit aquest missatge |
    Has esborrat aquest missatge | Scrios tú an teachtaireacht seo | Jy het boodskap uitgevee |
    Umefuta ujumbe huu | Siz bu ismarıcı sildiniz | Siz ushbu xabarni o‘chirdingiz |
    Сіз бұл хатты жойдыңыз | Binura mo itong mensahe | מחקת את ההודעה הזו | מחקת הודעה זו |
    لقد حذَفت هذه الرسالة | أنت حذفت هذه الرسالة | شما این پیام را حذف کردید |
    آپ نے یہ میسج حذف کر دیا ہے۔ | آپ نے اس پیغام کو حذف کیا | आपने यह मैसेज डिलीट किया |
    आपने यह संदेश मिटाया | तुम्ही हा मेसेज हटवला | आपण हा संदेश हटविलात | તમે આ મેસેજ ડિલીટ કર્યો |
    તમે આ સંદેશને રદ્દ કર્યો | আপনি এই মেসেজটি বাদ দিয়েছেন | ਤੁਸੀਂ ਇਹ ਸੁਨੇਹਾ ਹਟਾਇਆ |
    இத்தகவலை தாங்கள் அழித்தீர்கள் | ನೀವು ಈ ಸಂದೇಶವನ್ನು ಅಳಿಸಿದ್ದೀರಿ | ഈ സന്ദേശം നിങ്ങൾ ഇല്ലാതാക്കി |
    คุณได้ลบข้อความนี้ | คุณลบข้อความนี้ | Bạn đã xóa tin nhắn này | Bạn đã xoá tin nhắn này |
    このメッセージを削除しました | 삭제한 메시지입니다 | 이 메시지를 삭제했습니다 | 您已刪除此訊息 |
    您已删除这条消息 | 您删除这个信息
""")

YOU_DELETED = frozenset(map(phrase_key, _YOU_DELETED))
"""Phrases of a message that the person who made the export deleted."""

DELETED_BEGINNINGS = phrases("""
    This message was deleted by admin | Diese Nachricht wurde von Admin |
    Diese Nachricht wurde vom Admin | You deleted this message as admin
""")
"""Beginnings of deleted messages that end in a name; German is UNVERIFIED."""

_EDITED = phrases("""
    This message was edited | Diese Nachricht wurde bearbeitet | Se editó este mensaje |
    Mensagem editada | Esta mensagem foi editada | Ce message a été modifié |
    Questo messaggio è stato modificato | Messaggio modificato | Dit bericht is bewerkt |
    Сообщение изменено | Данное сообщение изменено | Це повідомлення було змінено |
    Ta wiadomość została edytowana | Tato zpráva byla upravena | Táto správa bola upravená |
    Acest mesaj a fost editat | Bu mesaj düzenlendi | Pesan ini diedit | Pesan ini telah diedit |
    Mesej ini telah diedit | Det här meddelandet redigerades | Denne besked blev redigeret |
    Denne meldingen ble redigert | Tätä viestiä muokattiin | Ezt az üzenetet szerkesztették |
    Αυτό το μήνυμα τροποποιήθηκε | Aquest missatge s'ha editat | ההודעה הזו נערכה | הודעה זו נערכה |
    تم تعديل هذه الرسالة | این پیام ویرایش شد | यह मैसेज एडिट किया गया | यह मैसेज एडिट किया गया था |
    ข้อความนี้ถูกแก้ไข | Tin nhắn này đã được chỉnh sửa | このメッセージは編集されました |
    이 메시지는 수정되었습니다 | 此訊息已編輯 | 这条消息已编辑 | 此消息已编辑
""")

EDITED = frozenset(map(phrase_key, _EDITED))
"""Phrases in `<...>` behind the text of an edited message."""

_CALLS = phrases("""
    Missed voice call | Missed video call | Missed group voice call | Missed group video call |
    Verpasster Sprachanruf | Verpasster Videoanruf | Verpasster Gruppenanruf | Llamada perdida |
    Llamada de voz perdida | Videollamada perdida | Appel vocal manqué | Appel vidéo manqué |
    Chiamata vocale persa | Videochiamata persa | Chamada de voz perdida |
    Chamada de vídeo perdida | Videochamada perdida | Gemist spraakgesprek | Gemiste spraakoproep |
    Gemist videogesprek | Gemiste video-oproep | Пропущенный аудиозвонок | Пропущенный видеозвонок |
    Пропущений аудіодзвінок | Пропущений відеодзвінок | Nieodebrane połączenie |
    Nieodebrane poł. głosowe | Nieodebrane poł. wideo | Zmeškaný hovor | Zmeškaný hlasový hovor |
    Zmeškaný videohovor | Nem fogadott hanghívás | Nem fogadott videohívás |
    Nem fogadott videóhívás | Apel vocal nepreluat | Apel vocal ratat | Apel video nepreluat |
    Apel video ratat | Cevapsız sesli arama | Cevapsız görüntülü arama |
    Panggilan suara tak terjawab | Panggilan video tak terjawab | Panggilan suara terlepas |
    Panggilan video terlepas | Missat röstsamtal | Missat videosamtal | Ubesvaret taleopkald |
    Ubesvaret videoopkald | Mistet opkald | Mistede video opkald | Tapt taleanrop |
    Tapt videoanrop | Tapt videosamtale | Vastaamaton äänipuhelu | Vastaamaton videopuhelu |
    Vastamata häälkõne | Vastamata videokõne | Neatbildēts balss zvans | Neatbildēts video zvans |
    Praleistas balso skambutis | Praleistas video skambutis | Propušteni glasovni poziv |
    Propušteni videopoziv | Propušten glasovni poziv | Propušten video poziv | Zgrešen klic |
    Neodgovorjen video klic | Пропуштен гласовни позив | Пропуштен видео позив |
    Пропуснато гласово обаждане | Пропуснато видео обаждане | Αναπάντητη κλήση |
    Αναπάντητη φωνητική κλήση | Αναπάντητη βιντεοκλήση | Trucada de veu perduda |
    Trucada de vídeo perduda | Videotrucada perduda | שיחה קולית שלא נענתה | שיחת וידאו שלא נענתה |
    مكالمة صوتية فائتة | مكالمة فيديو فائتة | تماس صوتی پاسخ داده نشده |
    تماس تصویری پاسخ داده نشده | مسڈ وائس کال | مسڈ ویڈیو کال | मिस्ड वॉइस कॉल | वॉइस कॉल मिस हुई |
    मिस्ड वीडियो कॉल | मिस्ड व्हॉइस कॉल | मिस्ड व्हिडिओ कॉल | છૂટી ગયેલો વોઇસ કૉલ |
    છૂટી ગયેલ વિડિયો કૉલ | মিসড ভয়েস কল | মিস করা ভিডিও কল | ভয়েস কল মিস করেছেন |
    ভিডিও কল মিস করেছেন | สายที่ไม่ได้รับ | วิดีโอคอลที่ไม่ได้รับ | Cuộc gọi nhỡ |
    Cuộc gọi nhỡ video | 音声通話不在着信 | ビデオ通話不在着信 | 不在着信 | 부재중 전화 |
    부재중 영상통화 | 未接語音通話 | 未接视频通话 | 未接语音通话 | 未接視像通話
""")

CALLS = frozenset(map(phrase_key, _CALLS))

CALL_BEGINNINGS = phrases("""
    Voice call | Video call | Missed voice call | Missed video call | Sprachanruf | Videoanruf |
    Verpasster | Llamada de voz | Videollamada | Llamada perdida | Appel vocal | Appel vidéo |
    Chiamata vocale | Videochiamata | Chamada de voz | Chamada de vídeo | Spraakoproep |
    Video-oproep | Gemiste | Аудиозвонок | Видеозвонок | Пропущенный | Sesli arama |
    Görüntülü arama | Panggilan suara | Panggilan video | Połączenie głosowe | Połączenie wideo |
    音声通話 | ビデオ通話 | 음성통화 | 영상통화 | 語音通話 | 視訊通話 | 语音通话 | 视频通话
""")
"""Beginnings of notes of calls, such as `Voice call, 3 min`."""

_POLL = phrases("""
    POLL: | UMFRAGE: | ENCUESTA: | SONDAGE : | SONDAGE: | SONDAGGIO: | ENQUETE: | SONDAGEM: |
    ОПРОС: | ОПИТУВАННЯ: | ANKIETA: | ANKETA: | ANKET: | SZAVAZÁS: | SONDAJ: | JAJAK PENDAPAT: |
    POLLING: | OMRÖSTNING: | AFSTEMNING: | AVSTEMNING: | KYSELY: | סקר: | استطلاع: | पोल: | 投票: |
    アンケート: | 투표:
""")

POLL = frozenset(_POLL)
"""Compared with case."""

NULL = "null"
"""Android's text for view-once media (UNVERIFIED: seen in files)."""

SPECIAL_MARKERS: tuple[str, ...] = (
    *("<", ">", "\u200e", "\u2068", "@", "WhatsApp", "Waiting for this message"),
    *("maps.google.com", "foursquare.com"),
    *(f"({phrase})" for phrase in _FILE_ATTACHED),
)
"""A message with none of these, and not in `SPECIAL_FIRST_LINES`, is plain text."""

SPECIAL_FIRST_LINES: tuple[str, ...] = tuple(
    form
    for phrases in (
        *(_IMAGE, _VIDEO, _VOICE, _STICKER, _GIF, _DOCUMENT, _CONTACT, _ONCE, _LIVE_LOCATION),
        *(_DELETED, _YOU_DELETED, _CALLS, _POLL, (NULL,)),
    )
    for phrase in phrases
    for form in (phrase, f"{phrase}.", f"{phrase[0].upper()}{phrase[1:]}")
)
"""Whole messages or first lines that the app may have written without any mark."""
