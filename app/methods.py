"""Which methods a path takes, by the service's document: for `Allow` in refusals (RFC 9110, section 10.2.1)."""

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
        if _fits(template, path):
            return sorted(method.upper() for method in paths[template] if method in METHODS)
    return []


def _fits(template: str, path: str) -> bool:
    wanted, given = template.split("/"), path.split("/")
    if template.endswith("/artifacts/{node}/{name}") and len(given) > len(wanted):
        # Names of artifacts have slashes of their own.
        given = [*given[: len(wanted) - 1], "/".join(given[len(wanted) - 1 :])]
    return len(wanted) == len(given) and all(
        part == there or (part.startswith("{") and there != "") for part, there in zip(wanted, given, strict=True)
    )
