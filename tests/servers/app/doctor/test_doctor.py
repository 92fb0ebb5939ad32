"""The doctor: what it says of real servers, dead ports and a machine that falls short."""

import http.server
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from packaging.requirements import Requirement
from pydantic import SecretStr, ValidationError

from agents.base.object_store import ObjectStore
from app.doctor import Finding, diagnose
from app.doctor.machine import embedded_servers, file_descriptors, free_disk, memory, port
from app.doctor.packages import judge_packages, pinned_packages, python_version
from app.doctor.servers import StackFile, judge_redis, object_store, redis_server
from app.processes.embedded import Server, free_port
from app.settings import Settings

PINS = [Requirement("redis==8.1.0"), Requirement('torch==2.13.0; extra == "train"')]
GOOD_REDIS = {"redis_version": "8.2.1", "aof_enabled": 1, "maxmemory_policy": "noeviction"}


@pytest.fixture
def settings(
    tmp_path: Path, valkey_server: Server, s3_server: Server, objects: ObjectStore, connection: redis.Redis
) -> Settings:
    """Settings that name the run's servers, emptied, and an empty bucket."""
    return Settings(
        state_dir=tmp_path,
        redis_url=f"redis://127.0.0.1:{valkey_server.port}/0",
        s3_endpoint_url=f"http://127.0.0.1:{s3_server.port}",
        s3_access_key="test-key",
        s3_secret_key=SecretStr("test-secret"),
        s3_bucket=objects.bucket,
        api_port=free_port(),
        serving_port=free_port(),
    )


def changed(settings: Settings, **values: Any) -> Settings:
    return settings.model_copy(update=values)


def named(findings: list[Finding], name: str) -> Finding:
    return next(finding for finding in findings if finding.name == name)


def no_stack(tmp_path: Path) -> StackFile:
    return StackFile.read(tmp_path / "stack.json")


def test_a_working_installation_has_no_fault(settings: Settings) -> None:
    findings = diagnose(settings)
    # Memory and disk are the machine's own; whatever they are, they are told.
    faults = [finding for finding in findings if finding.ok is False and finding.name not in {"memory", "state folder"}]
    assert faults == []
    assert named(findings, "Redis").found.startswith("Valkey ")
    assert named(findings, "object store").ok


def test_every_fault_says_what_to_do(settings: Settings, tmp_path: Path) -> None:
    broken = changed(
        settings,
        redis_url=f"redis://127.0.0.1:{free_port()}",
        s3_endpoint_url=f"http://127.0.0.1:{free_port()}",
        api_host="192.0.2.1",
    )
    faults = [finding for finding in diagnose(broken) if finding.ok is False]
    assert {"Redis", "object store", "API port"} <= {fault.name for fault in faults}
    assert all(fault.cure and fault.found for fault in faults)


def test_a_finding_is_frozen() -> None:
    with pytest.raises(ValidationError):
        Finding(name="Redis", ok=True, found="").ok = False  # type: ignore[misc]


# -- Redis -------------------------------------------------------------------------------------


def test_a_redis_password_is_never_shown(settings: Settings, tmp_path: Path) -> None:
    url = f"redis://user:hunter2@127.0.0.1:{free_port()}/0"
    (finding,) = redis_server(changed(settings, redis_url=url), no_stack(tmp_path))
    assert finding.ok is False
    assert "hunter2" not in finding.found + finding.cure


def test_a_wrong_redis_password_is_told_from_a_dead_server(
    settings: Settings, connection: redis.Redis, tmp_path: Path
) -> None:
    connection.acl_setuser("guest", enabled=True, passwords=["+right"], commands=["+@all"], keys=["*"])
    url = str(settings.redis_url).replace("//", "//guest:wrong@")
    (finding,) = redis_server(changed(settings, redis_url=url), no_stack(tmp_path))
    connection.acl_deluser("guest")
    assert "refuses the password" in finding.found


