"""The encoding of a text file: as wanted, by BOM, UTF-8 or cp1252; binary files are refused."""

import codecs
import encodings
import pkgutil
import re

from agents.base.errors import InvalidData, first_line
from agents.data.files.records import shortened
from agents.data.files.source import Encoding, SourceFile

BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
#: Of Python's codecs those that don't read text, or not that of files: transforms, escapes, names of hosts.
NO_ENCODINGS = {
    *("base64_codec", "bz2_codec", "hex_codec", "quopri_codec", "rot_13", "uu_codec", "zlib_codec"),
    *("aliases", "charmap", "idna", "mbcs", "oem", "punycode", "raw_unicode_escape", "undefined", "unicode_escape"),
}
ENCODINGS = frozenset(module.name for module in pkgutil.iter_modules(encodings.__path__)) - NO_ENCODINGS
ENCODING_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:+() -]{0,39}")
ENCODING_CURE = "Save it as UTF-8, or name its encoding in the dataset node's `encoding`."


def find_encoding(source: SourceFile, wanted: str | None) -> Encoding:
    """Return the encoding of a text file: `wanted`, by BOM, UTF-8 or cp1252.

    Mostly valid UTF-8 with a few damaged bytes stays UTF-8: those become U+FFFD and are counted later.

    Raises:
        InvalidData: it is not text, the encoding is unknown, or no encoding fits; with the line.
    """
    sample = source.sample()
    if wanted:
        return _wanted(source, wanted)
    for bom, name in BOMS.items():
        if sample.startswith(bom):
            _check(source, name)
            return Encoding(name)
    if b"\x00" in sample:
        return Encoding(_utf16_without_bom(source, sample))
    return _utf8_or_cp1252(source)


def _wanted(source: SourceFile, wanted: str) -> Encoding:
    if not is_encoding(wanted):
        raise InvalidData(
            f"'{shortened(wanted)}' is not an encoding of text.", cure="Write utf-8, utf-16, cp1252, latin-1 ..."
        )
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


def _utf16_without_bom(source: SourceFile, sample: bytes) -> str:
    """Tell UTF-16 from binary data: in Latin text about every second byte is zero, and hardly any other."""
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    name = "utf-16-le" if odd > even else "utf-16-be"
    if min(even, odd) > max(even, odd) // 10 or max(even, odd) < len(sample) // 4:
        line = sample[: sample.index(0)].count(b"\n") + 1
        raise InvalidData(
            f"'{source.name}' is binary: line {line} holds a zero byte.",
            cure="Name a file of rows: JSON, CSV or Parquet.",
        )
    _check(source, name)
    return name


def _utf8_or_cp1252(source: SourceFile) -> Encoding:
    """Read the whole file once: one bad byte near its end is enough to make UTF-8 wrong."""
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    bad, good = 0, 0
    for chunk in source.chunks():
        text = decoder.decode(chunk)
        if not text.isascii():
            bad_here = len(re.findall("[\udc80-\udcff]", text))
            bad, good = bad + bad_here, good + len(re.findall(r"[^\x00-\x7f]", text)) - bad_here
    bad += len(decoder.decode(b"", final=True))
    if not bad:
        return Encoding("utf-8")
    if good > bad:
        return Encoding("utf-8", "replace")
    _check(source, "cp1252")
    return Encoding("cp1252")


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
        what = "neither UTF-8 nor cp1252" if name == "cp1252" else f"not {name}"
        raise InvalidData(
            f"'{source.name}', line {line}: byte 0x{fault.object[fault.start]:02x} is {what}.", cure=ENCODING_CURE
        ) from fault
    except UnicodeError as fault:
        raise InvalidData(f"'{source.name}' is not {name}: {first_line(fault)}.", cure=ENCODING_CURE) from fault
