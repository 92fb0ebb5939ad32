"""The documents against those of the last release, and what counts as breaking."""

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from tests.conftest import REPOSITORY
from tests.docs.openapi_changes import breaking_changes
from tests.docs.openapi_documents import present_documents

KEPT = REPOSITORY / "deploy" / "openapi"
#: Texts that are kept for ever and shown in every list have a bound now, which no reason that a person gives meets.
#: Versions have the numbers that they can have.
#: A header is a text or not there: the document said that it may be null.
BOUNDED = {
    "api": [
        "GET /jobs/{job_id}/logs/stream last-event-id: no longer takes null",
        "DELETE /models/{name}/{version} version: maximum asks for more",
        "DELETE /models/{name}/{version} version: minimum asks for more",
        "DELETE /models/{name}/{version} body reason: maxLength asks for more",
        "GET /models/{name}/{version}/files format: maxLength asks for more",
        "POST /models/{name}/promote body version: maxLength asks for more",
        "POST /models/{name}/promote body reason: maxLength asks for more",
        "POST /models/{name}/rollback body reason: maxLength asks for more",
    ],
    "serving": [
        "GET /history model: maxLength asks for more",
        "GET /history label: maxLength asks for more",
    ],
}


def kept(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((KEPT / f"{name}.json").read_text(encoding="utf-8"))
    return document


def test_nothing_breaks_those_who_were_written_for_the_last_release() -> None:
    found = {name: breaking_changes(kept(name), document) for name, document in present_documents().items()}

    assert found == BOUNDED, "see CHANGELOG; `make openapi` keeps the present documents"


Change = Callable[[dict[str, Any]], Any]


def schema(document: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = document["components"]["schemas"][name]
    return found


def parameters(document: dict[str, Any], path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = document["paths"][path]["get"]["parameters"]
    return found


def limit(document: dict[str, Any]) -> dict[str, Any]:
    return next(one for one in parameters(document, "/jobs") if one["name"] == "limit")


def without(document: dict[str, Any], name: str, field: str) -> None:
    found = schema(document, name)
    del found["properties"][field]
    found["required"] = [one for one in found.get("required", ()) if one != field]


BREAKING: dict[str, tuple[Change, str]] = {
    "a path is gone": (lambda d: d["paths"].pop("/jobs/{job_id}/retry"), "POST /jobs/{job_id}/retry: it is gone"),
    "a method is gone": (lambda d: d["paths"]["/jobs"].pop("get"), "GET /jobs: it is gone"),
    "an id is another": (
        lambda d: d["paths"]["/jobs"]["get"].update(operationId="jobs"),
        "GET /jobs: its id was list_jobs and is jobs",
    ),
    "a field of an answer is gone": (lambda d: without(d, "JobView", "nodes"), "the field nodes is gone"),
    "a field deep in an answer is gone": (lambda d: without(d, "NodeView", "cache"), "the field cache is gone"),
    "a field of an answer may be missing": (
        lambda d: schema(d, "QueueView")["required"].remove("workers"),
        "the field workers may be missing",
    ),
    "a field of an answer has another type": (
        lambda d: schema(d, "QueueView")["properties"].update(workers={"type": "string"}),
        "workers: can now be string",
    ),
    "a field of an answer can be null": (
        lambda d: schema(d, "QueueView")["properties"].update(
            workers={"anyOf": [{"type": "integer"}, {"type": "null"}]}
        ),
        "workers: can now be null",
    ),
    "a value of an answer is gone": (
        lambda d: schema(d, "JobView")["properties"]["status"]["enum"].remove("paused"),
        "status: no longer has the values ['paused']",
    ),
    "an item has another type": (
        lambda d: schema(d, "WorkerView")["properties"]["runs"].update(items={"type": "integer"}),
        "runs []: can now be integer",
    ),
    "a good status is gone": (
        lambda d: d["paths"]["/models/{name}/{version}/download"]["get"]["responses"].pop("206"),
        "the status 206 is gone",
    ),
    "a kind of answer is gone": (
        lambda d: d["paths"]["/models/{name}/{version}/pictures/{picture}"]["get"]["responses"]["200"]["content"].pop(
            "image/png"
        ),
        "image/png is gone",
    ),
    "an event is gone": (
        lambda d: d["paths"]["/jobs/{job_id}/logs/stream"]["get"]["responses"]["200"]["content"]["text/event-stream"][
            "itemSchema"
        ]["oneOf"].pop(1),
        "the event gap is gone",
    ),
    "the data of an event lacks a field": (lambda d: without(d, "LogEnd", "status"), "end: the field status is gone"),
    "a request needs one more field": (
        lambda d: schema(d, "PromoteBody")["required"].append("force"),
        "the field force has become required",
    ),
    "a field is no longer taken": (lambda d: without(d, "PromoteBody", "force"), "the field force is gone"),
    "a type is no longer taken": (
        lambda d: schema(d, "PromoteBody")["properties"].update(version={"type": "integer"}),
        "version: no longer takes string",
    ),
    "a body has become required": (
        lambda d: d["paths"]["/models/{name}/rollback"]["post"]["requestBody"].update(required=True),
        "a body has become required",
    ),
    "a kind of body is no longer taken": (
        lambda d: d["paths"]["/jobs"]["post"]["requestBody"]["content"].pop("application/yaml"),
        "application/yaml is gone",
    ),
    "a parameter is gone": (lambda d: parameters(d, "/jobs").remove(limit(d)), "the parameter limit is gone"),
    "a parameter has become required": (lambda d: limit(d).update(required=True), "limit has become required"),
    "a parameter takes less": (lambda d: limit(d)["schema"].update(maximum=10), "limit: maximum asks for more"),
    "a new parameter is required": (
        lambda d: parameters(d, "/jobs").append(
            {"in": "query", "name": "x", "required": True, "schema": {"type": "string"}}
        ),
        "the parameter x has become required",
    ),
}
HARMLESS: dict[str, Change] = {
    "a new path": lambda d: d["paths"].update({"/x": {"get": {"operationId": "x", "responses": {}}}}),
    "a new field of an answer": lambda d: schema(d, "JobView")["properties"].update(x={"type": "string"}),
    "a new value of an answer": lambda d: schema(d, "JobView")["properties"]["status"]["enum"].append("held"),
    "an answer is never null any more": lambda d: schema(d, "QueueView")["properties"].update(
        workers_wanted={"type": "integer"}
    ),
    "a new optional parameter": lambda d: parameters(d, "/jobs").append(
        {"in": "query", "name": "x", "schema": {"type": "string"}}
    ),
    "a parameter takes more": lambda d: limit(d)["schema"].update(maximum=1000),
    "a new optional field of a request": lambda d: schema(d, "PromoteBody")["properties"].update(x={"type": "string"}),
    "a field of a request need not be sent": lambda d: schema(d, "PromoteBody")["required"].remove("reason"),
    "an error less": lambda d: d["paths"]["/jobs"]["post"]["responses"].pop("507"),
    "a new error": lambda d: d["paths"]["/jobs"]["get"]["responses"].update({"418": {"description": "x"}}),
    "other words": lambda d: schema(d, "JobView").update(title="A job", description="Other words."),
}


@pytest.mark.parametrize("change", BREAKING)
def test_what_breaks_is_shown_with_its_place(change: str) -> None:
    make, words = BREAKING[change]
    changed = deepcopy(kept("api"))
    make(changed)
    found = breaking_changes(kept("api"), changed)

    assert any(words in one for one in found), found


@pytest.mark.parametrize("change", HARMLESS)
def test_what_breaks_nobody_is_not_shown(change: str) -> None:
    changed = deepcopy(kept("api"))
    HARMLESS[change](changed)

    assert changed != kept("api")
    assert breaking_changes(kept("api"), changed) == []


def test_a_renamed_schema_is_the_same_to_a_client() -> None:
    changed = json.loads(json.dumps(kept("api")).replace("JobView", "WholeJob"))

    assert breaking_changes(kept("api"), changed) == []