def test_a_url_that_is_not_redis_is_named_as_such(settings: Settings, tmp_path: Path) -> None:
    (finding,) = redis_server(changed(settings, redis_url="http://127.0.0.1:6379"), no_stack(tmp_path))
    assert finding.ok is False
    assert finding.found.startswith("TUNELINE_REDIS_URL is not a Redis URL: it has to start with redis://")


@pytest.mark.parametrize(
    ("fact", "faulty"),
    [
        ({"redis_version": "6.2.14"}, "Redis"),
        ({"aof_enabled": 0}, "Redis append-only file"),
        ({"aof_last_write_status": "err"}, "Redis append-only file"),
        ({"maxmemory_policy": "allkeys-lru"}, "Redis memory policy"),
    ],
)
def test_a_redis_that_would_lose_jobs_is_a_fault(fact: dict[str, Any], faulty: str) -> None:
    assert all(finding.ok for finding in judge_redis(GOOD_REDIS, "redis:6379"))
    faults = [finding for finding in judge_redis({**GOOD_REDIS, **fact}, "redis:6379") if not finding.ok]
    assert [fault.name for fault in faults] == [faulty]
    assert faults[0].cure


# -- the object store --------------------------------------------------------------------------


def test_the_object_store_is_left_as_it_was(settings: Settings, objects: ObjectStore, tmp_path: Path) -> None:
    assert object_store(settings, no_stack(tmp_path)).ok
    assert objects.keys("") == []


def test_a_missing_bucket_is_named(settings: Settings, tmp_path: Path) -> None:
    finding = object_store(changed(settings, s3_bucket="not-there"), no_stack(tmp_path))
    assert finding.ok is False
    assert "'not-there'" in finding.found


def test_wrong_keys_of_the_object_store_are_a_fault(settings: Settings, tmp_path: Path) -> None:
    finding = object_store(changed(settings, s3_secret_key=SecretStr("wrong")), no_stack(tmp_path))
    assert finding.ok is False
    assert "TUNELINE_S3_SECRET_KEY" in finding.cure


def test_an_endpoint_that_is_no_url_is_a_fault(settings: Settings, tmp_path: Path) -> None:
    finding = object_store(changed(settings, s3_endpoint_url="minio:9000/data"), no_stack(tmp_path))
    assert finding.ok is False
    assert "TUNELINE_S3_ENDPOINT_URL" in finding.cure


# -- the embedded stack ------------------------------------------------------------------------


def test_servers_that_were_never_started_are_no_fault(settings: Settings, tmp_path: Path) -> None:
    embedded = changed(settings, redis_url=None, s3_endpoint_url=None)
    findings = [*redis_server(embedded, no_stack(tmp_path)), object_store(embedded, no_stack(tmp_path))]
    assert [finding.ok for finding in findings] == [None, None]
    assert all("tuneline up" in finding.cure for finding in findings)


def test_the_running_stack_is_found_by_its_file(settings: Settings, tmp_path: Path) -> None:
    urls = {"redis_url": settings.redis_url, "s3_endpoint_url": settings.s3_endpoint_url}
    (tmp_path / "stack.json").write_text(json.dumps(urls))
    findings = diagnose(changed(settings, redis_url=None, s3_endpoint_url=None))
    assert named(findings, "Redis").ok
    assert named(findings, "object store").ok


