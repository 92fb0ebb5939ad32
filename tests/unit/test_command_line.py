"""Faults of the command line that no server is needed for: one sentence with place and cure."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from agents.base.errors import TunelineError
from app.cli.commands import app
from app.embedded import free_port

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
