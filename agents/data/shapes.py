"""Which shape rows have, found by the names of their columns and what is in them."""

from collections.abc import Collection, Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

from agents.base.errors import InvalidData
from agents.data.files.names import listed_names
from agents.data.labels import written_list
from agents.data.preferences import (
    JUDGEMENTS,
    are_two_answers,
    are_whole,
    find_pair,
    find_prompt,
    is_judgement,
    judged_column,
    of_judged,
    of_pair,
    of_two_answers,
    refuse_preference,
)
from agents.data.turns import REASONING
from agents.data.types import Preference, Shape

#: A column with longer cells on average is not a label.
LABEL_CHARACTERS = 40
#: Shapes of texts: their columns are found otherwise.
TEXTS: tuple[Shape, ...] = ("text_label", "text_labels", "text")
#: Shape -> its parts and the names of their columns, surest first; shapes in the order they are tried.
PARTS: dict[Shape, dict[str, tuple[str, ...]]] = {
    "messages": {"messages": ("messages",)},
    "sharegpt": {"messages": ("conversations", "conversation")},
    "alpaca": {"prompt": ("instruction",), "answer": ("output", "response", "answer")},
    "prompt_completion": {
        "prompt": ("prompt", "question", "query", "user"),
        "answer": ("completion", "response", "answer", "assistant"),
    },
    "input_output": {"prompt": ("input",), "answer": ("output",)},
}
#: Parts that every shape may also have.
BESIDE: dict[str, tuple[str, ...]] = {
    "system": ("system", "system_prompt", "system_message"),
    "tools": ("tools", "functions"),
    "history": ("history",),
    "desirable": JUDGEMENTS,
}
#: Parts that a shape may have beside these: what is said of its answer, and more of its prompt.
OF_ANSWER: dict[str, tuple[str, ...]] = {
    **{name: (name,) for name in (*REASONING, "weight", "train", "tool_calls")},
    "context": ("context",),
}
MORE: dict[Shape, dict[str, tuple[str, ...]]] = {
    "messages": BESIDE,
    "sharegpt": BESIDE,
    "alpaca": {**BESIDE, **OF_ANSWER, "context": ("input", "context")},
    "prompt_completion": {**BESIDE, **OF_ANSWER},
    "input_output": {**BESIDE, **OF_ANSWER},
    "preference": {**BESIDE, "context": ("input", "context")},
}


class ShapeColumns(NamedTuple):
    """A shape of conversations, and for each of its parts the column that holds it."""

    shape: Shape
    parts: Mapping[str, str]
    preference: Preference | None = None


def find_shape(
    place: str, sample: Sequence[dict[str, Any]], wanted: Shape | None, text: str | None, label: str | None
) -> ShapeColumns | None:
    """Return the shape of conversations that rows have; None where they are texts with labels.

    `wanted`: the shape as the user named it; `text` and `label` then name the columns of prompt and answer.

    Raises:
        InvalidData: the named shape lacks a column, or a text or label was named among the answers of preference data.
    """
    names = {name.strip().casefold(): name for row in sample for name in reversed(row)}
    if wanted == "preference":
        return _named_preference(place, names, sample, text, label)
    if wanted is not None and wanted not in TEXTS:
        return _named(place, names, sample, wanted, text, label)
    if wanted is None and (found := _preference(names, sample)):
        if not text and not label:
            return found
        if not {text, label}.isdisjoint({found.parts["answer"], found.parts.get("rejected")}):
            assert found.preference is not None
            raise refuse_preference(place.strip("'"), found.preference, "a task of texts and labels")
    if wanted in TEXTS or text or label:
        return None
    for shape in PARTS:
        parts = _found(names, sample, shape)
        if parts and _holds(shape, parts, sample):
            return _judged(ShapeColumns(shape, parts), names, sample)
    return None


def late_part(shape: Shape, parts: Mapping[str, str], name: str, cell: Any) -> str | None:
    """Return which part of a shape a column is that comes first after the sample; None: it is none of them.

    `parts`: those that have a column already.
    """
    plain = name.strip().casefold()
    fitting = (part for part, known in MORE.get(shape, {}).items() if plain in known and part not in parts)
    return next((part for part in fitting if part != "desirable" or is_judgement(plain, cell)), None)


