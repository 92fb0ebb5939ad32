"""The API's door with its servers: followers that leave, uploads at their limits, who leaves a POST."""

import asyncio
import io
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi.testclient import TestClient

from agents.base.errors import Unavailable
from app.api.main import create_app
from app.client import ApiError, Client
from app.wiring import Parts, build_parts
from tests.support.agents import echo, spec
from tests.support.door import BEARER
from tests.support.written import listening

FOLLOWERS = 12


@pytest.fixture
def job(parts: Parts) -> str:
    """A job that waits for a worker for ever."""
    return parts.orchestrator.submit(spec({"a": echo()}), {})


def followers(parts: Parts) -> int:
    """Return how many connections to Redis last waited for a log, as those of followers do."""
    return sum(client["cmd"] == "xread" for client in parts.connection.client_list())


async def follow(url: str, count: int, while_open: Callable[[], None]) -> None:
    """Follow a log by many connections, and leave all of them at once."""
    async with httpx.AsyncClient(headers=BEARER, limits=httpx.Limits(max_connections=None)) as http:
        answers = [await http.send(http.build_request("GET", url), stream=True) for _ in range(count)]
        # A reader that nobody holds any more would leave by itself.
        readers = [answer.aiter_lines() for answer in answers]
        assert all([(await anext(reader)).startswith("id: ") for reader in readers])
        while_open()
        for answer in answers:
            await answer.aclose()


def until(holds: Callable[[], bool]) -> None:
    async def look() -> None:
        async with asyncio.timeout(20):
            while not holds():
                await asyncio.sleep(0.01)

    asyncio.run(look())


def test_followers_that_leave_at_once_leave_no_connection(parts: Parts, job: str) -> None:
    app = create_app(parts)
    with listening(app) as url:
        seen: list[int] = []
        for _ in range(3):
            asyncio.run(
                follow(f"{url}/jobs/{job}/logs/stream", FOLLOWERS, lambda: seen.append(app.state.follower_room.taken))
            )
        until(lambda: followers(parts) == 0 and app.state.follower_room.taken == 0)

        assert seen == [FOLLOWERS] * 3


def test_more_followers_than_may_be_are_told_to_come_again(parts: Parts, job: str) -> None:
    few = build_parts(parts.settings.model_copy(update={"followers_most": 2}))
    with listening(create_app(few)) as url:

        def third() -> None:
            answer = httpx.get(f"{url}/jobs/{job}/logs/stream", headers=BEARER)
            assert (answer.status_code, answer.json()["error"]) == (503, "UNAVAILABLE")
            assert "TUNELINE_FOLLOWERS_MOST" in answer.json()["message"]
            assert "retry-after" in answer.headers

        asyncio.run(follow(f"{url}/jobs/{job}/logs/stream", 2, third))
        asyncio.run(follow(f"{url}/jobs/{job}/logs/stream", 2, lambda: None))


@pytest.fixture
def api(parts: Parts) -> Iterator[TestClient]:
    small = build_parts(parts.settings.model_copy(update={"upload_limit_mb": 1, "uploads_most": 1}))
    with TestClient(create_app(small), raise_server_exceptions=False) as client:
        yield client


def test_equal_bytes_keep_the_name_that_they_have(api: TestClient) -> None:
    first = api.post("/datasets", files={"file": ("mine.csv", b"text,label\na,b\n")}).json()
    again = api.post("/datasets", files={"file": ("yours.csv", b"text,label\na,b\n")}).json()

    assert again == first
    assert [one["filename"] for one in api.get("/datasets").json()["datasets"]] == ["mine.csv"]


@pytest.mark.parametrize("over", [1, 1 << 20])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_file_above_the_limit_is_refused(api: TestClient, parts: Parts, over: int, chunked: bool) -> None:
    sent: dict[str, Any] = {"files": {"file": ("big.csv", io.BytesIO(b"x" * ((1 << 20) + over)))}}
    if chunked:
        request = httpx.Request("POST", "http://127.0.0.1/datasets", **sent)
        whole = request.read()
        pieces = (whole[start : start + 65536] for start in range(0, len(whole), 65536))
        sent = {"content": pieces, "headers": {"Content-Type": request.headers["content-type"]}}
    answer = api.post("/datasets", **sent)

    assert (answer.status_code, answer.json()["error"]) == (413, "TOO_LARGE")
    assert "TUNELINE_UPLOAD_LIMIT_MB" in answer.json()["message"]
    assert api.get("/datasets").json() == {"datasets": []}


def test_the_client_hears_why_its_upload_is_refused(parts: Parts, tmp_path: Path) -> None:
    small = build_parts(parts.settings.model_copy(update={"upload_limit_mb": 1}))
    big = tmp_path / "big.csv"
    big.write_bytes(b"x" * (32 << 20))
    with listening(create_app(small)) as url, Client(url) as client:
        with pytest.raises(ApiError, match="TUNELINE_UPLOAD_LIMIT_MB"):
            client.upload(big)
        assert client.datasets() == []


@pytest.mark.parametrize("name", ["..", "a\0b", "x" * 300, "a\x1b]0;title\x07"])
def test_a_name_that_files_cannot_have_is_refused(api: TestClient, name: str) -> None:
    content = b'--x\r\nContent-Disposition: form-data; name="file"; filename="%b"\r\n\r\na\r\n--x--\r\n' % name.encode()
    answer = api.post("/datasets", content=content, headers={"Content-Type": "multipart/form-data; boundary=x"})

    assert answer.status_code == 422, answer.text
    assert "no usable file name" in answer.json()["message"]


def test_two_files_are_refused_and_neither_is_kept(api: TestClient) -> None:
    answer = api.post("/datasets", files=[("file", ("a.csv", b"a")), ("file", ("b.csv", b"b"))])

    assert answer.status_code == 422
    assert "more than one file" in answer.json()["message"]
    assert api.get("/datasets").json() == {"datasets": []}


def test_uploads_at_the_same_time_are_bounded(api: TestClient) -> None:
    with api.app.state.upload_room.take():  # type: ignore[attr-defined]
        answer = api.post("/datasets", files={"file": ("a.csv", b"a")})
    assert (answer.status_code, answer.json()["error"]) == (Unavailable.status, "UNAVAILABLE")
    assert api.post("/datasets", files={"file": ("a.csv", b"a")}).status_code == 201


@pytest.mark.parametrize("path", ["/jobs", "/datasets", "/models/spam/promote"])
def test_who_leaves_in_the_middle_of_a_post_leaves_no_trace(
    parts: Parts, path: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    kind = "multipart/form-data; boundary=x" if path == "/datasets" else "application/json"
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: 1000\r\n\r\n--x\r\n"
    with listening(create_app(parts)) as url:
        for _ in range(3):
            with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port)) as connection:
                connection.sendall(head.encode())
        assert httpx.get(f"{url}/health").status_code == 200
    said = capfd.readouterr()
    assert "Traceback" not in said.err + said.out
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


@pytest.mark.parametrize(
    "range_", ["bytes=" + "9" * 5000 + "-", "bytes=-" + "9" * 5000, "bytes=\u00b2-", "bytes=1-\u0661", "x" * 6000]
)
def test_an_odd_range_is_refused(versions: Parts, range_: str) -> None:
    with TestClient(create_app(versions), raise_server_exceptions=False) as client:
        headers = {"Range": range_.encode("utf-8")}
        answer = client.get("/models/spam/1/download?format=merged", headers=headers)
    assert answer.status_code == 422
    assert len(answer.json()["message"]) < 200
