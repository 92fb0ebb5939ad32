"""Tables as JSON: the rows that Hugging Face's viewer answers, and pandas' `orient="split"`."""

from collections.abc import Iterator
from typing import Any

from agents.data.files.forms.base import Form, Values, objects


def _is_hub_rows(values: Values) -> bool:
    rows = objects(values.get("rows"))
    return bool(rows) and all(isinstance(row.get("row"), dict) for row in rows)


def _hub_rows(values: Values) -> Iterator[dict[str, Any]]:
    """Yield the rows of `/rows` and `/first-rows`; class labels become names, as the features say."""
    names = {
        str(feature.get("name")): feature["type"]["names"]
        for feature in objects(values.get("features"))
        if isinstance(feature.get("type"), dict) and isinstance(feature["type"].get("names"), list)
    }
    for row in objects(values["rows"]):
        yield {key: _class_name(value, names.get(key)) for key, value in row["row"].items()}


def _class_name(value: Any, names: list[Any] | None) -> Any:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if names is None or not is_number:
        return value
    # -1 stands for no label, as in test splits of the hub.
    return str(names[value]) if 0 <= value < len(names) else (None if value == -1 else value)


def _is_split_frame(values: Values) -> bool:
    columns, rows = values.get("columns"), values.get("data")
    if not (isinstance(columns, list) and isinstance(rows, list) and columns and rows):
        return False
    return all(isinstance(row, list) and len(row) == len(columns) for row in rows)


def _split_frame(values: Values) -> Iterator[dict[str, Any]]:
    columns = [str(column) for column in values["columns"]]
    for row in values["data"]:
        yield dict(zip(columns, row, strict=True))


def _is_hub_row(values: Values) -> bool:
    return "row_idx" in values and isinstance(values.get("row"), dict)


HUB_ROWS = Form("the rows of Hugging Face's viewer", _is_hub_rows, _hub_rows)
HUB_ROW = Form("the rows of Hugging Face's viewer", _is_hub_row, lambda values: [values["row"]])
SPLIT_FRAME = Form("pandas' split tables", _is_split_frame, _split_frame)
