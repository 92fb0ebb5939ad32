"""Following a log on the client's side: what can't be read is left out with a notice, what breaks off is said."""

import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from agents.base.errors import InvalidRequest
from app import client as sdk
from app.cli.commands import app
from app.client import ApiError, Client

RECORD = {"at": 1.0, "level": "info", "event": "said", "node": None, "fields": {}}
Answer = Callable[[httpx.Request], httpx.Response]


def event(name: str, data: str, cursor: str = "") -> str:
    return f"{f'id: {cursor}' + chr(10) if cursor else ''}event: {name}\ndata: {data}\n\n"


def record(cursor: str, **fields: Any) -> str:
    return event("log", json.dumps({**RECORD, "id": cursor, **fields}), cursor)


END = event("end", '{"status": "completed"}')


def stream(*events: str) -> httpx.Response:
    return httpx.Response(200, text="".join(events), headers={"Content-Type": "text/event-stream"})


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the client would have waited, each time; it does not."""
    found: list[float] = []
    monkeypatch.setattr(sdk.time, "sleep", found.append)
    return found


@pytest.fixture
def asked() -> list[str]:
    """The cursors that came with requests."""
    return []


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch, asked: list[str]) -> Callable[..., Client]:
    """Return a function that gives a client whose API answers so, one after the other."""

    def make(*answers: httpx.Response | Exception) -> Client:
        left = iter(answers)

        def answer(request: httpx.Request) -> httpx.Response:
            asked.append(request.headers["Last-Event-ID"])
            found = next(left)
            if isinstance(found, Exception):
                raise found
            return found

        client = Client()
        transport = httpx.MockTransport(answer)
        monkeypatch.setattr(client, "_api", httpx.Client(transport=transport, base_url="http://api"))
        return client

    return make


ODD = ["{", "[]", "3", "{}", '{"id": 1}', json.dumps({**RECORD, "id": "5-0", "fields": []}), "[" * 100_000]


@pytest.mark.parametrize("data", ODD, ids=[text[:12] for text in ODD])
@pytest.mark.usefixtures("waits")
def test_a_record_that_can_not_be_read_is_left_out_with_a_notice(api: Callable[..., Client], data: str) -> None:
    said: list[str] = []
    answer = stream(record("1-0"), event("log", data, "2-0"), record("3-0"), END)
    found = list(api(answer).follow("job_1", on_notice=said.append))

    assert [one["id"] for one in found] == ["1-0", "3-0"]
    assert said == ["The record 2-0 can't be read and is left out."]


def test_a_connection_that_breaks_is_said_and_made_again_where_it_stopped(
    api: Callable[..., Client], asked: list[str], waits: list[float]
) -> None:
    said: list[str] = []
    answers = (stream(record("1-0")), httpx.Response(503), httpx.ConnectError("refused"), stream(record("2-0"), END))
    found = list(api(*answers).follow("job_1", on_notice=said.append))

    assert [one["id"] for one in found] == ["1-0", "2-0"]
    assert asked == ["0-0", "1-0", "1-0", "1-0"]
    assert said == [
        "The connection to http://api broke (it was closed). Going on after record 1-0.",
        "Connected to http://api again.",
    ]
    assert waits == sorted(waits)


def test_what_stays_broken_is_said_again_and_again(api: Callable[..., Client], waits: list[float]) -> None:
    said: list[str] = []
    answers = [httpx.Response(503)] * 40 + [stream(END)]
    assert list(api(*answers).follow("job_1", on_notice=said.append)) == []

    assert len(said) == 1 + 40 // sdk.NOTICE_EVERY + 1
    assert "it answered 503" in said[0]
    assert "; 12 tries so far" in said[1]
    assert max(waits) == sdk.RECONNECT_MOST_S


@pytest.mark.usefixtures("waits")
def test_records_that_were_deleted_are_said(api: Callable[..., Client]) -> None:
    said: list[str] = []
    list(api(stream(event("gap", '{"after": "1-0"}'), END)).follow("job_1", "1-0", said.append))

    assert said == ["Records after 1-0 were deleted before they were read."]


@pytest.mark.usefixtures("waits")
def test_a_refusal_ends_it(api: Callable[..., Client]) -> None:
    refusal = httpx.Response(404, json={"error": "NOT_FOUND", "message": "There is no job.", "details": []})
    with pytest.raises(ApiError, match="There is no job"):
        list(api(refusal).follow("job_1"))


@pytest.mark.parametrize("cursor", ["", "١٢", "5-", "-", "$", "1" * 25])
def test_no_cursor_is_sent_that_is_none(api: Callable[..., Client], asked: list[str], cursor: str) -> None:
    with pytest.raises(InvalidRequest, match="is not a cursor"):
        next(api().follow("job_1", cursor))
    with pytest.raises(InvalidRequest, match="is not a cursor"):
        next(api().logs("job_1", cursor))

    assert asked == []


def test_the_command_says_on_standard_error_what_it_leaves_out(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = {**RECORD, "id": "1-0"}

    def follow(_: Client, __: str, ___: str, on_notice: Callable[[str], None], **____: str) -> Iterator[dict[str, Any]]:
        yield whole
        on_notice("The record 2-0 can't be read and is left out.")
        yield {**whole, "id": "3-0", "at": 1e17, "event": "later"}

    monkeypatch.setattr(Client, "job", lambda *_: {})
    monkeypatch.setattr(Client, "follow", follow)
    found = CliRunner().invoke(app, ["logs", "-f", "job_1"])

    assert found.stderr == "The record 2-0 can't be read and is left out.\n"
    assert [line.split()[3] for line in found.stdout.splitlines()] == ["said", "later"]
    assert found.stdout.splitlines()[1].startswith("--:--:-- ")


@pytest.mark.parametrize(
    "fields", [{}, {"done": "x", "total": None}, {"done": 1e308, "total": 1e-300}, {"loss": "NaN"}]
)
def test_progress_of_any_shape_is_drawn(fields: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    from app.cli.live import JobDisplay, show

    records = [
        {**RECORD, "id": "1-0", "node": "a", "event": name, "fields": fields} for name in ("node_started", "progress")
    ]
    records += [{**RECORD, "id": "2-0", "node": "a", "event": "node_completed", "fields": {"seconds": "x", "cache": 3}}]
    for terminal in (True, False):
        show(Console(force_terminal=terminal, width=80), JobDisplay(["a"]), itertools.chain(records))

    assert "completed" in capsys.readouterr().out
