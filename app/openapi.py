"""The documents of both services as they are: one shape of errors, who may ask, plain titles."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from agents.base.errors import InvalidRequest, TunelineError, Unavailable
from app.schemas import Fault

Responses = dict[int | str, dict[str, Any]]
REFERENCE = "#/components/schemas/{model}"
RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait before trying again.", "schema": {"type": "integer"}}}
BEARER = {
    "type": "http",
    "scheme": "bearer",
    "description": "The key of TUNELINE_API_KEY, or the token that `tuneline token` prints.",
}
UNKNOWN_HOST = "The service is not known by the name that it was asked by."
#: How the door refuses a request that needs a key, and one with a body.
CALLER_FAULTS = {
    401: "The key is missing or wrong.",
    403: "The caller lacks a permission, or is a web page of another origin.",
    429: "Too many wrong keys came from this address.",
}
BODY_FAULTS = {413: "The body is too large.", 415: "The body is of a type that is not taken here."}
UNFORESEEN = "Something unexpected went wrong, or stored bytes are damaged."
#: FastAPI's own shape of errors, which none of ours has.
NOT_OURS = ("HTTPValidationError", "ValidationError")
#: How words are written in titles.
WRITTEN = {"id": "ID", "url": "URL", "uri": "URI", "sha256": "SHA-256", "uuid": "UUID", "pid": "process ID"}
BYTES = {"type": "string", "format": "binary"}


def faults(*kinds: type[TunelineError], model: Any = Fault) -> Responses:
    """Return what a route says of the errors that it can answer with, by their statuses."""
    found: Responses = {}
    for kind in kinds:
        about = " ".join(re.split(r"[;.](?:\s|$)", kind.__doc__ or kind.__name__)[0].split()) + "."
        answer = found.setdefault(kind.status, {"model": model, "description": ""})
        answer["description"] = f"{answer['description']} {about}".strip()
        if hasattr(kind, "retry_after_s"):
            answer["headers"] = RETRY_AFTER
    return found


def sent(description: str, *media_types: str, **more: Any) -> dict[str, Any]:
    """Return what a route says of an answer that is bytes, not JSON."""
    return {"description": description, "content": {kind: {"schema": BYTES} for kind in media_types}, **more}


def events(
    description: str, *kinds: tuple[str, type[BaseModel]], ids: Sequence[str] = (), last: str | None = None
) -> dict[str, Any]:
    """Return what a route says of a stream of server-sent events, each a name (or none) and what its data is as JSON.

    `ids`: the events that have an id; `last`: the text that the last one has instead of JSON.
    """
    shapes = [_event(name, model, has_id=name in ids) for name, model in kinds]
    if last is not None:
        shapes.append({"type": "object", "properties": {"data": {"const": last}}, "required": ["data"]})
    return {"description": description, "content": {"text/event-stream": {"itemSchema": {"oneOf": shapes}}}}


def _event(name: str, model: type[BaseModel], *, has_id: bool) -> dict[str, Any]:
    schema = {"$ref": REFERENCE.format(model=model.__name__)}
    properties: dict[str, Any] = {"id": {"type": "string"}} if has_id else {}
    if name:
        properties["event"] = {"const": name}
    properties["data"] = {"type": "string", "contentMediaType": "application/json", "contentSchema": schema}
    return {"type": "object", "properties": properties, "required": list(properties)}


def operation_id(route: APIRoute) -> str:
    """Return the id of an operation: the name of its function, which no other function of both services has."""
    return route.name


def install_openapi(
    app: FastAPI,
    *,
    common: Sequence[type[TunelineError]] = (Unavailable,),
    more: Sequence[type[BaseModel]] = (),
    open_paths: Sequence[str] = ("/health",),
) -> None:
    """Have the service give its document.

    `common`: errors of every route that needs a key. `more`: models that only events refer to. `open_paths`: what
    is answered without a key.
    """

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            found = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
                tags=app.openapi_tags,
            )
            app.openapi_schema = _finished(found, common, more, open_paths)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _finished(
    document: dict[str, Any],
    common: Sequence[type[TunelineError]],
    more: Sequence[type[BaseModel]],
    open_paths: Sequence[str],
) -> dict[str, Any]:
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    shown: list[type[BaseModel]] = [Fault, *more]
    kinds: list[tuple[type[BaseModel], Literal["serialization"]]] = [(kind, "serialization") for kind in shown]
    schemas |= models_json_schema(kinds, ref_template=REFERENCE)[1]["$defs"]
    components["securitySchemes"] = {"key": BEARER}
    document["security"] = [{"key": []}]
    for path, operation in operations(document):
        is_open = path in open_paths
        _add_faults(operation, common, is_open=is_open)
        if is_open:
            operation["security"] = []
        for parameter in operation.get("parameters", ()):
            parameter["schema"]["title"] = _title(parameter["name"])
    for name in NOT_OURS:
        schemas.pop(name, None)
    components["schemas"] = {name: _titled(name, schemas[name]) for name in sorted(schemas)}
    return document


def operations(document: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every operation of a document with its path."""
    for path, methods in document["paths"].items():
        for operation in methods.values():
            yield path, operation


def _add_faults(operation: dict[str, Any], common: Sequence[type[TunelineError]], *, is_open: bool) -> None:
    """Add the errors that a route of any kind can answer with, where it has none of that status itself."""
    answers = operation["responses"]
    for status, answer in answers.items():
        if status >= "400" and "content" in answer:
            # FastAPI files them under the kind of the good answer, be it Markdown.
            answer["content"] = {"application/json": next(iter(answer["content"].values()))}
    if _refers_to(answers.get("422", {}), NOT_OURS[0]):
        del answers["422"]
    everywhere = {"500": _described(UNFORESEEN), "421": _described(UNKNOWN_HOST)}
    if "400" not in answers:
        # Queries that are too long are refused, whether a route has parameters or not.
        everywhere["422"] = _described(InvalidRequest.__doc__ or "")
    if "requestBody" in operation:
        everywhere |= {str(status): _described(about) for status, about in BODY_FAULTS.items()}
    if not is_open:
        for status, about in faults(*common).items():
            shown = {key: value for key, value in about.items() if key != "model"}
            everywhere[str(status)] = {**_described(about["description"]), **shown}
        everywhere |= {str(status): _described(about) for status, about in CALLER_FAULTS.items()}
    for status, answer in everywhere.items():
        answers.setdefault(status, answer)
    operation["responses"] = {status: answers[status] for status in sorted(answers)}


def _described(description: str) -> dict[str, Any]:
    schema = {"$ref": REFERENCE.format(model=Fault.__name__)}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _refers_to(answer: Mapping[str, Any], model: str) -> bool:
    schemas: list[Mapping[str, Any]] = [found.get("schema", {}) for found in answer.get("content", {}).values()]
    return any(schema.get("$ref") == REFERENCE.format(model=model) for schema in schemas)


def _titled(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    schema["title"] = _title(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name))
    for field, below in schema.get("properties", {}).items():
        if "$ref" not in below:
            below["title"] = _title(field)
    return schema


def _title(name: str) -> str:
    words = [WRITTEN.get(word, word) for word in re.split(r"[_-]", name.lower()) if word]
    return " ".join([words[0][:1].upper() + words[0][1:], *words[1:]])


__all__ = ["BYTES", "REFERENCE", "events", "faults", "install_openapi", "operation_id", "operations", "sent"]
