"""Markdown for reports and cards: any text as text, as code or as a cell, never as markup, HTML or a link."""

import re
from collections.abc import Sequence

from agents.base.names import is_unseen

#: Read as markup wherever they stand. `$` begins a formula and `@` names a person on hubs.
_MARKUP = re.compile(r"[\\`*\[\]{}|~$@]|(?<![^\W_])_|_(?![^\W_])")
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
#: What becomes a link without any brackets.
_LINK = re.compile(r"(?<=\w)://|\b(?:www)\.", re.I)
#: Read as a heading, a list or a line only where a text begins.
_START = re.compile(r"(?:[#+=-]|\d{1,9}(?=[.)]))")


def text(value: str, characters_most: int | None = None) -> str:
    """Return a text for anywhere in a page: on one line, shown as it is, whatever it is made of.

    `characters_most`: a longer text is cut, with a sign that it is.
    """
    shown = one_line(value, characters_most)
    escaped = "".join(_HTML.get(character, character) for character in shown)
    # Entities are made of characters that the rest leaves alone.
    escaped = _MARKUP.sub(r"\\\g<0>", escaped)
    escaped = _LINK.sub(lambda found: found[0].replace(":", "\\:").replace(".", "\\."), escaped)
    start = _START.match(escaped)
    if start is None:
        return escaped
    digits = start[0] if start[0][0].isdigit() else ""
    return f"{digits}\\{escaped[len(digits) :]}"


def cell(value: str, characters_most: int | None = None) -> str:
    """Return a text as one cell of a table. `characters_most`: as `text` has it."""
    return text(value, characters_most)


def code(value: str) -> str:
    """Return a text as code within a line; in a fence that is longer than any in it."""
    shown = one_line(value)
    if not shown:
        return ""
    longest = max(map(len, re.findall("`+", shown)), default=0)
    fence, blank = "`" * (longest + 1), " " if "`" in (shown[0], shown[-1]) else ""
    return f"{fence}{blank}{shown}{blank}{fence}"


def one_line(value: str, characters_most: int | None = None) -> str:
    """Return a text without line ends, and with a sign in place of what nobody sees."""
    shown = "".join("\ufffd" if is_unseen(character) else character for character in " ".join(value.split()))
    if characters_most is not None and len(shown) > characters_most:
        return f"{shown[: characters_most - 1]}…"
    return shown


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, text_columns: int = 1) -> str:
    """Return a table of cells that are escaped already; the first `text_columns` are flush left, the rest right.

    Cells are not padded: one long text would widen its whole column.
    """
    rules = ["---" if column < text_columns else "---:" for column in range(len(headers))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (headers, rules, *rows))
