"""The parts of `tuneline up` are killed one by one while a job runs: each comes back, the job ends, nothing is left."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import REPOSITORY
from tests.faults.farm import until
from tests.support.agents import NAMES, TEST_AGENTS, echo, spec
from tests.support.terminal import Terminal

pytestmark = pytest.mark.slow
#: Part -> words that only the command line of its process has; workers have none of their own.
PARTS = {"Valkey": "valkey-server", "The S3 server": "serve s3", "The API": " api ", "Serving": " serve --"}


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    agents = ",".join(f"{name}={TEST_AGENTS[name].path}" for name in NAMES)
    found = Terminal(tmp_path_factory.mktemp("up"), TUNELINE_AGENTS=agents, PYTHONPATH=str(REPOSITORY))
    found.up()
    yield found
    assert found.interrupt() == 0
    until(lambda: found.processes() == [], "something is left behind")


def process_of(terminal: Terminal, words: str) -> psutil.Process:
    (found,) = [each for each in terminal.processes() if words in f" {' '.join(each.cmdline())} "]
    return found


def waiting(terminal: Terminal, gates: Path) -> str:
    """Submit a job whose first node waits at a gate; return its id once it does."""
    gates.mkdir()
    chatter = {"agent": "chatter", "config": {"records": 2, "gates": str(gates), "gate_every": 1}, "retries": 0}
    job: dict[str, Any] = terminal.client.submit(spec({"a": chatter, "b": echo("a", cache=False)}))
    next(record for record in terminal.client.follow(job["id"]) if record["event"] == "said")
    return str(job["id"])


def finish(terminal: Terminal, gates: Path, job_id: str) -> None:
    """Open the gate and see that the job ends well."""
    (gates / "1").touch()
    records = list(terminal.client.follow(job_id))
    assert records[-1]["event"] == "job_completed", records
    assert terminal.client.job(job_id)["status"] == "completed"


@pytest.mark.parametrize("part", PARTS)
def test_a_killed_part_comes_back_and_the_job_completes(terminal: Terminal, tmp_path: Path, part: str) -> None:
    job_id = waiting(terminal, tmp_path / "gates")
    killed = process_of(terminal, PARTS[part])
    killed.kill()
    ended = terminal.wait_for("ended")
    terminal.wait_for(f"{part} runs again.")
    finish(terminal, tmp_path / "gates", job_id)

    assert ended.startswith(f"{part} ended (killed by SIGKILL); it is started again")
    assert process_of(terminal, PARTS[part]).pid != killed.pid
    assert "exit_code=-9" in (terminal.state / "up.log").read_text()


def test_all_servers_at_once_come_back(terminal: Terminal, tmp_path: Path) -> None:
    job_id = waiting(terminal, tmp_path / "gates")
    for words in PARTS.values():
        process_of(terminal, words).kill()
    back = {terminal.wait_for("runs again") for _ in PARTS}
    finish(terminal, tmp_path / "gates", job_id)

    assert back == {f"{part} runs again." for part in PARTS}


def test_a_killed_worker_and_a_killed_forkserver_lose_no_job(terminal: Terminal, tmp_path: Path) -> None:
    job_id = waiting(terminal, tmp_path / "gates")
    worker = terminal.client.job(job_id)["nodes"]["a"]["worker"]
    os.kill(int(worker.rpartition("-")[2]), signal.SIGKILL)
    finish(terminal, tmp_path / "gates", job_id)

    job_id = waiting(terminal, tmp_path / "more gates")
    next(each for each in terminal.processes() if "forkserver" in " ".join(each.cmdline())).kill()
    finish(terminal, tmp_path / "more gates", job_id)


def test_callers_wait_while_the_api_is_started_again(terminal: Terminal) -> None:
    process_of(terminal, PARTS["The API"]).kill()
    with socket.create_connection(("127.0.0.1", terminal.api_port), timeout=60) as caller:
        caller.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        assert caller.recv(100).startswith(b"HTTP/1.1 ")
    terminal.wait_for("The API runs again.")


@pytest.mark.parametrize("taken", ["API", "SERVING"])
def test_a_second_one_on_the_same_ports_ends_with_the_setting(terminal: Terminal, tmp_path: Path, taken: str) -> None:
    second = Terminal(tmp_path / "second")
    ports = {"API": terminal.api_port, "SERVING": terminal.serving_port}
    second.environment |= {f"TUNELINE_{taken}_PORT": str(ports[taken])}
    found = second.run("up")

    assert found.returncode == 1
    assert "Next" not in found.stdout
    assert f"port {ports[taken]}: Address already in use." in found.stderr
    assert f"set TUNELINE_{taken}_PORT" in found.stderr
    assert second.processes() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("moment", ["Starting", "ended"])
def test_it_ends_in_order_while_it_starts_and_while_a_part_is_started_again(
    tmp_path: Path, number: signal.Signals, moment: str
) -> None:
    terminal = Terminal(tmp_path / "state")
    terminal.start()
    terminal.wait_for("Starting")
    if moment == "ended":
        terminal.wait_for("Next")
        process_of(terminal, PARTS["The API"]).kill()
        terminal.wait_for("ended")

    assert terminal.interrupt(number) == 0
    until(lambda: terminal.processes() == [], "something is left behind")
    assert not (terminal.state / "stack.json").exists()


def test_nothing_is_left_behind_when_it_is_killed_itself(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path / "state")
    terminal.up()
    assert terminal.process
    terminal.process.kill()

    until(lambda: terminal.processes() == [], "something is left behind")


def test_a_store_that_does_not_come_back_ends_it_with_a_sentence(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path / "state")
    terminal.up()
    valkey = process_of(terminal, PARTS["Valkey"])
    # Its log is where a folder stands: it can't be started any more.
    (terminal.state / "valkey" / "server.log").unlink()
    (terminal.state / "valkey" / "server.log").mkdir()
    valkey.kill()
    terminal.wait_for("Valkey ended 6 times soon after its start")

    assert terminal.process
    assert terminal.process.wait(120) == 1
    until(lambda: terminal.processes() == [], "something is left behind")
