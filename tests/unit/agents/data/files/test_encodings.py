"""Encodings: read right or asked for, never learned as mojibake."""

import codecs
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from agents.base.errors import InvalidData
from agents.data.files import open_rows
from agents.data.files.garbled import looks_garbled

WriteFile = Callable[..., Path]
SENTENCES: dict[str, list[str]] = {
    "Russian": ["Товар пришёл сломанным, верните деньги!", "Звук тихий, экран тусклый", "Всё понравилось, рекомендую"],
    "Ukrainian": ["Товар прийшов зламаним, поверніть кошти!", "Тихий звук, тьмяний екран", "Усе сподобалося, раджу"],
    "Greek": ["Το προϊόν ήρθε σπασμένο, επιστρέψτε τα χρήματα!", "Χαμηλός ήχος", "Όλα μου άρεσαν"],
    "Hebrew": ["המוצר הגיע שבור, תחזירו לי את הכסף!", "קול חלש", "הכול מצא חן בעיניי"],
    "Arabic": ["وصل المنتج مكسورا، أعيدوا لي المال!", "الصوت ضعيف", "أعجبني كل شيء"],
    "Thai": ["สินค้าแตก กรุณาคืนเงิน", "เสียงเบา", "ชอบทุกอย่าง แนะนำเพื่อน"],
    "Chinese": ["产品到货时坏了，请退钱！", "声音太小", "一切都很满意，推荐给朋友。"],
    "Taiwanese": ["產品到貨時壞了，請退錢！", "聲音太小", "一切都很滿意，推薦給朋友。"],
    "Japanese": ["商品が壊れて届きました、返金してください！", "音が小さい", "すべて気に入りました"],
    "Korean": ["제품이 깨져서 왔어요, 환불해 주세요!", "소리가 작다", "모두 마음에 들어요"],
    "Polish": ["Produkt dotarł zepsuty, zwróćcie pieniądze!", "Dźwięk jest cichy", "Wszystko mi się podobało"],
    "Czech": ["Výrobek přišel rozbitý, vraťte mi peníze!", "Všechno se mi líbilo", "Rychlé doručení"],
    "Hungarian": ["A termék törötten érkezett, kérem vissza a pénzem!", "Gyors szállítás, őrült jó", "Minden tetszett"],
    "Turkish": ["Ürün kırık geldi, paramı geri verin!", "Her şeyi beğendim, öneririm", "Ses kısık"],
    "Latvian": ["Prece atnāca saplēsta, atdodiet naudu!", "Viss patika, iesaku draugiem", "Ātra piegāde"],
    "French": [
        "L'article est arrivé cassé, remboursez-moi !",
        "J'ai tout aimé, très bien",
        "Son trop faible à mon goût",
    ],
    "German": ["Das Gerät kam zerstört an, Geld zurück!", "Zu leise, schöner Müll", "Straße gesperrt"],
    "Finnish": ["Tuote tuli rikkinäisenä, haluan rahat takaisin!", "Ääni on hiljainen", "Hyvää päivää"],
    "Icelandic": ["Varan kom brotin, ég vil fá peningana aftur!", "Mér líkaði allt", "Hljóðið er lágt"],
    "English": [
        "Only £5 for two tickets, call now",
        "It\u2019s \u201cfine\u201d \u2013 really",
        "The caf\u00e9 was lovely",
    ],
}
ENCODED = {
    **{"cp1251": "Russian", "koi8_r": "Russian", "iso8859_5": "Russian", "cp866": "Russian", "koi8_u": "Ukrainian"},
    **{"cp1253": "Greek", "cp1255": "Hebrew", "cp1256": "Arabic", "cp874": "Thai", "cp1254": "Turkish"},
    **{"gbk": "Chinese", "big5": "Taiwanese", "shift_jis": "Japanese", "euc_jp": "Japanese", "euc_kr": "Korean"},
    **{"cp1250": "Polish", "iso8859_2": "Czech", "cp852": "Hungarian", "cp1257": "Latvian", "iso2022_jp": "Japanese"},
    **{
        "latin_1": "French",
        "iso8859_15": "German",
        "cp1252": "English",
        "mac_roman": "French",
        "mac_cyrillic": "Ukrainian",
    },
}
#: Language -> what its texts are written in where they are not UTF-8.
WRITTEN_IN = {
    **{name: ["cp1252"] for name in ("French", "German", "Finnish", "Icelandic", "English")},
    **{name: ["cp1250", "iso8859_2", "cp852"] for name in ("Polish", "Czech", "Hungarian")},
    "Russian": ["cp1251", "koi8_r", "cp866", "iso8859_5", "gbk", "shift_jis"],
    "Ukrainian": ["cp1251", "koi8_u"],
    "Greek": ["cp1253", "iso8859_7", "cp737"],
    "Hebrew": ["cp1255", "iso8859_8", "cp862"],
    "Arabic": ["cp1256", "iso8859_6"],
    "Thai": ["cp874", "tis_620"],
    "Turkish": ["cp1254", "iso8859_9"],
    "Latvian": ["cp1257", "iso8859_13"],
    "Chinese": ["gbk", "gb2312", "gb18030"],
    "Taiwanese": ["big5", "cp950"],
    "Japanese": ["shift_jis", "cp932", "euc_jp", "iso2022_jp"],
    "Korean": ["euc_kr", "cp949"],
}


def read(path: Path, encoding: str | None = None) -> tuple[str, list[str]]:
    reading = open_rows(path, None, encoding, set())
    return reading.encoding, [record.values["text"] for record in reading.records]


def read_or_asked(path: Path) -> tuple[list[str] | None, str]:
    """Return the texts, or else what the user is asked."""
    try:
        return read(path)[1], ""
    except InvalidData as fault:
        return None, fault.message


