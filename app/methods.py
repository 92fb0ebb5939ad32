"""Which methods a path takes, by the service's document: for `Allow` in refusals (RFC 9110, section 10.2.1)."""

import re

from fastapi import FastAPI
from starlette.convertors import Convertor, register_url_convertor

PREFIX = "/api/v1"
METHODS = {"get", "put", "post", "delete", "patch", "head", "options"}


class _VersionConvertor(Convertor[str]):
    """A version in a path: any segment but those that are actions on the model."""

    regex = r"(?!(?:promote|rollback)(?:/|$))[^/]+"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("version", _VersionConvertor())


def allowed_methods(app: FastAPI, path: str) -> list[str]:
    """Return the methods that the document has for a path, sorted; of several templates that fit, of the plainest."""
    paths = app.openapi()["paths"]
    path = path.removeprefix(PREFIX)
    for template in sorted(paths, key=lambda known: known.count("{")):
        if re.fullmatch(_pattern(template), path):
            return sorted(method.upper() for method in paths[template] if method in METHODS)
    return []


def _pattern(template: str) -> str:
    # Names of artifacts have slashes of their own.
    template = template.replace("/artifacts/{node}/{name}", "/artifacts/{node}/.+")
    return re.sub(r"\{\w+\}", "[^/]+", template)
