"""Every answer that a test gets of the API or of serving is held against that service's document.

The applications are listened to, whatever client asks them: an answer whose status, kind or body the document does
not have fails the test that got it.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pytest
from fastapi import FastAPI
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from agents.formats.manifest import read_manifest

PREFIX = "/api/v1"
#: The documents, and the pages that show them.
OWN_PAGES = ("/docs", "/redoc", "/openapi.json")
#: The door refuses requests before it is known where they go.
REFUSED = {401, 403, 404, 405, 413, 415, 421, 422, 429}
#: Nobody is there to read it.
CLIENT_GONE = 499
DOCUMENT = "urn:document"


@dataclass
class Answer:
    """An answer as it was sent."""

    method: str
    path: str
    status: int = 0
    media_type: str = ""
    body: bytes = b""
    whole: bool = False


@dataclass
class Book:
    """What was answered in a test."""

    faults: list[str] = field(default_factory=list)
    seen: set[tuple[str, int]] = field(default_factory=set)
    """(operation id, status)."""


def check(document: dict[str, Any], answer: Answer, book: Book) -> None:
    """Note which operation has answered, and what in its answer the document does not have."""
    found = find_operation(document, answer.method, answer.path)
    place = f"{answer.method} {answer.path} -> {answer.status}"
    if answer.status == 405:
        # Of a path that another one's variables take in, too.
        return
    if found is None:
        # What a browser asks before the request of a page, the door answers itself.
        if answer.method != "OPTIONS" and answer.status not in REFUSED:
            book.faults.append(f"{place}: the document has no such operation")
        return
    book.seen.add((found["operationId"], answer.status))
    declared = found["responses"].get(str(answer.status))
    if declared is None:
        book.faults.append(f"{place}: the status is not declared for {found['operationId']}: {answer.body[:300]!r}")
        return
    book.faults += [f"{place}: {fault}" for fault in _faults_of_content(document, declared.get("content", {}), answer)]


def find_operation(document: dict[str, Any], method: str, path: str) -> dict[str, Any] | None:
    """Return the operation that a request goes to, the one with the fewest variables first."""
    path = path.removeprefix(PREFIX)
    fitting = [known for known in document["paths"] if re.fullmatch(_pattern(known), path, re.DOTALL)]
    found = [
        document["paths"][known].get(method.lower()) for known in sorted(fitting, key=lambda path: path.count("{"))
    ]
    return next((operation for operation in found if operation is not None), None)


@cache
def _pattern(path: str) -> str:
    # Only names of artifacts have slashes of their own.
    path = path.replace("/artifacts/{node}/{name}", "/artifacts/{node}/.+")
    return re.sub(r"\{\w+\}", "[^/]+", path)


def _faults_of_content(document: dict[str, Any], content: dict[str, Any], answer: Answer) -> list[str]:
    if not content:
        return [f"a body is not declared: {answer.body[:100]!r}"] if answer.body else []
    kind = content.get(answer.media_type, content.get("*/*"))
    if kind is None:
        return [f"{answer.media_type or 'no media type'} is not declared; there are {', '.join(content)}"]
    if answer.media_type == "application/json" and answer.whole:
        return faults_of(document, kind["schema"], json.loads(answer.body))
    if answer.media_type == "text/event-stream":
        return [
            fault for event in events_of(answer.body) for fault in faults_of_event(document, kind["itemSchema"], event)
        ]
    return []


def faults_of(document: dict[str, Any], schema: dict[str, Any], value: Any) -> list[str]:
    """Return where a value does not fit a schema of the document, closed against unknown fields."""
    found = _validator(document["info"]["x-key"], json.dumps(schema)).iter_errors(value)
    return [f"{'.'.join(map(str, error.absolute_path)) or 'body'}: {error.message[:300]}" for error in found]


def events_of(body: bytes) -> list[dict[str, str]]:
    """Return the events of a stream that came whole."""
    texts = body.decode().replace("\r\n", "\n").split("\n\n")[:-1]
    lines = [[line.partition(": ") for line in text.splitlines() if not line.startswith(":")] for text in texts]
    return [{name: value for name, _, value in event} for event in lines if event]


def faults_of_event(document: dict[str, Any], schema: dict[str, Any], event: dict[str, str]) -> list[str]:
    """Return why an event is none of those that a stream may have."""
    faults: list[str] = []
    for kind in schema["oneOf"]:
        known = kind["properties"]
        if set(event) != set(known) or any(
            value["const"] != event[k] for k, value in known.items() if "const" in value
        ):
            continue
        if "const" in known["data"]:
            return []
        try:
            found = faults_of(document, known["data"]["contentSchema"], json.loads(event["data"]))
        except ValueError as fault:
            found = [str(fault)]
        if not found:
            return []
        faults += found
    return faults or [f"the event {event} is not declared"]


_documents: dict[str, dict[str, Any]] = {}


@cache
def _validator(key: str, schema: str) -> Draft202012Validator:
    document = json.loads(json.dumps(_documents[key]))
    for component in document["components"]["schemas"].values():
        if "properties" in component and "additionalProperties" not in component:
            component["additionalProperties"] = False
    registry = Registry().with_resource(DOCUMENT, Resource(document, DRAFT202012))
    absolute = json.loads(schema.replace('"#/components', f'"{DOCUMENT}#/components'))
    return Draft202012Validator(absolute, registry=registry)


def shown(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return a manifest as the API answers with it."""
    return read_manifest(manifest).as_json()


def document_of(app: FastAPI) -> dict[str, Any]:
    """Return the document of a service; made once, since it takes a while."""
    # Serving comes with and without the routes of batches.
    key = f"{app.title}, {len(app.routes)} routes"
    if key not in _documents:
        found = app.openapi()
        _documents[key] = {**found, "info": {**found["info"], "x-key": key}}
    return _documents[key]


def _is_ours(app: FastAPI, scope: Any) -> bool:
    return scope["type"] == "http" and (hasattr(app.state, "parts") or hasattr(app.state, "serving"))


@pytest.fixture(autouse=True)
def contract(monkeypatch: pytest.MonkeyPatch) -> Iterator[Book]:
    """Listen to both services while a test runs; what their documents don't have fails it."""
    book, call = Book(), FastAPI.__call__

    async def listened(app: FastAPI, scope: Any, receive: Any, send: Any) -> None:
        if not _is_ours(app, scope) or scope["path"].startswith(OWN_PAGES):
            await call(app, scope, receive, send)
            return
        answer = Answer(scope["method"], scope["path"])

        async def note(message: Any) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                headers = {name.lower(): value.decode() for name, value in message["headers"]}
                answer.media_type = headers.get(b"content-type", "").partition(";")[0]
            elif answer.media_type in {"application/json", "text/event-stream"}:
                answer.body += message.get("body", b"")
                answer.whole = not message.get("more_body", False)
            await send(message)

        try:
            await call(app, scope, receive, note)
        finally:
            if answer.status not in {0, CLIENT_GONE}:
                check(document_of(app), answer, book)

    monkeypatch.setattr(FastAPI, "__call__", listened)
    yield book
    assert not book.faults, "\n".join(book.faults)
