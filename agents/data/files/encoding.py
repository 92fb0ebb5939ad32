"""The encoding of a text file: as wanted, by BOM, UTF-8, UTF-16, or by what it spells; binary files are refused."""

import codecs
import encodings
import pkgutil
import re
from collections.abc import Iterator

from agents.base.errors import InvalidData, first_line
from agents.data.files.guessing import WEST, guess_encoding
from agents.data.files.records import shortened
from agents.data.files.source import Encoding, SourceFile
from agents.data.files.wide import find_wide

#: The longest first: UTF-16's mark is how UTF-32's begins.
BOMS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
#: Of Python's codecs those that don't read text, or not that of files: transforms, escapes, names of hosts.
NO_ENCODINGS = {
    *("base64_codec", "bz2_codec", "hex_codec", "quopri_codec", "rot_13", "uu_codec", "zlib_codec"),
    *("aliases", "charmap", "idna", "mbcs", "oem", "punycode", "raw_unicode_escape", "undefined", "unicode_escape"),
}
ENCODINGS = frozenset(module.name for module in pkgutil.iter_modules(encodings.__path__)) - NO_ENCODINGS
ENCODING_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:+() -]{0,39}")
ENCODING_CURE = "Save it as UTF-8, or name its encoding in the dataset node's `encoding`."
#: How the escapes of the Japanese and Korean encodings of e-mail begin.
ESCAPES = {b"\x1b$B": "iso2022_jp", b"\x1b$@": "iso2022_jp", b"\x1b$)C": "iso2022_kr"}
#: Of the lines with bytes beyond ASCII what is looked at.
SAMPLE_BYTES = 1 << 15
#: So many whole characters of UTF-8, and more of them than damaged bytes, are none by chance.
SURELY_UTF8 = 20
#: A file where at most this share of the bytes are damaged is ASCII with damage.
DAMAGED_SHARE = 0.1


def find_encoding(source: SourceFile, wanted: str | None) -> Encoding:
    """Return the encoding of a text file: `wanted`, by BOM, UTF-8, UTF-16, or by what it spells.

    Mostly valid UTF-8 with a few damaged bytes stays UTF-8, as does what `wanted` calls UTF-8: those become U+FFFD and
    are counted later. A BOM is never part of the text.

    Raises:
        InvalidData: it is not text, the encoding is unknown, can't be told for sure, or none fits; with the line.
    """
    sample = source.sample()
    marked = next((name for bom, name in BOMS.items() if sample.startswith(bom)), None)
    if wanted:
        return _wanted(source, wanted, marked)
    if marked == "utf-8-sig":
        return Encoding(marked, "replace" if _damage(source)[0] else "strict")
    if marked:
        _check(source, marked)
        return Encoding(marked)
    if b"\x00" in sample:
        return _wide(source, sample)
    escape = next((name for begin, name in ESCAPES.items() if begin in sample), None)
    if escape and sample.isascii():
        _check(source, escape)
        return Encoding(escape)
    return _utf8_or_older(source)


def _wanted(source: SourceFile, wanted: str, marked: str | None) -> Encoding:
    if not is_encoding(wanted):
        raise InvalidData(
            f"'{shortened(wanted)}' is not an encoding of text.", cure="Write utf-8, utf-16, cp1252, latin-1 ..."
        )
    name = codecs.lookup(wanted).name
    if marked:
        if name.removesuffix("-sig").removesuffix("-le").removesuffix("-be") != marked.removesuffix("-sig"):
            raise InvalidData(
                f"'{source.name}' begins with the mark of {marked.removesuffix('-sig')}, but `encoding` is {wanted}.",
                cure="Leave out the dataset node's `encoding`.",
            )
        name = wanted = marked
    if name in ("utf-8", "utf-8-sig"):
        return Encoding(wanted, "replace" if _damage(source)[0] else "strict")
    _check(source, wanted)
    return Encoding(wanted)


def is_encoding(name: str) -> bool:
    """Say whether a name from outside is that of an encoding which text files are written in."""
    if not ENCODING_NAME.fullmatch(name):
        return False
    try:
        found = codecs.lookup(name)
    except LookupError:
        return False
    return encodings.normalize_encoding(found.name).lower() in ENCODINGS


