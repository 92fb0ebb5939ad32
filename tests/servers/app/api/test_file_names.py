"""Names over HTTP: of uploads, agents and models; each is taken, or refused with a sentence, and never a 500."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.api.main import create_app
from app.wiring import Parts
from tests.support.agents import spec

ROWS = b"text,label\nhi,ham\nwin,spam\n"


@pytest.fixture
def api(parts: Parts) -> Iterator[httpx.Client]:
    with TestClient(create_app(parts), raise_server_exceptions=False) as client:
        yield client


def upload(api: httpx.Client, name: str, content: bytes = ROWS) -> httpx.Response:
    """Send a file under any name, also one that clients would escape."""
    body = b'--x\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\n\r\n%s\r\n--x--\r\n'
    data = body % (name.encode("utf-8", "surrogatepass"), content)
    return api.post("/datasets", content=data, headers={"Content-Type": "multipart/form-data; boundary=x"})


@pytest.mark.parametrize(
    "name", ["..", ".", ".env", "x" * 300 + ".csv", "con.csv", "a\x1bb.csv", "a\u202eb.csv", "rows.csv.", "a/..", "a:b"]
)
def test_an_upload_without_a_usable_name_is_refused_in_a_sentence(api: httpx.Client, name: str) -> None:
    answer = upload(api, name)

    assert (answer.status_code, answer.json()["error"]) == (422, "INVALID_REQUEST")
    assert answer.json()["message"].startswith("The upload has no usable file name: ")
    assert api.get("/datasets").json() == {"datasets": []}


@given(st.text(st.sampled_from("ab./\\ :\x00\x1f\u202e") | st.characters(exclude_categories=["Cs"]), max_size=30))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_whatever_the_name_an_upload_is_taken_or_refused_and_then_previewed(api: httpx.Client, name: str) -> None:
    answer = upload(
        api, name.replace('"', "").replace("\r", "").replace("\n", ""), f"text,label\n{name!r},a\n".encode()
    )

    assert answer.status_code in (201, 422)
    if answer.status_code == 201:
        assert api.get(f"/datasets/{answer.json()['id']}/preview").status_code in (200, 422)
    assert api.get("/datasets").status_code == 200


def test_folders_that_browsers_send_before_a_name_are_left_out(api: httpx.Client) -> None:
    assert upload(api, "C:\\fakepath\\rows.csv").json()["filename"] == "rows.csv"


def test_equal_bytes_under_another_name_do_not_rename_what_others_read(api: httpx.Client) -> None:
    first, second = upload(api, "first.csv").json(), upload(api, "second.tsv")

    assert (second.status_code, second.json()) == (201, first)
    assert api.get(f"/datasets/{first['id']}").json()["filename"] == "first.csv"
    assert [dataset["filename"] for dataset in api.get("/datasets").json()["datasets"]] == ["first.csv"]


def test_an_id_that_two_files_would_share_is_given_once(api: httpx.Client, parts: Parts) -> None:
    first = upload(api, "first.csv").json()
    key = f"datasets/{first['id']}/manifest.json"
    other = {**parts.objects.get_manifest(key), "artifact": {**first["artifact"], "sha256": first["id"] + "0" * 48}}
    parts.objects.put_manifest(key, other)
    answer = upload(api, "second.csv")

    assert (answer.status_code, "Add a blank line" in answer.json()["message"]) == (422, True)
    assert upload(api, "second.csv", ROWS + b"\n").status_code == 201


def test_damaged_manifests_of_uploads_are_left_out_and_made_anew(api: httpx.Client, parts: Parts) -> None:
    first = upload(api, "first.csv").json()
    key = f"datasets/{first['id']}/manifest.json"
    for damaged in (b"{", b"[]", b'{"id": "x", "artifact": {"sha256": "../x", "size_bytes": 1}}'):
        parts.objects.put(key, damaged)
        assert api.get("/datasets").json() == {"datasets": []}
        assert api.get(f"/datasets/{first['id']}").status_code == 404
    assert upload(api, "again.csv").json()["filename"] == "again.csv"


def test_a_spec_can_not_start_what_only_tuneline_starts(api: httpx.Client) -> None:
    config: dict[str, Any] = {"files": {"/tmp/x": {"sha256": "0" * 64, "size_bytes": 1}}}
    answer = api.post("/jobs", json={"spec": spec({"a": {"agent": "prediction", "config": config}})})

    assert answer.status_code == 422
    assert "agent 'prediction' can't be named in a spec" in answer.json()["message"]
    assert api.get("/jobs").json()["jobs"] == []


@pytest.mark.parametrize(
    "model", ["", ".", "\x00", "x" * 6000, ".env", "hf://a/b@../..", "package://json/tool.py", "\x1b"]
)
def test_a_model_of_a_preview_is_a_source_like_any_other(api: httpx.Client, model: str) -> None:
    identifier = upload(api, "rows.csv").json()["id"]
    answer = api.get(f"/datasets/{identifier}/preview", params={"model": model})

    assert answer.status_code in (403, 422)
    assert len(answer.json()["message"]) < 500
