"""A follower misses nothing and sees nothing twice while it, the API, the worker and Redis are killed in turn."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from app.processes.embedded import free_port
from tests.faults.farm import Farm, log_of, until, wait_completed
from tests.support.agents import spec

pytestmark = pytest.mark.slow
RECORDS = 10_000 if os.environ.get("FAULTS") == "all" else 5_000
GATE_EVERY = RECORDS // 10
#: Follows a job from the last id in its file on, and adds to the file each id that it is given.
FOLLOWER = """
import sys
from app.client import Client
url, job, path = sys.argv[1:]
with open(path, "a+") as file:
    file.seek(0)
    whole = file.read().rpartition("\\n")[0]
    file.truncate(len(whole) + 1 if whole else 0)
    for record in Client(url).follow(job, whole.rpartition("\\n")[2] or "0-0"):
        file.write(record["id"] + "\\n")
        file.flush()
"""


class Watch:
    """A follower in a process of its own, and the API it talks to."""

    def __init__(self, struck: Farm) -> None:
        self.struck = struck
        self.port = free_port()
        self.seen = struck.folder / "seen"
        self.seen.touch()
        self.api = struck.start_api(self.port)
        self.job_id = ""
        self.follower: subprocess.Popen[bytes]

    def follow(self) -> None:
        command = [sys.executable, "-c", FOLLOWER, f"http://127.0.0.1:{self.port}", self.job_id, str(self.seen)]
        self.follower = subprocess.Popen(command)

    def count(self) -> int:
        return self.seen.read_bytes().count(b"\n")

    def ids(self) -> list[str]:
        return self.seen.read_text().split()

    def kill_follower(self) -> None:
        self.follower.kill()
        self.follower.wait()

    def kill_api(self) -> None:
        self.api.process.kill()
        self.api.process.wait()

    def start_api(self) -> None:
        self.api = self.struck.start_api(self.port)

    def stop(self) -> None:
        self.kill_follower()
        self.api.stop()


@pytest.fixture
def watch(armed: Farm) -> Iterator[Watch]:
    made = Watch(armed)
    yield made
    made.stop()


def test_a_followers_ids_are_the_streams_ids(watch: Watch) -> None:
    struck, gates = watch.struck, watch.struck.folder / "gates"
    gates.mkdir()
    config = {"records": RECORDS, "gates": str(gates), "gate_every": GATE_EVERY}
    watch.job_id = struck.parts.orchestrator.submit(spec({"talk": {"agent": "chatter", "config": config}}), {})
    watch.follow()

    def until_seen(count: int) -> None:
        until(lambda: watch.count() >= count, f"the follower saw {watch.count()} records, not {count}")

    def open_gate(number: int) -> None:
        (gates / str(number * GATE_EVERY)).touch()

    until_seen(GATE_EVERY // 2)
    watch.kill_follower()
    open_gate(1)
    watch.follow()
    until_seen(19 * GATE_EVERY // 10)
    watch.kill_api()
    open_gate(2)
    stream, half_way = f"tuneline:job:{watch.job_id}:log", 5 * GATE_EVERY // 2
    until(lambda: struck.parts.connection.xlen(stream) > half_way, "the talk stopped")
    watch.start_api()
    until_seen(29 * GATE_EVERY // 10)
    struck.restart_valkey()
    open_gate(3)
    until_seen(39 * GATE_EVERY // 10)
    worker = struck.parts.state.job(watch.job_id).nodes["talk"].worker or ""
    os.kill(int(worker.rpartition("-")[2]), signal.SIGKILL)
    for number in range(4, RECORDS // GATE_EVERY):
        open_gate(number)
    wait_completed(struck, watch.job_id)
    watch.follower.wait(60)

    records = log_of(struck.parts, watch.job_id)
    assert watch.ids() == [record["id"] for record in records]
    by_attempt = {
        attempt: [r["fields"]["number"] for r in records if r["event"] == "said" and r["fields"]["attempt"] == attempt]
        for attempt in (1, 2)
    }
    assert by_attempt[1] == list(range(len(by_attempt[1])))
    assert by_attempt[2] == list(range(RECORDS))
    struck.parts.logs.drop_live(watch.job_id)
    assert [record["id"] for record in log_of(struck.parts, watch.job_id)] == watch.ids()
