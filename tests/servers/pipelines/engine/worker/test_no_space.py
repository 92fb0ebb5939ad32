"""A full disk: one clear error, and nothing that was finished is lost."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.base.errors import TunelineError
from agents.base.object_store import ObjectStore
from app.processes.embedded import start_s3
from tests.servers.conftest import RunJob

KEYS = ("full-key", "full-secret")


def test_an_agent_that_finds_no_room_says_so_and_is_tried_again(run_job: RunJob) -> None:
    job = run_job({"a": {"agent": "fail", "config": {"kind": "full"}}})
    error = job.nodes["a"].error or {}

    assert error["error"] == "NO_SPACE"
    assert "no room on this worker's disk" in error["message"]
    assert "TUNELINE_STATE_DIR" in error["message"]
    assert job.nodes["a"].failures == 1
    assert job.nodes["a"].status == "waiting"


@pytest.fixture
def small_store(tmp_path: Path) -> Iterator[ObjectStore]:
    """An S3 server on a disk of 4 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("mounting a small disk needs root")
    server = start_s3(disk, *KEYS)
    try:
        store = ObjectStore(f"http://127.0.0.1:{server.port}", *KEYS, "bucket")
        store.create_bucket()
        yield store
    finally:
        server.stop()
        subprocess.run(["umount", str(disk)], check=True)


def test_a_full_object_store_refuses_clearly_and_keeps_what_it_has(small_store: ObjectStore) -> None:
    finished = small_store.put_artifact(b"finished" * 1000)
    before = small_store.keys("")
    with pytest.raises(TunelineError, match="full disk is a common cause") as refused:
        small_store.put_artifact(os.urandom(6 << 20))

    assert refused.value.retryable
    assert small_store.keys("") == before
    assert small_store.get_artifact(finished) == b"finished" * 1000