def is_label(cells: Sequence[Any]) -> bool:
    """Say whether cells look like labels: short, with fewer different values than half of the rows."""
    texts = [str(cell) for cell in cells]
    return fmean(map(len, texts)) <= LABEL_CHARACTERS and len(set(texts)) <= max(2, len(texts) // 2)


def are_answers(cells: Sequence[Any]) -> bool:
    """Say whether cells of a label's column are answers: longer texts, of which most are there once."""
    texts = [cell for cell in cells if isinstance(cell, str) and cell.strip()]
    long = bool(texts) and fmean(map(len, texts)) > LABEL_CHARACTERS
    return long and len(set(texts)) > max(1, len(texts) // 2) and not any(map(written_list, texts))


def _holds(shape: Shape, parts: Mapping[str, str], sample: Sequence[dict[str, Any]]) -> bool:
    """Say whether the columns hold what their names promise: turns, or answers and no labels."""
    column = parts.get("messages") or parts["answer"]
    cells = [row[column] for row in sample if row.get(column) is not None]
    if "messages" in parts:
        return any(isinstance(cell, list | dict) or str(cell).lstrip().startswith("[") for cell in cells)
    structured = any(isinstance(cell, dict | list) for cell in cells)
    if shape == "input_output":
        return structured or (bool(cells) and not is_label(cells))
    named = {parts["prompt"].strip().casefold(), column.strip().casefold()}
    if shape == "alpaca" or named & {"prompt", "completion"}:
        return True
    others = {name.strip().casefold() for row in sample for name in row} & {"text", "label", "labels"}
    judged = "desirable" in parts and others <= {"label"}
    return (not others or judged) and (structured or (bool(cells) and not _are_repeated(cells)))


def _are_repeated(cells: Sequence[Any]) -> bool:
    """Say whether cells are short, and come back: labels, though their column is called an answer."""
    texts = [str(cell) for cell in cells]
    return fmean(map(len, texts)) <= LABEL_CHARACTERS and len(set(texts)) <= len(texts) // 2


def _found(names: Mapping[str, str], sample: Sequence[dict[str, Any]], shape: Shape) -> dict[str, str] | None:
    parts = {part: _first(names, known) for part, known in PARTS[shape].items()}
    if None in parts.values():
        return None
    return {part: name for part, name in parts.items() if name is not None} | _more(
        names, sample, shape, parts.values()
    )


def _more(
    names: Mapping[str, str], sample: Sequence[dict[str, Any]], shape: Shape, taken: Collection[str | None]
) -> dict[str, str]:
    """Return the parts that a shape may have and the columns of which are there, but not `taken`."""
    found = {part: _first(names, known) for part, known in MORE[shape].items() if part != "desirable"}
    found["desirable"] = judged_column(names, sample)
    return {part: name for part, name in found.items() if name is not None and name not in taken}


def _first(names: Mapping[str, str], known: Sequence[str]) -> str | None:
    return next((names[name] for name in known if name in names), None)


def _named(
    place: str,
    names: Mapping[str, str],
    sample: Sequence[dict[str, Any]],
    shape: Shape,
    text: str | None,
    label: str | None,
) -> ShapeColumns:
    given = {"prompt": text, "answer": label} if "prompt" in PARTS[shape] else {"messages": text}
    parts = {part: given.get(part) or _first(names, known) for part, known in PARTS[shape].items()}
    lacking = [part for part, name in parts.items() if name is None or name not in names.values()]
    if lacking:
        known = " and ".join(f"'{PARTS[shape][part][0]}'" for part in lacking)
        raise InvalidData(
            f"{place} has no column {known} for the shape '{shape}'; it has: {listed_names(list(names.values()))}.",
            cure="Set the dataset node's `text_column` and `label_column`, or leave out `shape`.",
        )
    more = _more(names, sample, shape, parts.values())
    return ShapeColumns(shape, {part: name for part, name in (more | parts).items() if name is not None})


# -- preference data ----------------------------------------------------------------------------------


def _preference(
    names: Mapping[str, str], sample: Sequence[dict[str, Any]], text: str | None = None, better: str | None = None
) -> ShapeColumns | None:
    """Return the columns of rows with two answers; None where they have one. Named columns: of prompt and answer."""
    pair = find_pair(names, sample)
    if pair:
        answer, rejected = better or pair[0], pair[1]
        prompt = text if text != answer else None
        prompt = prompt or find_prompt(names, sample, answer)
        whole = are_whole(sample, answer)
        parts = {"answer": answer, "rejected": rejected} | ({"prompt": prompt} if prompt else {})
        parts |= _more(names, sample, "preference", parts.values())
        parts.pop("desirable", None)
        return ShapeColumns("preference", parts, of_pair(prompt, answer, rejected, whole=whole))
    for shape in ("alpaca", "prompt_completion", "input_output"):
        found = _found(names, sample, shape)
        if found and are_two_answers(sample, found["answer"]):
            return ShapeColumns("preference", found, of_two_answers(shape, found["answer"]))
    return None


def _judged(found: ShapeColumns, names: Mapping[str, str], sample: Sequence[dict[str, Any]]) -> ShapeColumns:
    """Return rows whose answers are judged alone as preference data, others as they are."""
    column = judged_column(names, sample)
    if column is None or found.parts.get("desirable") != column:
        return found
    return ShapeColumns("preference", found.parts, of_judged(found.shape, column))


def _named_preference(
    place: str, names: Mapping[str, str], sample: Sequence[dict[str, Any]], text: str | None, label: str | None
) -> ShapeColumns:
    found = _preference(names, sample, text, label)
    for shape in PARTS if found is None else ():
        parts = _found(names, sample, shape)
        if parts and _judged(ShapeColumns(shape, parts), names, sample).preference:
            return _judged(ShapeColumns(shape, parts), names, sample)
    if found is None:
        raise InvalidData(
            f"{place} has no preference data: neither 'chosen' and 'rejected' answers, nor answers that 'label' or "
            f"'kto_tag' judges (true or false); it has: {listed_names(list(names.values()))}.",
            cure="Name the columns so, or set another `shape`.",
        )
    return found
