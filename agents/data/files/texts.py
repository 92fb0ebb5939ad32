"""Plain text as passages: paragraphs of a book, a page or a corpus, several to a row."""

from collections.abc import Iterator

from agents.base.errors import InvalidData
from agents.data.files.records import Broken, RawRecord
from agents.data.files.source import Encoding, SourceFile

TEXT_SUFFIXES = frozenset({"", ".txt", ".text", ".md", ".data", ".dat"})
#: A passage ends with the paragraph that makes it so long, and before a heading of Markdown.
PASSAGE_CHARACTERS = 4_000
SAMPLE_LINES = 2_000


def read_passages(source: SourceFile, encoding: Encoding) -> Iterator[RawRecord | Broken]:
    """Yield the passages of a text, each with the number of its first line: column `text`.

    A passage is one or more paragraphs, with a blank line between. A text without blank lines has a passage a line.
    """
    by_line = not _has_paragraphs(source, encoding)
    taken: list[str] = []
    first, characters = 0, 0
    for number, line in source.lines(encoding, newline=None):
        said = line.rstrip("\n")
        ends = by_line or (not said.strip() and characters >= PASSAGE_CHARACTERS) or _is_heading(said)
        if taken and (ends or characters >= 2 * PASSAGE_CHARACTERS):
            yield RawRecord(first, {"text": "\n".join(taken).strip("\n")}, characters)
            taken, characters = [], 0
        if said.strip() or taken:
            first = first if taken else number
            taken.append(said)
            characters += len(line)
    if taken:
        yield RawRecord(first, {"text": "\n".join(taken).strip("\n")}, characters)


def read_whole(source: SourceFile, encoding: Encoding, label: str) -> Iterator[RawRecord | Broken]:
    """Yield a file as one text with its label.

    Raises:
        InvalidData: it is longer than a cell may be.
    """
    most = source.budget.cell_characters
    with source.open_text(encoding, newline=None) as file:
        text = file.read(most + 1)
    if len(text) > most:
        raise InvalidData(
            f"'{source.name}' is a text of more than {source.budget.cell_mib} million characters.",
            cure="Write its parts as rows, or raise TUNELINE_ROWS_CELL_MIB.",
        )
    yield RawRecord(1, {"text": text.strip(), "label": label}, len(text))


def _is_heading(line: str) -> bool:
    return line.startswith("#") and line.lstrip("#").startswith(" ")


def _has_paragraphs(source: SourceFile, encoding: Encoding) -> bool:
    """Say whether a blank line stands between lines of the start of a text."""
    seen = blank = False
    for number, line in source.lines(encoding, newline=None):
        if line.strip() and blank:
            return True
        seen = seen or bool(line.strip())
        blank = seen and not line.strip()
        if number == SAMPLE_LINES:
            return False
    return False
