"""Forms of rows that tools write, in the order in which they are tried: each becomes plain records."""

from collections.abc import Iterator, Mapping
from typing import Any

from agents.base.errors import InvalidData
from agents.data.files.forms import chats, doccano, frames, gemini, intents, label_studio, prodigy, rasa, squad, wrapped
from agents.data.files.forms.base import Form, NotForUs
from agents.data.files.records import Broken, RawRecord

FORMS: tuple[Form, ...] = (
    frames.HUB_ROWS,
    frames.HUB_ROW,
    frames.SPLIT_FRAME,
    squad.SQUAD,
    squad.SQUAD_ROW,
    rasa.RASA,
    intents.INTENTS,
    label_studio.LABEL_STUDIO,
    label_studio.LABEL_STUDIO_FLAT,
    doccano.DOCCANO,
    prodigy.PRODIGY,
    prodigy.SPACY,
    gemini.GEMINI,
    gemini.VERTEX,
    chats.CHATGPT,
    chats.CLAUDE,
    wrapped.WRAPPED,
)
#: Records that are looked at to know a form.
LOOKED_AT = 20


def form_of(values: Mapping[str, Any]) -> Form | None:
    """Return the form that a record or a document has."""
    return next((form for form in FORMS if form.matches(values)), None)


def known_forms() -> str:
    """Return the names of all forms, for a sentence."""
    return ", ".join(dict.fromkeys(form.name for form in FORMS))


def in_form(name: str, records: Iterator[RawRecord | Broken]) -> tuple[Form | None, Iterator[RawRecord | Broken]]:
    """Return the form that the first records have, and all records as what they become."""
    first: list[RawRecord | Broken] = []
    for item in records:
        first.append(item)
        if isinstance(item, RawRecord) or len(first) == LOOKED_AT:
            break
    good = next((item for item in first if isinstance(item, RawRecord)), None)
    form = form_of(good.values) if good else None
    return form, _chained(first, records) if form is None else _converted(name, form, _chained(first, records))


def _chained(first: list[RawRecord | Broken], records: Iterator[RawRecord | Broken]) -> Iterator[RawRecord | Broken]:
    yield from first
    yield from records


def _converted(name: str, form: Form, records: Iterator[RawRecord | Broken]) -> Iterator[RawRecord | Broken]:
    for item in records:
        if isinstance(item, Broken) or not form.matches(item.values):
            yield item
            continue
        for values in rows_of(name, form, item.values):
            yield item._replace(values=values)


def rows_of(name: str, form: Form, values: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the records that a record or document becomes.

    Raises:
        InvalidData: it is of a form that is not learned from.
    """
    try:
        yield from form.rows(values)
    except NotForUs as fault:
        raise InvalidData(f"'{name}' {fault}.", cure=fault.cure) from fault


__all__ = ["FORMS", "Form", "form_of", "in_form", "known_forms", "rows_of"]