def table(sentences: list[str]) -> str:
    return "text;label\n" + "".join(f"{text};{'ab'[number % 2]}\n" for number, text in enumerate(sentences))


@pytest.mark.parametrize("codec", ENCODED)
def test_an_older_encoding_is_told_by_what_it_spells(rows_file: WriteFile, codec: str) -> None:
    sentences = SENTENCES[ENCODED[codec]]
    assert read(rows_file(table(sentences).encode(codec), "rows.csv"))[1] == sentences


@pytest.mark.parametrize("language", SENTENCES)
def test_short_texts_are_read_right_or_asked_for(rows_file: WriteFile, language: str) -> None:
    for codec in WRITTEN_IN[language]:
        for sentence in SENTENCES[language]:
            content = table([sentence]).encode(codec)
            texts, asked = read_or_asked(rows_file(content, "rows.csv"))
            assert texts in ([sentence], None), codec
            readings = re.findall(r"(\w+) reads '", asked)
            assert (texts is None) == (1 <= len(readings) <= 3), asked
            for name in readings:
                assert len(read(rows_file(content, "rows.csv"), name)[1]) == 1


@pytest.mark.parametrize("language", ["Russian", "Chinese", "Thai", "Arabic", "German"])
@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "utf-16", "utf-32"])
def test_wide_encodings_are_told_in_any_script(rows_file: WriteFile, codec: str, language: str) -> None:
    sentences = SENTENCES[language]
    assert read(rows_file(table(sentences).encode(codec), "rows.csv")) == (codec, sentences)


@pytest.mark.parametrize("named", ["utf-8", "UTF8", "utf_8_sig"])
@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl", "rows.tsv", "rows.json"])
def test_a_mark_is_no_part_of_the_text_whatever_is_named(rows_file: WriteFile, name: str, named: str) -> None:
    content = {
        "rows.csv": "text,label\na,b\n",
        "rows.tsv": "text\tlabel\na\tb\n",
        "rows.jsonl": '{"text": "a", "label": "b"}\n',
        "rows.json": '[{"text": "a", "label": "b"}]',
    }[name]
    assert read(rows_file(codecs.BOM_UTF8 + content.encode(), name), named)[1] == ["a"]


def test_a_mark_against_the_named_encoding_is_refused_and_the_cure_cures(rows_file: WriteFile) -> None:
    path = rows_file(codecs.BOM_UTF8 + b"text,label\na,b\n", "rows.csv")
    with pytest.raises(InvalidData, match="begins with the mark of utf-8, but `encoding` is cp1251") as raised:
        read(path, "cp1251")
    assert raised.value.cure == "Leave out the dataset node's `encoding`."
    assert read(path)[1] == ["a"]
    assert read(rows_file("text,label\na,b\n".encode("utf-16"), "rows.csv"), "utf-16-le")[1] == ["a"]


DAMAGED = [
    b"text,label\nplain,a\nhalf \x9d\x80\x99 s,b\ngood \xc3\xa9,a\n",
    b"text,label\n" + b"a long line of plain text,a\n" * 9 + b"caf\xc3\xa9 \xff\xfe \x81,b\n",
]


@pytest.mark.parametrize("content", DAMAGED)
def test_damaged_utf8_is_read_with_the_damage_shown(rows_file: WriteFile, content: bytes) -> None:
    encoding, texts = read(rows_file(content, "rows.csv"))
    assert encoding == "utf-8 with damaged bytes"
    assert "\ufffd" in "".join(texts)


def test_named_utf8_replaces_damaged_bytes(rows_file: WriteFile) -> None:
    path = rows_file(b"text,label\n\x81\x8d,y\nok,x\n", "rows.csv")
    with pytest.raises(InvalidData, match="can't be told for sure"):
        read(path)
    assert read(path, "utf-8") == ("utf-8 with damaged bytes", ["\ufffd\ufffd", "ok"])


GARBLED = [
    text for name in ("French", "German", "Polish", "Icelandic") for text in SENTENCES[name] if not text.isascii()
]


@pytest.mark.parametrize("text", GARBLED)
def test_utf8_that_was_read_as_something_else_looks_garbled(text: str) -> None:
    assert looks_garbled(text.encode().decode("cp1252", "replace")) == "wrong_encoding"


@pytest.mark.parametrize(("language", "codec", "read_as"), [
    ("Russian", "utf-8", "cp1251"), ("Russian", "utf-8", "latin-1"), ("Chinese", "utf-8", "latin-1"),
    ("Russian", "cp1251", "cp1252"), ("Russian", "koi8-r", "cp1251"), ("Greek", "cp1253", "cp1252"),
    ("Arabic", "cp1256", "cp1252"), ("Chinese", "gbk", "latin-1"), ("Korean", "euc-kr", "latin-1"),
])  # fmt: skip
def test_other_scripts_read_wrong_look_garbled(language: str, codec: str, read_as: str) -> None:
    wrong = [text.encode(codec).decode(read_as, "replace") for text in SENTENCES[language]]
    assert looks_garbled(" ".join(wrong)) == "wrong_encoding"


def test_right_texts_do_not_look_garbled() -> None:
    for language, sentences in SENTENCES.items():
        assert [text for text in sentences if looks_garbled(text)] == [], language
    for text in (
        "R&B and Q&A",
        "caf\u00e9\u201d\u2026",
        "\u00c5\u2026 \u00c4\u201d",
        "Рівне і Суми",
        "a < b > c",
        "ÄÄÄÄÄH",
        "œuvre créée",
    ):
        assert looks_garbled(text) is None, text
    for text in ("&#1055;&#1088;", "Tom &amp; Jerry", "&nbsp;", "&#x41f;"):
        assert looks_garbled(text) == "html_entities"
