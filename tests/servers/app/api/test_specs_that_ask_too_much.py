"""Specs that took minutes, gigabytes or a file of somebody else: each is a 422 with a sentence, as JSON and as YAML."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from app.api.main import create_app
from app.wiring import Parts
from tests.support.agents import echo, spec

Http = httpx.Client
GRAMMAR = {"patterns": [{"text": "<t>", "label": '"a"'}], "rules": {"t": ["x", "y"]}}
REMOTE = {"$ref": "http://127.0.0.1:9/secret#/nosuch"}
LOCAL = {"items": {"$ref": "file:///etc/passwd#/nosuch"}}


@pytest.fixture
def api(parts: Parts) -> Iterator[Http]:
    with TestClient(create_app(parts), raise_server_exceptions=False) as client:
        yield client


def generate(**config: Any) -> dict[str, Any]:
    return spec({"g": {"agent": "generate", "config": {"rows": 2, "grammar": GRAMMAR, **config}}})


def params(value: Any) -> dict[str, Any]:
    nodes = {"a": echo(config={f"k{n}": "${params.p}" for n in range(1_000)})}
    return {"spec": spec(nodes, params={"p": 1}), "params": {"p": value}}


MERGES = "\n".join(
    ["a0: &a0 {k: v}", *(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 12))]
)
ASKED: dict[str, tuple[Any, str]] = {
    "a schema elsewhere": (generate(answer_schema=REMOTE), "nothing is fetched"),
    "a schema in a file": (generate(answer_schema=LOCAL), "nothing is fetched"),
    "a pattern that looks ahead": (generate(answer_schema={"pattern": "(?=a)b"}), "the pattern '(?=a)b'"),
    "a schema of itself": (generate(answer_schema={"$ref": "#"}), "refers to itself without end"),
    "a parameter a thousand times": (params("x" * 100_000), "with its parameters in place"),
    "a matrix": (spec({"a": echo(matrix={k: list(range(100)) for k in "abcde"})}), "10,000,000,000 nodes"),
    "a grammar": (
        generate(grammar={**GRAMMAR, "rules": {f"r{n}": [f"<r{n + 1}>"] for n in range(3_000)} | {"r3000": ["x"]}}),
        "no rule for <t>",
    ),
    "merge keys": (MERGES, "it says too much"),
    "base 60": ("a: " + "1:" * 500_000 + "1", "a number has at most"),
    "merge keys in JSON": ({"spec": MERGES}, "it says too much"),
}


@pytest.mark.parametrize(("asked", "words"), ASKED.values(), ids=ASKED)
def test_it_is_refused_with_a_sentence(api: Http, asked: Any, words: str) -> None:
    as_yaml = isinstance(asked, str)
    answer = api.post(
        "/jobs",
        content=asked if as_yaml else json.dumps(asked),
        headers={"Content-Type": "application/yaml" if as_yaml else "application/json"},
    )

    assert answer.status_code == 422, answer.text
    assert words in answer.json()["message"]
    assert api.get("/jobs").json()["total"] == 0
