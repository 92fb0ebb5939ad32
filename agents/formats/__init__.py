"""Formats: what a model can be exported as. `FORMATS` is the one table of them, best first for serving on a CPU."""

from typing import Annotated

from pydantic import AfterValidator

from agents.formats.base import Format
from agents.formats.table import ADAPTER, GGUF_F16, GGUF_Q4_K_M, GGUF_Q8_0, LINEAR, MERGED, ONNX, ONNX_INT8
from agents.models.kinds import ModelKind

FORMATS: dict[str, Format] = {
    form.name: form for form in (ONNX_INT8, ONNX, GGUF_Q8_0, GGUF_Q4_K_M, GGUF_F16, MERGED, ADAPTER, LINEAR)
}


def _known(name: str) -> str:
    if name not in FORMATS:
        raise ValueError(f"'{name}' is not a format; there are {', '.join(FORMATS)}")
    return name


FormatName = Annotated[str, AfterValidator(_known)]


def formats_of(kind: ModelKind) -> list[Format]:
    """Return the formats of a kind of models, best first for serving on a CPU."""
    return [form for form in FORMATS.values() if kind in form.kinds]


def with_sources(names: list[str]) -> list[Format]:
    """Return the formats of these names and those that they are made from, each after what it is made from."""
    found: dict[str, Format] = {}

    def add(name: str) -> None:
        form = FORMATS[name]
        if form.made_from:
            add(form.made_from)
        found.setdefault(name, form)

    for name in names:
        add(name)
    return list(found.values())


__all__ = ["FORMATS", "Format", "FormatName", "formats_of", "with_sources"]
