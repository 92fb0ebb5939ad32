"""Packages of others that have our names: every command ends in one sentence with the cure, no process is misled."""

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import tuneline_start
from app.processes.server import launch
from tests.conftest import REPOSITORY

COMMANDS = (["--help"], ["jobs"], ["run", "spam"], ["up"], ["worker", "--count", "1"], ["models", "list"])
NAMES = ("agents", "app", "pipelines")


def run(*line: str, cwd: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    env = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONSAFEPATH"}}
    return subprocess.run(
        [sys.executable, *line], cwd=cwd, env={**env, **environment}, capture_output=True, text=True, check=False
    )


def said(found: "subprocess.CompletedProcess[str]") -> str:
    """Return the one sentence that a command ended with."""
    assert (found.returncode, found.stdout, found.stderr.count("\n")) == (2, "", 1), found.stderr
    assert found.stderr.startswith("error: ")
    return found.stderr


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A folder with a copy of all that is installed as Tuneline."""
    folder = tmp_path / "installed"
    folder.mkdir()
    for name in NAMES:
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "tuneline_start.py", folder)
    return folder


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_agents_of_another_package_on_the_path_are_named_with_the_cure(tmp_path: Path, arguments: list[str]) -> None:
    other = tmp_path / "other"
    (other / "agents").mkdir(parents=True)
    (other / "agents" / "__init__.py").write_text("raise RuntimeError('it was imported')")
    found = said(run("-P", "-m", "tuneline_start", *arguments, cwd=tmp_path, PYTHONPATH=str(other)))

    assert f"'agents' before Tuneline's, at {other}/agents/__init__.py: take {other} out of PYTHONPATH" in found


@pytest.mark.parametrize("name", NAMES)
def test_each_of_our_names_is_looked_after_as_module_and_as_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "module").mkdir()
    (tmp_path / "module" / f"{name}.py").write_text("")
    (tmp_path / "folder" / name).mkdir(parents=True)
    (tmp_path / "folder" / name / "__init__.py").write_text("")
    for place in ("module", "folder"):
        start = ("-P", "-m", "tuneline_start", "jobs")
        assert f"another '{name}'" in said(run(*start, cwd=tmp_path, PYTHONPATH=str(tmp_path / place)))


@pytest.mark.parametrize("arguments", COMMANDS[:3], ids=" ".join)
def test_files_that_another_package_wrote_over_ours_are_named(copy: Path, arguments: list[str]) -> None:
    (copy / "agents" / "__init__.py").write_text('"""Another."""\nraise RuntimeError("it was imported")')
    found = said(run("-P", str(copy / "tuneline_start.py"), *arguments, cwd=copy.parent, PYTHONPATH=str(copy)))

    assert f"overwritten Tuneline's 'agents' in {copy}/agents" in found
    assert "virtual environment of its own" in found


def test_the_distribution_that_brought_another_package_is_named(tmp_path: Path) -> None:
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "__init__.py").write_text("")
    record = tmp_path / "openai_agents-1.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: openai-agents\nVersion: 1.0\n")
    (record / "top_level.txt").write_text("agents\n")
    names = "import sys, site; site.getsitepackages = lambda: [{!r}]; sys.path.insert(0, {!r}); import tuneline_start; "
    program = names.format(str(tmp_path), str(tmp_path)) + "tuneline_start.main()"
    found = said(run("-P", "-c", program, cwd=REPOSITORY.parent))

    assert "(installed by openai-agents): install Tuneline into a virtual environment of its own." in found


def test_a_module_of_another_package_among_ours_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.packages_distributions", lambda: {"agents": ["tuneline", "openai-agents"]})

    sentence = tuneline_start.mixed(ImportError("no such name", name="agents.models"))
    assert sentence is not None
    assert "(installed by openai-agents)" in sentence
    assert tuneline_start.mixed(ImportError("no such module", name="torch")) is None


def test_our_own_packages_are_ours() -> None:
    assert tuneline_start.foreign() is None


@pytest.fixture
def misleading(tmp_path: Path) -> Path:
    """A user's folder with modules of our names."""
    for name in NAMES:
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('it was imported')")
    (tmp_path / "pipelines.py").unlink()
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "__init__.py").write_text("raise RuntimeError('it was imported')")
    return tmp_path


def test_processes_that_commands_start_are_not_misled_by_the_users_folder(
    misleading: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(misleading)
    ended = threading.Event()
    server = launch("API", tuneline_start.start_command("--help"), misleading / "log", 0, ended.is_set)
    server.process.wait(60)

    assert "Usage: tuneline" in server.log.read_text()


PROCESSES = """
import json, sys
from pathlib import Path
import tuneline_start
assert tuneline_start.prepare() is None
import multiprocessing
from pipelines.engine.worker import child
child.WARM_MODULES[:] = ["pipelines.engine.worker.libraries", "app.settings"]
child.warm_forkserver()
answers = {}
for kind in ("forkserver", "spawn"):
    pool = multiprocessing.get_context(kind).Pool(1)
    answers[kind] = pool.apply(tuneline_start.foreign)
    pool.close()
    pool.join()
print(json.dumps(answers))
"""


def test_processes_of_multiprocessing_are_not_misled_either(misleading: Path) -> None:
    found = run("-P", "-c", PROCESSES, cwd=misleading)

    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout) == {"forkserver": None, "spawn": None}


@pytest.mark.parametrize("start", [("-P",), ()], ids=["safe", "as Python does it"])
@pytest.mark.parametrize("named", [None, "", ":", ":{other}", "{other}:", "{other}::"])
def test_an_empty_entry_of_pythonpath_is_not_the_users_folder(
    misleading: Path, tmp_path_factory: pytest.TempPathFactory, start: tuple[str, ...], named: str | None
) -> None:
    other = tmp_path_factory.mktemp("other")
    (other / "counting.py").write_text("")
    program = (
        "import sys; sys.path[:0] = ['']; import tuneline_start; fault = tuneline_start.prepare();"
        "import os, subprocess;"
        "print(fault); print(os.environ.get('PYTHONPATH'));"
        "subprocess.run([sys.executable, '-c', 'import sys, os; print(os.getcwd() in sys.path or str() in sys.path)'])"
    )
    written = {} if named is None else {"PYTHONPATH": named.format(other=other)}
    found = run(*start, "-c", program, cwd=misleading, **written)

    assert found.returncode == 0, found.stderr
    assert found.stdout.splitlines() == ["None", str(other) if named and "other" in named else "None", "False"]


def test_a_folder_that_pythonpath_names_is_looked_into(tmp_path: Path) -> None:
    (tmp_path / "counting.py").write_text("")
    program = "import tuneline_start; tuneline_start.prepare(); import counting; print(counting.__file__)"
    for named in (str(tmp_path), "."):
        found = run("-P", "-c", program, cwd=tmp_path, PYTHONPATH=named)
        assert found.stdout.strip() == str(tmp_path / "counting.py"), found.stderr


def test_commands_work_in_a_folder_with_modules_of_our_names(misleading: Path) -> None:
    found = run("-P", "-m", "tuneline_start", "--help", cwd=misleading)

    assert found.returncode == 0, found.stderr
    assert "Usage: tuneline" in found.stdout
