"""Writes `docs/settings.md` from `app/settings.py`; run by `make settings`."""

import sys
import types
import typing
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from app.settings import Settings

HEAD = """\
# Settings

Made from `app/settings.py` by `make settings`; a test holds the two together.

Every setting is an environment variable. One that is not set, or is empty, is looked for in a file `.env` in the
folder where the command runs, and has the default below otherwise. `app/settings.py` is the only reader of the
environment, but for the key and address that `generate` asks a language model with ([data.md](data.md)),
`CUDA_VISIBLE_DEVICES`, and what libraries read themselves (`HF_TOKEN`, `MLFLOW_TRACKING_URI` ...). A value of the
wrong type stops the program at its start, with the variable's name.

| Variable | Kind | Default | What it is |
| --- | --- | --- | --- |
"""


def page() -> str:
    """Return the page: one row per field of `Settings`, in their order."""
    rows = (_row(name, field) for name, field in Settings.model_fields.items())
    return HEAD + "".join(rows)


def _row(name: str, field: FieldInfo) -> str:
    kind = _kind(field.annotation)
    return f"| `TUNELINE_{name.upper()}` | {kind} | {_default(field.default)} | {field.description} |\n"


def _kind(annotation: Any) -> str:
    if isinstance(annotation, types.UnionType):
        return _kind(next(part for part in typing.get_args(annotation) if part is not types.NoneType))
    if typing.get_origin(annotation) is typing.Literal:
        return ", ".join(f"`{word}`" for word in typing.get_args(annotation))
    if typing.get_origin(annotation) is tuple:
        return "paths, separated by `:`" if typing.get_args(annotation)[0] is Path else "names, separated by `,`"
    plain = {int: "whole number", float: "number", str: "text", bool: "`true` or `false`", Path: "path"}
    names = {**plain, SecretStr: "secret", dict: "`name=value,...`"}
    return names[typing.get_origin(annotation) or annotation]


def _default(value: Any) -> str:
    if value in (None, {}, ()):
        return ""
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, dict):
        value = ",".join(f"{name}={count}" for name, count in value.items())
    if isinstance(value, tuple):
        value = ":".join(map(str, value))
    return f"`{value}`"


if __name__ == "__main__":
    sys.stdout.write(page())
