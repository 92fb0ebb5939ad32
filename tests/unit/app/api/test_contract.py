"""The documents: each says all that it should, and an answer that it does not have is found."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from app.api.main import create_app
from app.openapi import operations
from app.serving.main import create_serving
from app.settings import Settings
from app.wiring import Parts
from tests.support.contract import Answer, Book, check, document_of

#: Records of agents, which have no descriptions of single fields.
OF_AGENTS = {
    *("Artifact", "Compared", "ExportedFile", "Histogram", "Parity", "PromptFormat", "Reference", "Threshold"),
}


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Both documents, of services that are connected to nothing."""
    nowhere: dict[str, Any] = {"redis_url": "redis://127.0.0.1:1", "s3_endpoint_url": "http://127.0.0.1:1"}
    parts = Parts(Settings(_env_file=None, state_dir=tmp_path_factory.mktemp("state"), **nowhere))
    serving = create_serving(parts)
    serving.state.serving.history.close()
    return {"api": document_of(create_app(parts)), "serving": document_of(serving)}


@pytest.fixture(params=["api", "serving"])
def document(request: pytest.FixtureRequest, documents: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return documents[request.param]


def test_ids_of_operations_are_unique_over_both_documents(documents: dict[str, dict[str, Any]]) -> None:
    ids = [operation["operationId"] for document in documents.values() for _, operation in operations(document)]

    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", found) for found in ids)


def test_every_operation_and_parameter_says_what_it_is(document: dict[str, Any]) -> None:
    for path, operation in operations(document):
        assert re.fullmatch(r"[A-Z][a-z]+ .*\w", operation["summary"]), path
        assert operation["description"].endswith("."), path
        assert operation["tags"], path
        for parameter in operation.get("parameters", ()):
            assert parameter["description"].endswith("."), (path, parameter["name"])
            assert re.fullmatch(r"[A-Z][\w -]*", parameter["schema"]["title"]), (path, parameter["name"])


def test_every_field_says_what_it_is(document: dict[str, Any]) -> None:
    silent = [
        f"{name}.{field}"
        for name, schema in document["components"]["schemas"].items()
        for field, found in schema.get("properties", {}).items()
        if name not in OF_AGENTS and not name.startswith("Body_") and not found.get("description")
    ]
    assert silent == []


def test_every_answer_in_json_has_a_schema_with_fields(document: dict[str, Any]) -> None:
    for path, operation in operations(document):
        assert any(status < "300" for status in operation["responses"])
        for status, answer in operation["responses"].items():
            schema = answer.get("content", {}).get("application/json", {}).get("schema")
            if schema is not None:
                assert "$ref" in schema or all("$ref" in one for one in schema.get("anyOf", [{}])), (path, status)
    assert "HTTPValidationError" not in json.dumps(document)


def test_who_needs_a_key_and_what_every_route_can_answer_is_said(document: dict[str, Any]) -> None:
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    assert document["security"] == [{"key": []}]
    for path, operation in operations(document):
        is_open = path == "/health"
        assert (operation.get("security") == []) is is_open
        assert ("401" in operation["responses"]) is not is_open
        assert "500" in operation["responses"]


def test_references_lead_to_a_component(document: dict[str, Any]) -> None:
    named = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)))

    assert named <= set(document["components"]["schemas"])


SUMMARY = {
    "name": "m",
    "version": 1,
    "format": "onnx",
    "labels": [],
    "max_tokens": 8,
    "loaded_at": "2026-01-01T00:00:00Z",
}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"status": 418}, "the status is not declared for list_served_models"),
        ({"body": b"{}"}, "'models' is a required property"),
        ({"body": b'{"models": [], "more": 1}'}, "'more' was unexpected"),
        (
            {"body": json.dumps({"models": [{**SUMMARY, "version": "1"}]}).encode()},
            "models.0.version: '1' is not of type",
        ),
        ({"body": json.dumps({"models": [{**SUMMARY, "x": 1}]}).encode()}, "'x' was unexpected"),
        ({"media_type": "text/html"}, "text/html is not declared"),
        ({"path": "/nowhere"}, "no such operation"),
        ({"status": 500, "body": b'{"detail": "x"}'}, "'error' is a required property"),
    ],
)
def test_an_answer_that_the_document_does_not_have_is_found(
    documents: dict[str, dict[str, Any]], answer: dict[str, Any], words: str
) -> None:
    book = Book()
    right: dict[str, Any] = {"status": 200, "media_type": "application/json", "body": b'{"models": []}', "whole": True}
    check(documents["serving"], Answer("GET", **{"path": "/models", **right, **answer}), book)

    assert any(words in fault for fault in book.faults), book.faults


def test_a_right_answer_passes_and_is_noted(documents: dict[str, dict[str, Any]]) -> None:
    book = Book()
    body = json.dumps({"models": [SUMMARY]}).encode()
    check(documents["serving"], Answer("GET", "/models", 200, "application/json", body, whole=True), book)

    assert (book.faults, book.seen) == ([], {("list_served_models", 200)})


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ('event: end\ndata: {"status": "completed"}\n\n', None),
        ('event: end\ndata: {"status": "over"}\n\n', "'over' is not one of"),
        ('event: start\ndata: {"status": "completed"}\n\n', "is not declared"),
        ("event: end\ndata: {\n\n", "Expecting property name"),
        (': a comment\n\nevent: ping\ndata: {}\n\nevent: end\ndata: {"half', None),
    ],
)
def test_each_event_of_a_stream_is_looked_at(
    documents: dict[str, dict[str, Any]], event: str, words: str | None
) -> None:
    book = Book()
    answer = Answer("GET", "/api/v1/jobs/job_x/logs/stream", 200, "text/event-stream", event.encode(), whole=True)
    check(documents["api"], answer, book)

    assert bool(book.faults) is (words is not None)
    assert words is None or words in book.faults[0]


def test_the_page_of_the_documents_is_given(tmp_path: Path) -> None:
    from fastapi.testclient import TestClient

    nowhere: dict[str, Any] = {"redis_url": "redis://127.0.0.1:1", "s3_endpoint_url": "http://127.0.0.1:1"}
    api = TestClient(create_app(Parts(Settings(_env_file=None, state_dir=tmp_path, **nowhere))))

    assert api.get("/openapi.json").json()["info"]["title"] == "Tuneline"
    assert api.get("/docs").status_code == 200
