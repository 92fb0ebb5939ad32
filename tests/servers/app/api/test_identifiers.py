"""Ids, versions, cursors and names that come with a request: found, not there (404) or not valid (422)."""

from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from app.api.main import create_app
from app.client import Client
from app.wiring import Parts
from tests.support.agents import spec

ODD_CURSORS = ["5-", "1_000-0", "١٢", "1" * 25, str(2**70), "-", "+", "$", ">", "(5-0", "5-0-0", "x", "²", "0x5", "5\0"]
ODD_VERSIONS = ["²", "v²", "9" * 5000, "v" + "9" * 5000, "٣", "0", "-1", "1.0", "a b", "x" * 6000, "\0", "3\n", "*"]
ODD_IDS = ["{job}:log", "{job}:plan", "{job}:outputs", "x" * 6000, "\0", "a b", "*", "jöb", "{job}\n", "{job}%00"]
MADE = [("GET", ""), ("DELETE", ""), ("POST", "/pause"), ("POST", "/resume"), ("POST", "/retry"), ("GET", "/logs")]
MADE += [("GET", "/logs/stream"), ("GET", "/artifacts"), ("GET", "/artifacts/a/b")]


@pytest.fixture
def api(parts: Parts) -> Iterator[TestClient]:
    with TestClient(create_app(parts), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def job(api: TestClient, drain: Callable[[], None]) -> str:
    """A job that made a model."""
    found = str(api.post("/jobs", json=spec({"a": {"agent": "version"}})).json()["id"])
    drain()
    return found


@pytest.mark.parametrize("cursor", ODD_CURSORS)
def test_a_cursor_that_is_none_is_refused_with_its_cure(api: TestClient, job: str, cursor: str) -> None:
    answers = [
        api.get(f"/jobs/{job}/logs", params={"after": cursor}),
        api.get(f"/jobs/{job}/logs/stream", params={"after": cursor}),
    ]
    if cursor.isascii() and cursor.isprintable():
        answers.append(api.get(f"/jobs/{job}/logs/stream", headers={"Last-Event-ID": cursor}))
    for answer in answers:
        assert (answer.status_code, answer.json()["error"]) == (422, "INVALID_REQUEST")
        # The door takes no NUL in a query.
        cure = "no NUL" if "\0" in cursor else "Use the id of a record, such as 1700000000000-0"
        assert cure in answer.json()["message"]


def test_the_newest_cursors_that_can_be_are_taken(api: TestClient, job: str) -> None:
    last = f"{2**64 - 1}-{2**64 - 1}"
    for cursor in ("0", "0-0", str(2**64 - 1), last, "000-1"):
        assert api.get(f"/jobs/{job}/logs", params={"after": cursor}).status_code == 200
        assert "event: end" in api.get(f"/jobs/{job}/logs/stream", params={"after": cursor}).text


@pytest.mark.parametrize("version", ODD_VERSIONS)
@pytest.mark.parametrize("part", ["", "/card", "/files", "/download", "/pictures/roc.svg"])
@pytest.mark.usefixtures("job")
def test_a_version_that_is_none_is_refused_with_its_cure(api: TestClient, version: str, part: str) -> None:
    answer = api.get(f"/models/echo/{quote(version, safe='')}{part}")

    assert (answer.status_code, answer.json()["error"]) == (422, "INVALID_REQUEST")
    assert "Write its number, such as 3, or an alias" in answer.json()["message"]


@pytest.mark.usefixtures("job")
def test_a_version_that_is_not_there_is_not_found(api: TestClient) -> None:
    for version in ("2", "v999", "999999999", "previous", "latest"):
        assert api.get(f"/models/echo/{version}").status_code == 404
        assert api.post("/models/echo/promote", json={"version": version, "reason": "x"}).status_code == 404
    assert api.delete("/models/echo/77").status_code == 404
    assert api.get("/models/echo/v1").json()["version"] == api.get("/models/echo/champion").json()["version"] == 1


@pytest.mark.parametrize("version", ["²", "9" * 5000, "", "\0", "\ud800", 0, -1, 10**30])
@pytest.mark.usefixtures("job")
def test_a_promotion_of_no_version_is_refused(api: TestClient, version: str | int) -> None:
    # As text in ASCII: the client refuses to send half a character.
    written = ascii(version).replace("'", '"').replace("\\x00", "\\u0000").replace("\\xb2", "\\u00b2")
    body = f'{{"version": {written}, "reason": "x"}}'
    answer = api.post("/models/echo/promote", content=body, headers={"Content-Type": "application/json"})

    assert (answer.status_code, answer.json()["error"]) == (422, "INVALID_REQUEST")


@pytest.mark.parametrize("version", ["0", "-1", "1" * 400, "٣", "²"])
@pytest.mark.usefixtures("job")
def test_no_version_is_deleted_by_a_number_that_is_none(api: TestClient, version: str) -> None:
    assert api.delete(f"/models/echo/{quote(version)}").status_code == 422


@pytest.mark.parametrize("name", ["echo:versions", "x" * 6000, "\0", "Echo", "é", "echo\n", "*", "_"])
def test_a_model_of_no_name_is_not_found(api: TestClient, job: str, name: str) -> None:
    assert job
    path = f"/models/{quote(name, safe='')}"
    answers = [api.get(path), api.get(f"{path}/1"), api.get(f"{path}/1/card"), api.delete(f"{path}/1")]
    answers += [api.post(f"{path}/promote", json={"version": 1, "reason": "x"}), api.post(f"{path}/rollback")]

    assert {answer.status_code for answer in answers} == {404}
    assert max(len(answer.json()["message"]) for answer in answers) < 400


@pytest.mark.parametrize("written", ODD_IDS)
@pytest.mark.parametrize(("method", "part"), MADE)
def test_an_id_that_no_job_can_have_is_not_found(
    api: TestClient, job: str, written: str, method: str, part: str
) -> None:
    answer = api.request(method, f"/jobs/{quote(written.replace('{job}', job), safe='')}{part}")

    assert (answer.status_code, answer.json()["error"]) == (404, "NOT_FOUND")
    assert len(answer.json()["message"]) < 400
    assert api.get(f"/jobs/{job}").json()["status"] == "completed"


@pytest.mark.parametrize(
    "range_", ["bytes=" + "9" * 5000 + "-", "bytes=-" + "9" * 5000, "bytes=\u0661-", "bytes=5-2", "bytes=", "lines=1-2"]
)
@pytest.mark.usefixtures("job")
def test_a_range_that_is_none_is_refused(parts: Parts, api: TestClient, range_: str) -> None:
    manifest = parts.objects.get_manifest("models/echo/versions/000001/manifest.json")
    parts.objects.put_manifest(
        "models/echo/versions/000001/manifest.json", {**manifest, "task": "classification", "formats": {"merged": []}}
    )
    answer = api.get("/models/echo/1/download", headers={"Range": range_.encode()})

    assert (answer.status_code, answer.json()["error"]) == (422, "INVALID_REQUEST")


def test_a_reason_is_kept_within_bounds(api: TestClient, job: str) -> None:
    assert job
    long = "x" * 1001
    for path, body in (("/promote", {"version": 1, "reason": long}), ("/rollback", {"reason": long})):
        answer = api.post(f"/models/echo{path}", json=body)
        assert answer.status_code == 422
        assert "at most 1000 characters" in answer.json()["message"]
    assert api.request("DELETE", "/models/echo/1", json={"reason": long}).status_code == 422
    assert api.post("/models/echo/promote", json={"version": 1, "reason": long[:-1]}).status_code == 200


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/"), min_size=1, max_size=40)


@examples(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=TEXTS, place=st.sampled_from(["/jobs/{}", "/jobs/{}/logs", "/models/{}", "/models/echo/{}", "/queues/{}"]))
def test_any_text_in_a_path_is_answered_in_our_words(api: TestClient, job: str, text: str, place: str) -> None:
    assert job
    method = "PUT" if "queues" in place else "GET"
    json = {"workers": 1} if method == "PUT" else None
    answer = api.request(method, place.format(quote(text, safe="")), json=json)

    assert answer.status_code in {200, 404, 405, 422}
    assert answer.status_code == 200 or set(answer.json()) == {"error", "message", "details"}


@examples(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=TEXTS)
def test_any_text_as_a_cursor_or_a_filter_is_answered_in_our_words(api: TestClient, job: str, text: str) -> None:
    assert job
    queries = [(f"/jobs/{job}/logs", "after"), (f"/jobs/{job}/logs", "node"), ("/jobs", "name"), ("/models", "name")]
    for path, name in queries:
        assert api.get(path, params={name: text}).status_code in {200, 422}


def test_the_client_refuses_what_is_no_cursor_before_it_sends_anything() -> None:
    with Client("http://127.0.0.1:9") as client:
        for cursor in ("١٢", "5-", "ü"):
            for ask in (client.logs, client.follow):
                with pytest.raises(Exception, match="is not a cursor"):
                    next(ask("job_1", cursor))
