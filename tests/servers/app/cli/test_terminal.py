"""Names and texts from outside, through the real command line: a terminal is told nothing but what can be read."""

import json
import os
import re
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.base import bucket
from app.api.main import create_app
from app.wiring import Parts
from tests.support.agents import spec
from tests.support.written import listening

#: Sets a title, clears the screen, turns the direction, hides in zero width, begins a line that looks like ours.
HOSTILE = (
    "\x1b]0;owned\x07\x1b[2J\x9b31m\u202egnp.exe\u2066\u200bzero\ufeff\u2028\r\nerror: all is lost\x08\x7f[red]x[/]"
)
#: What colours consist of; with a terminal they are ours.
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
#: How a live display moves.
MOVES = re.compile(r"\x1b\[(?:\?25[hl]|[0-9]*[AK])|\r")
HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp", "Co"}


@pytest.fixture
def url(parts: Parts) -> Iterator[str]:
    with listening(create_app(parts)) as address:
        yield address


@pytest.fixture
def job(parts: Parts, drain: Callable[[], None]) -> str:
    """A job whose nodes, values, errors and artifacts have such names."""
    nodes = {
        "a": {"agent": "anything", "matrix": {"value": [HOSTILE]}},
        "b": {"agent": "careless", "config": {"fail": True}},
        "c": {"agent": "echo", "config": {"say": HOSTILE}},
        "d": {"agent": "version"},
    }
    found = parts.orchestrator.submit(spec(nodes), {})
    drain()
    return found


def run(url: str, *arguments: str, folder: Path, colours: bool = False, status: int = 0) -> str:
    """Return all that a command printed, colours left out."""
    environment = {**os.environ, "TUNELINE_API_URL": url, "TERM": "xterm-256color", "COLUMNS": "200"}
    environment |= {"FORCE_COLOR": "1"} if colours else {}
    found = subprocess.run(
        [sys.executable, "-m", "tuneline_start", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        check=False,
    )
    said = found.stdout.decode() + found.stderr.decode()
    assert found.returncode == status, said
    return MOVES.sub("", COLOURS.sub("", said)) if colours else said


def harmless(said: str) -> bool:
    """Say whether nothing of it would be obeyed or hidden, and no line is one that a name made."""
    hidden = {character for character in said if unicodedata.category(character) in HIDDEN} - {"\n"}
    assert hidden == set(), said
    return not any(line.startswith("error: all is lost") for line in said.splitlines())


@pytest.mark.parametrize("colours", [False, True], ids=["pipe", "terminal"])
def test_commands_about_jobs(url: str, job: str, tmp_path: Path, colours: bool) -> None:
    for arguments in (["jobs"], ["jobs", job], ["logs", job], ["logs", "-f", job], ["artifacts", job]):
        said = run(url, *arguments, folder=tmp_path, colours=colours)
        assert harmless(said)
        assert job in said or len(said) > 100
    shown = run(url, "jobs", job, folder=tmp_path, colours=colours)
    assert r"\x1b]0;owned\x07" in shown
    assert r"\u202egnp.exe" in shown
    assert "[red]x[/]" in shown


@pytest.mark.parametrize("colours", [False, True], ids=["pipe", "terminal"])
def test_a_run_that_is_watched(
    url: str, tmp_path: Path, parts: Parts, drain: Callable[[], None], colours: bool
) -> None:
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(spec({"a": {"agent": "anything", "matrix": {"value": [HOSTILE]}}})))
    job_id = run(url, "run", str(path), "--detach", folder=tmp_path).strip()
    drain()
    record = next(record for record in parts.logs.read(job_id) if record["node"])
    code = (
        "from app.client import Client; from app.cli.jobs import watch\n"
        f"with Client({url!r}) as api: watch(api, api.job({job_id!r}))"
    )
    environment = {**os.environ, "TERM": "xterm-256color", **({"FORCE_COLOR": "1"} if colours else {})}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)

    assert HOSTILE in record["node"]
    assert harmless(MOVES.sub("", COLOURS.sub("", found.stdout)))
    assert "Job completed." in found.stdout


def test_commands_about_datasets(url: str, parts: Parts, tmp_path: Path) -> None:
    rows = [{"text": f"hello {number}", "label": HOSTILE, f"extra {HOSTILE}": 1} for number in range(3)]
    odd = tmp_path / "rows.jsonl"
    odd.write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = run(url, "datasets", "upload", odd.name, folder=tmp_path)
    dataset = said.strip()
    assert harmless(said)
    manifest = parts.objects.get_manifest(bucket.dataset_manifest(dataset.removeprefix("dataset://")))
    key = bucket.dataset_manifest(dataset.removeprefix("dataset://"))
    parts.objects.put_manifest(key, {**manifest, "filename": f"rows {HOSTILE}"})
    listed = run(url, "datasets", folder=tmp_path)
    shown = run(
        url, "datasets", "preview", dataset, "--text-column", "text", "--label-column", "label", folder=tmp_path
    )

    assert harmless(listed)
    assert "owned" in listed
    assert len(listed.splitlines()) == 2
    assert harmless(shown)
    assert r"\x1b]0;owned" in shown


def test_commands_about_models_and_the_doctor(url: str, job: str, parts: Parts, tmp_path: Path) -> None:
    assert job
    card = parts.objects.put_artifact(f"# card\n{HOSTILE}\n".encode(), "text/markdown").model_dump()
    manifest = {
        "name": "echo",
        "version": 1,
        "task": "classification",
        "verdict": "PROMOTE",
        "metrics": {f"f1 {HOSTILE}": 0.5},
        "formats": {HOSTILE: []},
        "card": card,
    }
    parts.objects.put_manifest(bucket.version_manifest("echo", 1), manifest)
    for arguments in (["models"], ["models", "show", "echo"], ["models", "card", "echo"]):
        assert harmless(run(url, *arguments, folder=tmp_path).replace("\nerror: all is lost", ""))
    parts.objects.put(bucket.version_manifest("echo", 1), json.dumps({"name": HOSTILE, "verdict": HOSTILE}).encode())
    assert harmless(run(url, "models", "show", "echo", folder=tmp_path))
    (tmp_path / "state").mkdir(exist_ok=True)
    said = subprocess.run(
        [sys.executable, "-m", "tuneline_start", "doctor"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "queues" in said.stdout
    assert harmless(said.stdout + said.stderr)


@pytest.mark.parametrize(
    "arguments",
    [
        ["jobs", HOSTILE],
        ["logs", "-f", HOSTILE],
        ["logs", "--after", HOSTILE, "job_x"],
        ["run", HOSTILE],
        ["run", "spam", "-p", f"{HOSTILE}=1"],
        ["run", "spam", "-p", HOSTILE],
        ["models", "show", HOSTILE],
        ["models", "promote", "echo", HOSTILE, "--reason", "x"],
        ["datasets", "upload", HOSTILE],
    ],
    ids=lambda arguments: " ".join(arguments[:2])[:12].split("\x1b")[0],
)
def test_faults_show_back_what_was_given(url: str, tmp_path: Path, arguments: list[str]) -> None:
    said = run(url, *arguments, folder=tmp_path, status=1)

    assert said.startswith("error: ")
    assert "Traceback" not in said
    assert harmless(said)


def test_json_for_scripts_is_whole_and_in_ascii(url: str, job: str, tmp_path: Path) -> None:
    found: dict[str, Any] = json.loads(text := run(url, "jobs", job, "--json", folder=tmp_path))

    assert text.isascii()
    assert any(HOSTILE in name for name in found["nodes"])
