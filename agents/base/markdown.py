"""Markdown for reports and cards: one table, and one way to put any text into a cell of it."""

from collections.abc import Sequence


def cell(text: str, characters_most: int | None = None) -> str:
    """Return a text as one cell of a table: on one line, and no markup, whatever it is made of.

    `characters_most`: a longer text is cut, with a sign that it is.
    """
    shown = " ".join(text.split())
    if characters_most is not None and len(shown) > characters_most:
        shown = f"{shown[: characters_most - 1]}…"
    return shown.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "\\`")


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, text_columns: int = 1) -> str:
    """Return a table of cells that are escaped already; the first `text_columns` are flush left, the rest right.

    Cells are not padded: one long text would widen its whole column.
    """
    rules = ["---" if column < text_columns else "---:" for column in range(len(headers))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (headers, rules, *rows))
