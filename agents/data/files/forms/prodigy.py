"""Prodigy's answers, and spaCy's texts with categories."""

from collections.abc import Iterator
from typing import Any

from agents.data.files.forms.base import Form, NotForUs, Values, one_or_all

#: Prodigy's own words beside text and label.
OWN = frozenset({"answer", "options", "accept", "_input_hash", "_task_hash", "_session_id", "_view_id", "_timestamp"})


def _is_prodigy(values: Values) -> bool:
    return "_task_hash" in values and "text" in values and "answer" in values


def _prodigy(values: Values) -> Iterator[dict[str, Any]]:
    """Yield an answer that was accepted; what was rejected or ignored has no label."""
    if "spans" in values and values["spans"] and "accept" not in values:
        raise NotForUs(
            "holds Prodigy's answers about parts of a text, which no task here learns",
            "Export answers of textcat, or write one row a part.",
        )
    accepted = values["answer"] == "accept"
    chosen = values.get("accept") if "accept" in values else [values.get("label")]
    labels = [str(one) for one in chosen if one is not None] if accepted and isinstance(chosen, list) else []
    yield {**{key: value for key, value in values.items() if key not in OWN}, "label": one_or_all(labels)}


def _is_spacy(values: Values) -> bool:
    cats = values.get("cats")
    return "text" in values and isinstance(cats, dict) and bool(cats) and all(_is_share(one) for one in cats.values())


def _is_share(value: Any) -> bool:
    return isinstance(value, bool | int | float) and 0 <= value <= 1


def _spacy(values: Values) -> Iterator[dict[str, Any]]:
    labels = [str(name) for name, share in values["cats"].items() if share >= 0.5]
    yield {**{key: value for key, value in values.items() if key != "cats"}, "label": one_or_all(labels)}


PRODIGY = Form("Prodigy", _is_prodigy, _prodigy)
SPACY = Form("spaCy's categories", _is_spacy, _spacy)
