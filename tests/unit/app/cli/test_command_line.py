"""Faults of the command line that no server is needed for: one sentence with place and cure."""

import socket
import threading
from pathlib import Path

import httpx
import pytest
from rich.console import Console
from rich.table import Table
from typer.testing import CliRunner

from agents.base.errors import Conflict, InvalidRequest, TunelineError
from app.cli.commands import app, run
from app.cli.common import file_name, print_table
from app.cli.jobs import watch
from app.client import ApiError, Client
from app.http import listen
from app.processes.embedded import free_port
from app.processes.stack import Stack
from app.settings import Settings

FILE = "texts.txt"


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a file of texts, and settings that name ports where nobody listens."""
    (tmp_path / FILE).write_text("hello\n")
    monkeypatch.chdir(tmp_path)
    for name in ("API", "SERVING"):
        monkeypatch.setenv(f"TUNELINE_{name}_URL", f"http://127.0.0.1:{free_port()}")
    return tmp_path


@pytest.mark.usefixtures("nowhere")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("jobs", "check TUNELINE_API_URL"),
        ("logs -f job_x", "check TUNELINE_API_URL"),
        ("models download spam", "check TUNELINE_API_URL"),
        ("artifacts job_x a/b", "check TUNELINE_API_URL"),
        ("predict spam hello", "check TUNELINE_SERVING_URL"),
        (f"batches send spam {FILE}", "check TUNELINE_SERVING_URL"),
        ("batches send spam none.txt", "The file 'none.txt' is not there. It was looked for in "),
        ("datasets upload none.csv", "The file 'none.csv' is not there. It was looked for in "),
        ("datasets upload .", "The file '.' is a folder."),
    ],
)
def test_a_fault_is_a_sentence_with_its_cure(arguments: str, words: str) -> None:
    fault = CliRunner().invoke(app, arguments.split()).exception

    # `run` prints these as they are, and nothing else of them.
    assert isinstance(fault, TunelineError)
    assert words in str(fault)


def test_a_download_that_never_began_leaves_no_folder(nowhere: Path) -> None:
    CliRunner().invoke(app, ["models", "download", "spam"])

    assert [path.name for path in nowhere.iterdir()] == [FILE]


def test_the_demo_takes_nothing_from_the_environment_or_the_folder(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (nowhere / ".env").write_text("TUNELINE_API_KEY=of-another-stack\nTUNELINE_REDIS_URL=redis://another:6379\n")
    for name in ("STATE_DIR", "API_PORT", "SERVING_PORT", "HISTORY_URL"):
        monkeypatch.setenv(f"TUNELINE_{name}", "1")
    seen: list[Settings] = []

    def note(stack: Stack, stop: threading.Event, ready: threading.Event) -> None:
        # What its processes read is what it reads itself.
        seen.extend((stack.settings, Settings()))

    monkeypatch.setattr("app.cli.demo.stop_on_signals", threading.Event)
    monkeypatch.setattr(Stack, "run", note)
    CliRunner().invoke(app, ["demo"])

    assert seen[0] == seen[1]
    assert (seen[0].api_key, seen[0].redis_url, seen[0].history_url) == (None, None, None)
    assert Path.cwd() == nowhere


@pytest.mark.usefixtures("nowhere")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["cancel", ""], "'' is not a name or an id"),
        (["models", "show", ".."], "'..' is not a name or an id"),
        (["run", "spam", "-p", "epochs=[1"], "The value of 'epochs' is neither JSON nor YAML"),
        (["run", "spam", "-p", "epochs=.inf"], "The value of 'epochs': inf is not a number"),
        (["run", "."], "There is no spec '.' (Is a directory)"),
    ],
)
def test_odd_words_are_refused_before_anything_is_sent(arguments: list[str], words: str) -> None:
    fault = CliRunner().invoke(app, arguments).exception

    assert isinstance(fault, TunelineError)
    assert words in str(fault)


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://here", "http://", "http://[bad:x"])
def test_an_address_that_is_none_names_its_setting(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNELINE_API_URL", url)
    fault = CliRunner().invoke(app, ["jobs"]).exception

    assert isinstance(fault, TunelineError)
    assert "TUNELINE_API_URL" in str(fault)


def test_another_server_at_the_address_is_told_from_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def other(request: httpx.Request) -> httpx.Response:
        return httpx.Response(302 if request.url.path == "/jobs" else 200, text="<html>")

    with Client() as client:
        monkeypatch.setattr(client, "_api", httpx.Client(transport=httpx.MockTransport(other), base_url="http://other"))
        for ask in (client.jobs, client.models, client.datasets):
            with pytest.raises(TunelineError, match="Something else answers at http://other"):
                ask()


def test_names_of_any_characters_stay_one_part_of_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []

    def note(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.raw_path)
        return httpx.Response(404, json={"error": "NOT_FOUND", "message": "no", "details": []})

    with Client() as client:
        monkeypatch.setattr(client, "_api", httpx.Client(transport=httpx.MockTransport(note), base_url="http://api"))
        for name in ("../models", "a/b?c#d", "ü ä"):
            with pytest.raises(ApiError):
                client.job(name)

    assert seen == [b"/jobs/..%2Fmodels", b"/jobs/a%2Fb%3Fc%23d", b"/jobs/%C3%BC%20%C3%A4"]


def test_a_port_that_is_taken_is_named_with_its_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(Conflict) as caught:
        listen("127.0.0.1", taken.getsockname()[1], "TUNELINE_API")

    assert "Address already in use. Stop what uses it, or set TUNELINE_API_PORT" in str(caught.value)


@pytest.mark.parametrize("port", [99_999, -1])
def test_a_port_that_cannot_be_is_refused(port: int) -> None:
    with pytest.raises(Conflict, match=f"port {port}"):
        listen("127.0.0.1", port, "TUNELINE_API")


@pytest.mark.parametrize("lasting", [True, False])
def test_a_stack_that_goes_away_is_not_offered_for_downloads(
    lasting: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = {"model_name": "spam", "version": 1, "verdict": "HOLD", "formats": {"adapter": []}}
    config = {"config": {"model_name": "spam"}, "sources": {"model_name": "spec"}}
    node = {"agent": "export", "status": "completed", "output": output, **config}
    job = {"id": "job_1", "name": "spam", "status": "completed", "nodes": {"export": node}, "nodes_total": 1}
    with Client() as client:
        monkeypatch.setattr(client, "follow", lambda _, on_notice: iter(()))
        monkeypatch.setattr(client, "job", lambda _: job)
        watch(client, job, lasting=lasting)
    said = capsys.readouterr().out

    assert "spam v1: adapter" in said
    assert ("tuneline models download" in said) is lasting


def test_ids_are_whole_in_a_narrow_pipe(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("app.cli.common.console", Console(width=40, file=None))
    table = Table("job", "name", box=None)
    table.add_row("job_" + "X" * 60, "spam")
    print_table(table)

    assert capsys.readouterr().out.splitlines()[1] == " job_" + "X" * 60 + "  spam"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("LEASE_TTL_S", "1.5", "TUNELINE_LEASE_RENEW_S must be at most half of TUNELINE_LEASE_TTL_S."),
        ("S3_ENDPOINT_URL", "localhost:9000", "it has to start with http:// or https://."),
        ("WORKERS", "training=x", "'training=x' is not queue=workers"),
        ("WORKERS", "training=-3", "'training=-3' is not queue=workers"),
        ("WORKERS", "training", "'training' is not queue=workers"),
        ("AGENTS", "count", "'count' is not name=module:Class@queue"),
        ("REDIS_URL", "127.0.0.1:6379", "it has to start with redis://"),
        ("API_PORT", "x", "valid integer"),
    ],
)
def test_a_setting_that_cannot_be_is_named_at_the_start(
    name: str, value: str, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(f"TUNELINE_{name}", value)
    monkeypatch.setattr("sys.argv", ["tuneline", "jobs"])
    # It would write to this test's captured stream, after the test too.
    monkeypatch.setattr("pipelines.engine.process_log.configure_process_log", lambda: None)
    with pytest.raises(SystemExit):
        run()
    said = capsys.readouterr().err

    assert said.startswith("error: The settings have faults: ")
    assert f"TUNELINE_{name}" in said
    assert words in said


@pytest.mark.parametrize("name", ["../x", "..", ".bashrc", "a/../.ssh", "", "x\x00", "con"])
def test_what_a_server_names_is_written_to_this_folder_or_not_at_all(name: str) -> None:
    with pytest.raises(InvalidRequest, match="--to FILE"):
        file_name(name)

    assert file_name("roc.svg") == "roc.svg"
