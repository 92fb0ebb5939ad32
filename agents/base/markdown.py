"""Markdown for reports and cards: one table, and one way to put any text into a cell of it."""

from collections.abc import Sequence

from tabulate import tabulate


def cell(text: str, characters_most: int | None = None) -> str:
    """Return a text as one cell of a table: on one line, and no markup, whatever it is made of.

    `characters_most`: a longer text is cut, with a sign that it is.
    """
    shown = " ".join(text.split())
    if characters_most is not None and len(shown) > characters_most:
        shown = f"{shown[: characters_most - 1]}…"
    return shown.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "\\`")


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, text_columns: int = 1) -> str:
    """Return a table of cells that are escaped already; the first `text_columns` are flush left, the rest right."""
    align = ["left"] * text_columns + ["right"] * (len(headers) - text_columns)
    found: str = tabulate(rows, headers, tablefmt="pipe", colalign=align[: len(headers)], disable_numparse=True)
    return found