def test_a_stack_that_died_is_a_fault(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text(json.dumps({"redis_url": f"redis://127.0.0.1:{free_port()}"}))
    (finding,) = redis_server(changed(settings, redis_url=None), no_stack(tmp_path))
    assert finding.ok is False
    assert "tuneline up" in finding.cure


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_broken_stack_file_is_a_fault(content: str, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text(content)
    (finding,) = redis_server(changed(settings, redis_url=None), no_stack(tmp_path))
    assert finding.ok is False
    assert "stack.json" in finding.found


def test_embedded_servers_are_run_for_their_versions() -> None:
    finding = embedded_servers(needed=True)
    assert finding.ok
    assert "Valkey 9" in finding.found
    assert embedded_servers(needed=False).ok is None


# -- packages ----------------------------------------------------------------------------------


def test_this_installation_is_as_pinned() -> None:
    assert [finding for finding in pinned_packages() if finding.ok is False] == []


def test_a_package_in_another_version_is_a_fault() -> None:
    always, train = judge_packages(PINS, ["train"], {"redis": "7.0.0", "torch": "2.12.0"})
    assert (always.ok, train.ok) == (False, False)
    assert "redis 7.0.0, pinned ==8.1.0" in always.found


def test_a_build_of_the_pinned_version_is_as_pinned() -> None:
    assert all(finding.ok for finding in judge_packages(PINS, ["train"], {"redis": "8.1.0", "torch": "2.13.0+cpu"}))


def test_a_missing_extra_is_no_fault_but_a_missing_requirement_is() -> None:
    always, train = judge_packages(PINS, ["train"], {"redis": None, "torch": None})
    assert (always.ok, train.ok) == (False, None)
    assert "[train]" in train.cure


@pytest.mark.parametrize(("version", "fits"), [("3.10.14", False), ("3.11.0", True)])
def test_python_is_held_against_what_the_project_needs(version: str, fits: bool) -> None:
    assert python_version(version, ">=3.11").ok is fits


# -- the machine -------------------------------------------------------------------------------


def test_too_little_memory_is_a_fault() -> None:
    assert memory(needed_bytes=1).ok
    assert memory(needed_bytes=1 << 60).ok is False


def test_too_little_disk_is_a_fault_also_below_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "yet"
    assert free_disk(folder, needed_bytes=1).ok
    assert free_disk(folder, needed_bytes=1 << 60).ok is False
    assert not folder.exists()


def test_a_state_folder_that_is_a_file_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    assert free_disk(tmp_path / "state").ok is False


@pytest.mark.parametrize(("soft", "ok"), [(256, False), (1024, None), (65536, True), (-1, True)])
def test_few_file_descriptors_are_told(soft: int, ok: bool | None) -> None:
    assert file_descriptors((soft, 65536)).ok is ok


# -- ports -------------------------------------------------------------------------------------


class Answer(http.server.BaseHTTPRequestHandler):
    """Answers `/openapi.json` with the JSON that the server was given."""

    def do_GET(self) -> None:
        body = json.dumps(self.server.answer).encode()  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def http_server() -> Iterator[http.server.ThreadingHTTPServer]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("answer", "ok"),
    [
        ({"info": {"title": "Tuneline"}}, True),
        ({"info": {"title": "Tuneline serving"}}, True),
        ({"error": "NOT_AUTHENTICATED", "message": "Send the key."}, True),
        ({"info": {"title": "Another"}}, False),
        ([], False),
    ],
)
def test_a_taken_port_is_a_fault_unless_tuneline_holds_it(
    answer: Any, ok: bool, http_server: http.server.ThreadingHTTPServer
) -> None:
    http_server.answer = answer  # type: ignore[attr-defined]
    assert port("API port", "127.0.0.1", http_server.server_port, "TUNELINE_API_PORT").ok is ok


def test_a_port_held_by_a_program_that_speaks_no_http_is_a_fault() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        hanging_up = threading.Thread(target=_hang_up, args=[holder])
        hanging_up.start()
        assert port("API port", "127.0.0.1", holder.getsockname()[1], "TUNELINE_API_PORT").ok is False
        hanging_up.join()


def _hang_up(holder: socket.socket) -> None:
    holder.accept()[0].close()


def test_a_port_on_a_foreign_address_is_a_fault() -> None:
    finding = port("API port", "192.0.2.1", free_port(), "TUNELINE_API_PORT")
    assert finding.ok is False
    assert "TUNELINE_API_PORT" in finding.cure
