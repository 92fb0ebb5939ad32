"""Labels as sources have them: a text, a number, or a list of several; never Python's spelling of what they are."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from agents.base.errors import InvalidData
from agents.data.cleaning import clean_label
from agents.data.files.names import listed_names
from agents.data.files.records import as_text
from agents.data.tools import parsed
from agents.data.turns import Unusable

#: Numbers as tables write them, and those of them that are whole.
NUMBER, WHOLE = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?"), re.compile(r"-?\d+\.0")
#: What YAML reads as true or false.
TRUE, FALSE = frozenset({"true", "yes", "on"}), frozenset({"false", "no", "off"})
#: That may stand between the labels of one cell.
SEPARATORS = ("|", ";", ",")
#: Longer texts are not a list of labels.
LIST_CHARACTERS = 10_000


class LabelReader:
    """Reads the cells of one column, as its first cells say that they are to be read.

    `label_map`: label in the source -> label to learn. `several`: whether texts may have several labels; then an empty
    list is a text without any. `typed`: whether the source tells numbers from texts; a table does not.
    `separator`: of labels that stand in one cell, where texts may have several; None: a cell is one label.
    """

    def __init__(
        self, sample: Sequence[Any], label_map: Mapping[str, str] | None = None, *, several: bool, typed: bool
    ) -> None:
        self._map = label_map
        self._spelled = {_spelling(label): learned for label, learned in (label_map or {}).items()}
        self.cleaned = 0
        """Labels that had marks around them which nobody sees, or blanks other than plain ones."""
        texts = [cell.strip() for cell in sample if isinstance(cell, str) and cell.strip()]
        self._written_lists = bool(texts) and all(written_list(text) is not None for text in texts)
        self._numbers = not typed and bool(texts) and all(NUMBER.fullmatch(text) for text in texts)
        self.separator = None if self._written_lists or not several else separator_of(texts)
        cells = [self._listed(cell) for cell in sample]
        self.several = several or any(isinstance(cell, list) and len(cell) > 1 for cell in cells)
        self._plain = not (self._written_lists or self._numbers or self._map is not None or self.several)

    def read(self, cell: Any) -> tuple[str, tuple[str, ...] | None]:
        """Return a cell's label, and its labels where it is a list.

        Raises:
            Unusable: with `missing_label`, `label_not_in_map` or `label_is_no_text`.
        """
        if self._plain and isinstance(cell, str) and cell.isascii() and (label := cell.strip()):
            return label, None
        cell = self._listed(cell)
        if isinstance(cell, list):
            labels = self._labels(cell)
            return ", ".join(labels), labels
        label = self._label(cell)
        if not label:
            raise Unusable("missing_label")
        mapped = self._mapped(label, cell)
        if mapped is None:
            raise Unusable("label_not_in_map")
        return mapped, (mapped,) if self.several else None

    def _labels(self, cells: list[Any]) -> tuple[str, ...]:
        written = [(label, cell) for cell in cells if (label := self._label(cell))]
        if not written and not self.several:
            raise Unusable("missing_label")
        mapped = [self._mapped(label, cell) for label, cell in written]
        labels = [label for label in mapped if label is not None]
        if written and not labels:
            raise Unusable("label_not_in_map")
        if len(labels) > 1:
            self.several, self._plain = True, False
        return tuple(dict.fromkeys(labels))

    def _label(self, cell: Any) -> str:
        if isinstance(cell, dict | list | bytes):
            raise Unusable("label_is_no_text")
        written = as_text(cell) or ""
        label = clean_label(written)
        self.cleaned += label != written.strip(" \t\r\n")
        return label[:-2] if self._numbers and WHOLE.fullmatch(label) else label

    def _mapped(self, label: str, cell: Any) -> str | None:
        if self._map is None:
            return label
        found = self._map.get(label, self._map.get(str(cell).strip()))
        return self._spelled.get(_spelling(label)) if found is None else found

    def _listed(self, cell: Any) -> Any:
        """Return a list that is written as text as the list that it is, where all of the column are."""
        if self._written_lists and isinstance(cell, str):
            found = written_list(cell.strip())
            return cell if found is None else found
        if self.separator and isinstance(cell, str) and cell.strip():
            return cell.split(self.separator)
        return cell


def _spelling(label: str) -> str:
    """Return what spellings of one thing have in common: YAML reads `yes` as true, and tables have 1 as 1.0."""
    plain = label.strip().casefold()
    if plain in TRUE | FALSE:
        return str(plain in TRUE)
    return label[:-2] if WHOLE.fullmatch(label) else label


def separator_of(texts: Sequence[str]) -> str | None:
    """Return what stands between labels of one cell; None: cells are labels themselves.

    Labels come again in other cells: there are fewer of them than of different cells, or each is in two of these on
    average. Of several separators it is that which leaves the fewest different labels.
    """
    cells, found = set(texts), {}
    for separator in SEPARATORS:
        parts = [part.strip() for text in cells for part in text.split(separator) if part.strip()]
        labels, is_there = len(set(parts)), any(separator in text for text in cells)
        if is_there and (labels < len(cells) or 2 * labels <= len(parts)):
            found[separator] = labels
    return min(found, key=lambda separator: found[separator], default=None)


def written_list(text: str) -> list[Any] | None:
    """Return the list that a text writes as JSON or as Python does, of texts and numbers; None: it writes none."""
    if not (text.startswith("[") and text.endswith("]")) or len(text) > LIST_CHARACTERS:
        return None
    found = parsed(text)
    plain = isinstance(found, list) and all(isinstance(one, str | int | float) for one in found)
    return found if plain else None


def refuse_objects(place: str, column: str, cells: Iterable[Any]) -> InvalidData | None:
    """Return the error of a column of labels most of which are objects; None: they are not."""
    held = [one for cell in cells for one in (cell if isinstance(cell, list) else [cell]) if one is not None]
    keys = list(dict.fromkeys(str(key) for one in held if isinstance(one, dict) for key in one))
    if not keys or 2 * sum(isinstance(one, dict) for one in held) < len(held):
        return None
    return InvalidData(
        f"The labels of {place} (column '{column}') are objects with the keys {listed_names(keys)}.",
        cure="Write the label itself in their place, or set `shape: prompt_completion` to learn them as JSON text.",
    )
