"""doccano's older export: a text with annotations that name labels by number. Newer ones are plain rows."""

from collections.abc import Iterator
from typing import Any

from agents.data.files.forms.base import Form, NotForUs, Values, objects, one_or_all


def _is_doccano(values: Values) -> bool:
    annotations = objects(values.get("annotations"))
    return isinstance(values.get("text"), str) and bool(annotations) and all("label" in one for one in annotations)


def _doccano(values: Values) -> Iterator[dict[str, Any]]:
    annotations = objects(values["annotations"])
    if any("start_offset" in one for one in annotations):
        raise NotForUs(
            "is a doccano export with labels of parts of a text, which no task here learns",
            "Export a project of text classification, or write one row a part.",
        )
    rest = {key: value for key, value in values.items() if key not in {"annotations", "annotation_approver"}}
    yield {**rest, "label": one_or_all([str(one["label"]) for one in annotations])}


DOCCANO = Form("doccano", _is_doccano, _doccano)