def _wide(source: SourceFile, sample: bytes) -> Encoding:
    """Tell UTF-16 and UTF-32 without a mark from binary data."""
    name = find_wide(sample)
    if name is None:
        line = sample[: sample.index(0)].count(b"\n") + 1
        raise InvalidData(
            f"'{source.name}' is binary: line {line} holds a zero byte.",
            cure="Name a file of rows: JSON, CSV or Parquet.",
        )
    _check(source, name)
    return Encoding(name)


def _damage(source: SourceFile) -> tuple[int, int]:
    """Return how many bytes of a file are not UTF-8, and how many characters beyond ASCII are.

    The whole file is read: one bad byte near its end is enough to make UTF-8 wrong.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    bad, good = 0, 0
    for chunk in source.chunks():
        text = decoder.decode(chunk)
        if not text.isascii():
            bad_here = len(re.findall("[\udc80-\udcff]", text))
            bad, good = bad + bad_here, good + len(re.findall(r"[^\x00-\x7f]", text)) - bad_here
    return bad + len(decoder.decode(b"", final=True)), good


def _utf8_or_older(source: SourceFile) -> Encoding:
    bad, good = _damage(source)
    if not bad:
        return Encoding("utf-8")
    if good > bad and good >= SURELY_UTF8:
        return Encoding("utf-8", "replace")
    try:
        guess = guess_encoding(source.name, _telling_lines(source), utf8=good > 0)
    except InvalidData:
        # Some whole characters of UTF-8, which other encodings hardly ever make by chance, among much ASCII.
        if good and bad <= DAMAGED_SHARE * source.size_bytes:
            return Encoding("utf-8", "replace")
        raise
    if guess.encoding == "utf-8":
        return Encoding("utf-8", "replace")
    _check(source, guess.encoding)
    # Which of the western ones it is, a few accents don't tell.
    return Encoding(guess.encoding, language=None if guess.language in WEST else guess.language)


def _telling_lines(source: SourceFile) -> list[bytes]:
    """Return different lines from the start of a file: 32 KiB of those with bytes beyond ASCII, then some others."""
    telling: dict[bytes, None] = {}
    plain: dict[bytes, None] = {}
    sizes = [0, 0]
    for line in _lines(source):
        found = plain if line.isascii() else telling
        if line not in found and sizes[line.isascii()] < SAMPLE_BYTES:
            found[line] = None
            sizes[line.isascii()] += len(line)
            if sizes[False] >= SAMPLE_BYTES:
                break
    return [*telling, *plain]


def _lines(source: SourceFile) -> Iterator[bytes]:
    """Yield the lines of a file as bytes, without their ends; the first piece of those that go beyond a chunk."""
    rest = b""
    for chunk in source.chunks():
        *whole, rest = re.split(rb"\r\n|\r|\n", rest + chunk)
        yield from whole
        if len(rest) > SAMPLE_BYTES:
            # No character of any encoding has a blank or a quote in it.
            cut = max(rest.rfind(mark, 0, SAMPLE_BYTES) for mark in (b" ", b'"', b",")) + 1 or len(rest)
            yield rest[:cut]
            rest = rest[cut:]
    yield rest


def _check(source: SourceFile, name: str) -> None:
    """Decode the whole file once.

    Raises:
        InvalidData: with the line of the first byte that doesn't fit.
    """
    decoder = codecs.getincrementaldecoder(name)()
    line = 1
    try:
        for chunk in source.chunks():
            line += decoder.decode(chunk).count("\n")
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as fault:
        line += codecs.decode(fault.object[: fault.start], name, "ignore").count("\n")
        raise InvalidData(
            f"'{source.name}', line {line}: byte 0x{fault.object[fault.start]:02x} is not {name}.", cure=ENCODING_CURE
        ) from fault
    except UnicodeError as fault:
        raise InvalidData(f"'{source.name}' is not {name}: {first_line(fault)}.", cure=ENCODING_CURE) from fault
