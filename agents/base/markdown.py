"""Markdown: text that others wrote, as one cell of a table or one line of a list."""

#: Each character that Markdown would read as markup -> what shows it as it is.
ESCAPES = str.maketrans({"\\": "\\\\", "|": "\\|", "<": "&lt;", "`": "\\`"})


def cell(text: str, maximum_characters: int | None = None) -> str:
    """Return a text on one line that stays in its cell and is shown as it is; a longer one ends with `…`.

    `maximum_characters`: counted before escaping, the `…` included.
    """
    shown = " ".join(text.split())
    if maximum_characters is not None and len(shown) > maximum_characters:
        shown = f"{shown[: maximum_characters - 1]}…"
    return shown.translate(ESCAPES)
