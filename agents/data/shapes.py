"""Which shape rows have, found by the names of their columns and what is in them."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

from agents.base.errors import InvalidData
from agents.data.files.names import listed_names
from agents.data.types import Shape

#: A column with longer cells on average is not a label.
LABEL_CHARACTERS = 40
#: Shape -> its parts and the names of their columns, surest first; shapes in the order they are tried.
PARTS: dict[Shape, dict[str, tuple[str, ...]]] = {
    "messages": {"messages": ("messages",)},
    "sharegpt": {"messages": ("conversations", "conversation")},
    "alpaca": {"prompt": ("instruction",), "answer": ("output", "response", "answer")},
    "prompt_completion": {"prompt": ("prompt",), "answer": ("completion", "response")},
    "input_output": {"prompt": ("input",), "answer": ("output",)},
}
#: Parts that a shape may also have.
MORE: dict[Shape, dict[str, tuple[str, ...]]] = {
    "alpaca": {"context": ("input", "context"), "system": ("system",)},
    "prompt_completion": {"system": ("system",)},
    "input_output": {"system": ("system",)},
}


class ShapeColumns(NamedTuple):
    """A shape of conversations, and for each of its parts the column that holds it."""

    shape: Shape
    parts: Mapping[str, str]


def find_shape(
    place: str, sample: Sequence[dict[str, Any]], wanted: Shape | None, text: str | None, label: str | None
) -> ShapeColumns | None:
    """Return the shape of conversations that rows have; None where they are texts with labels.

    `wanted`: the shape as the user named it; `text` and `label` then name the columns of prompt and answer.

    Raises:
        InvalidData: the named shape lacks a column.
    """
    names = {name.strip().casefold(): name for row in sample for name in reversed(row)}
    if wanted is not None and wanted != "text_label":
        return _named(place, names, wanted, text, label)
    if wanted == "text_label" or text or label:
        return None
    for shape in PARTS:
        found = _found(names, shape)
        if found and _holds(shape, found, sample):
            return ShapeColumns(shape, found)
    return None


def is_label(cells: Sequence[Any]) -> bool:
    """Say whether cells look like labels: short, with fewer different values than half of the rows."""
    texts = [str(cell) for cell in cells]
    return fmean(map(len, texts)) <= LABEL_CHARACTERS and len(set(texts)) <= max(2, len(texts) // 2)


def _holds(shape: Shape, parts: Mapping[str, str], sample: Sequence[dict[str, Any]]) -> bool:
    """Say whether the columns hold what their names promise: turns, or answers and no labels."""
    column = parts.get("messages") or parts["answer"]
    cells = [row[column] for row in sample if row.get(column) is not None]
    if "messages" in parts:
        return any(isinstance(cell, list) or str(cell).lstrip().startswith("[") for cell in cells)
    structured = any(isinstance(cell, dict | list) for cell in cells)
    return shape != "input_output" or structured or (bool(cells) and not is_label(cells))


def _found(names: Mapping[str, str], shape: Shape) -> dict[str, str] | None:
    parts = {part: _first(names, known) for part, known in PARTS[shape].items()}
    if None in parts.values():
        return None
    more = {part: _first(names, known) for part, known in MORE.get(shape, {}).items()}
    return {part: name for part, name in (parts | more).items() if name is not None}


def _first(names: Mapping[str, str], known: Sequence[str]) -> str | None:
    return next((names[name] for name in known if name in names), None)


def _named(place: str, names: Mapping[str, str], shape: Shape, text: str | None, label: str | None) -> ShapeColumns:
    given = {"prompt": text, "answer": label} if "prompt" in PARTS[shape] else {"messages": text}
    parts = {part: given.get(part) or _first(names, known) for part, known in PARTS[shape].items()}
    lacking = [part for part, name in parts.items() if name is None or name not in names.values()]
    if lacking:
        known = " and ".join(f"'{PARTS[shape][part][0]}'" for part in lacking)
        raise InvalidData(
            f"{place} has no column {known} for the shape '{shape}'; it has: {listed_names(list(names.values()))}.",
            cure="Set the dataset node's `text_column` and `label_column`, or leave out `shape`.",
        )
    more = {part: _first(names, known) for part, known in MORE.get(shape, {}).items()}
    return ShapeColumns(shape, {part: name for part, name in (more | parts).items() if name is not None})
