"""What processes import: the help of the command line next to nothing, the API no library that computes."""

import json
import os
import subprocess
import sys

import pytest

from app.cli.commands import COMMANDS
from app.cli.lazy import LazyCommand

#: What computes, and what only processes that compute may load.
HEAVY = {
    "torch",
    "numpy",
    "pyarrow",
    "transformers",
    "sklearn",
    "scipy",
    "datasets",
    "peft",
    "onnxruntime",
    "matplotlib",
}
#: What the help of all commands has no use for either.
OURS_AND_SERVERS = {"pydantic", "redis", "httpx", "fastapi", "structlog", "agents", "pipelines", "rich", "yaml"}
PRINTED = "; import json, sys; print(json.dumps(sorted(sys.modules)))"


def modules(program: str) -> set[str]:
    """Return the top-level modules that a program has imported at its end."""
    environment = {**os.environ, "COLUMNS": "200"}
    line = [sys.executable, "-c", program + PRINTED]
    found = subprocess.run(line, env=environment, capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in json.loads(found.stdout.splitlines()[-1])}


def test_the_help_of_all_commands_imports_none_of_them() -> None:
    found = modules(
        "import sys, contextlib; sys.argv = ['tuneline', '--help']; import tuneline_start\n"
        "with contextlib.suppress(SystemExit): tuneline_start.main()\n0"
    )

    assert found & (HEAVY | OURS_AND_SERVERS) == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_says_in_the_list_what_it_says_itself(name: str) -> None:
    stub = LazyCommand(name, COMMANDS[name])
    real = str(stub.loaded().help).replace(",", "").replace(":", "").split()
    said = COMMANDS[name].help.replace(",", "").replace(":", "").split()

    assert real[:2] == [word.rstrip(".") for word in said[:2]]
    assert len(COMMANDS[name].help) <= 66


def test_the_api_loads_nothing_that_computes() -> None:
    program = (
        "from app.api.main import create_app; from app.wiring import Parts; from app.settings import Settings\n"
        "nowhere = dict(redis_url='redis://127.0.0.1:1', s3_endpoint_url='http://127.0.0.1:1')\n"
        "parts = Parts(Settings(_env_file=None, **nowhere)); create_app(parts).openapi()\n"
        "parts.sweeper, parts.objects, parts.sources, parts.orchestrator, parts.registry, parts.logs"
    )

    assert modules(program) & HEAVY == set()


@pytest.mark.parametrize("command", ["jobs", "run", "models", "up", "worker", "doctor", "datasets", "batches"])
def test_commands_load_nothing_that_computes(command: str) -> None:
    program = (
        "from app.cli.commands import COMMANDS; from app.cli.lazy import LazyCommand\n"
        f"LazyCommand({command!r}, COMMANDS[{command!r}]).loaded()"
    )

    assert modules(program) & HEAVY == set()
