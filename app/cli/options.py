"""Values for a spec's parameters: `-p name=value`, and options of their own for those that every shipped spec has."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from agents.base.errors import InvalidRequest
from pipelines.spec_text import read_document

Param = Annotated[list[str] | None, typer.Option("--param", "-p", help="name=value, instead of the spec's.")]
Format = Annotated[str | None, typer.Option("--format", help="The rows' format, where it is not detected.")]
Part = Annotated[str | None, typer.Option(help="Which of several files, sheets or lists: Sheet2, data.rows, 'en/*'.")]
Encoding = Annotated[str | None, typer.Option(help="The rows' encoding, where it is not detected: cp1251.")]
RowShape = Annotated[str | None, typer.Option(help="The shape of a row, where it is not detected.")]
TextColumn = Annotated[str | None, typer.Option(help="Column of the text or prompt.")]
LabelColumn = Annotated[str | None, typer.Option(help="Column of the label or answer.")]
ModelName = Annotated[str | None, typer.Option(help="The model's name, where it is not the data's.")]
Minimum = Annotated[float | None, typer.Option(help="What the judged metric must reach.")]


def given_params(params: list[str] | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameter -> value, of `name=value` texts and of options, which are left out where they are None.

    Raises:
        InvalidRequest: a text is not so written, or a parameter is given twice.
    """
    found: dict[str, Any] = {}
    written = [parse_param(text) for text in params or []]
    for name, value in (*written, *((name, value) for name, value in options.items() if value is not None)):
        if name in found:
            raise InvalidRequest(f"The parameter '{name}' is given twice.", cure="Leave one of them out.")
        found[name] = value
    return found


def parse_param(text: str) -> tuple[str, Any]:
    """Return (name, value) of `name=value`; the value is read as YAML, so `3` is a number.

    Raises:
        InvalidRequest: not so written, or no value of JSON's.
    """
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise InvalidRequest(f"'{text}' is not name=value.")
    return name, read_document(value, f"The value of '{name}'")
