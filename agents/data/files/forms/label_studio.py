"""Label Studio's export: tasks with their data, and annotations with choices, numbers and written texts."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from agents.data.files.forms.base import Form, NotForUs, Values, objects, one_or_all

#: Kinds of results that are labels of parts of a text or picture.
OF_PARTS = frozenset(
    {"labels", "hypertextlabels", "rectanglelabels", "polygonlabels", "brushlabels", "timeserieslabels"}
)
SPANS = "is a Label Studio export with labels of parts of a text or picture, which no task here learns"
SPANS_CURE = "Export choices of whole texts, or write one row a part."
#: What the short export says of the annotating.
OWN = frozenset({"lead_time", "annotator", "agreement"})
#: Keys of a result's value, in the order in which they are looked for.
VALUES = ("choices", "taxonomy", "text", "rating", "number")


def _is_label_studio(values: Values) -> bool:
    annotated = values.get("annotations", values.get("completions"))
    return isinstance(values.get("data"), dict) and isinstance(annotated, list)


def _label_studio(values: Values) -> Iterator[dict[str, Any]]:
    """Yield a task's data with what its annotators said: under `label`, or, of several questions, under their names."""
    answers = _answers(values)
    named = {"label": next(iter(answers.values()))} if len(answers) == 1 else answers
    yield {**values["data"], **(named or {"label": None})}


def _answers(task: Values) -> dict[str, Any]:
    """Return question -> what most annotators said; where as many say something else, nothing."""
    said: dict[str, list[list[str]]] = {}
    for annotation in objects(task.get("annotations", task.get("completions"))):
        if annotation.get("was_cancelled"):
            continue
        if annotation.get("ground_truth"):
            said = {}
        for result in objects(annotation.get("result")):
            said.setdefault(str(result.get("from_name")), []).append(_said(result))
        if annotation.get("ground_truth"):
            break
    return {question: _majority(answers) for question, answers in said.items()}


def _said(result: Values) -> list[str]:
    if str(result.get("type")).lower() in OF_PARTS:
        raise NotForUs(SPANS, SPANS_CURE)
    value = result.get("value")
    found = next((value[key] for key in VALUES if key in value), None) if isinstance(value, dict) else None
    if isinstance(found, list):
        return [" / ".join(map(str, one)) if isinstance(one, list) else str(one) for one in found]
    return [] if found is None else [str(found)]


def _majority(answers: list[list[str]]) -> str | list[str] | None:
    counts = Counter(tuple(answer) for answer in answers).most_common(2)
    tied = len(counts) == 2 and counts[0][1] == counts[1][1]
    return None if tied else one_or_all(list(counts[0][0]))


def _is_flat(values: Values) -> bool:
    return {"annotation_id", "lead_time"} <= values.keys()


def _flat(values: Values) -> Iterator[dict[str, Any]]:
    """Yield a row of the short export (JSON-MIN): several choices are an object there, one is plain text."""
    row = {key: cell for key, cell in values.items() if key not in OWN}
    for question, cell in row.items():
        if any("start" in one and "labels" in one for one in objects(cell)):
            raise NotForUs(SPANS, SPANS_CURE)
        if isinstance(cell, dict) and isinstance(cell.get("choices"), list):
            row[question] = one_or_all([str(choice) for choice in cell["choices"]])
    yield row


LABEL_STUDIO = Form("Label Studio", _is_label_studio, _label_studio)
LABEL_STUDIO_FLAT = Form("Label Studio", _is_flat, _flat)
