"""Faults of the command line that no server is needed for: one sentence with place and cure."""

import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agents.base.errors import TunelineError
from app.cli.commands import app
from app.embedded import free_port
from app.settings import Settings
from app.stack import Stack

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
        ("batches send spam none.txt", "The file 'none.txt' is not there. Looked for in "),
        ("datasets upload none.csv", "The file 'none.csv' is not there. Looked for in "),
        ("datasets preview .", "The file '.' is a folder."),
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
