"""The embedded servers let in who has the secrets of their start, and the engine needs no more rights than it has."""

import errno
import json
import stat
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis
from pydantic import SecretStr
from redis.backoff import NoBackoff
from redis.retry import Retry

from agents.base.errors import InvalidRequest, NotAllowed, TunelineError, Unavailable
from agents.base.object_store import ObjectStore
from app.processes.embedded import USER, start_s3, start_valkey
from app.processes.server import Server, rotate
from app.processes.stack import Secrets, write_private
from app.settings import Settings
from app.stack_file import stack, stack_file, store_keys
from app.wiring import Parts, build_parts
from pipelines.engine.process_log import log_into
from tests.support.agents import echo, spec
from tests.support.in_process import InProcessWorker

PASSWORD = "a-password-of-the-test"
REFUSED = (
    *("CONFIG SET dir /tmp", "CONFIG GET *", "CONFIG REWRITE", "DEBUG SLEEP 0", "FLUSHALL", "FLUSHDB", "KEYS *"),
    *(
        "SHUTDOWN NOSAVE",
        "REPLICAOF 127.0.0.1 1",
        "SLAVEOF NO ONE",
        "MODULE LOAD /tmp/x.so",
        "ACL LIST",
        "ACL GETUSER default",
    ),
    *(
        "ACL SETUSER tuneline +@all",
        "MONITOR",
        "SAVE",
        "BGSAVE",
        "BGREWRITEAOF",
        "CLIENT LIST",
        "CLIENT KILL TYPE normal",
    ),
    *(
        "MIGRATE 127.0.0.1 1 k 0 5",
        "RESTORE k 0 x",
        "SORT k",
        "SWAPDB 0 1",
        "SLOWLOG GET",
        "LATENCY RESET",
        "LATENCY LATEST",
    ),
    *("SCRIPT FLUSH", "SCRIPT KILL", "FUNCTION LIST", "FUNCTION LOAD x", "FCALL f 0", "PUBLISH c x", "SUBSCRIBE c"),
    *("CLIENT PAUSE 1000", "FAILOVER", "PSYNC ? -1", "COMMANDLOG GET 1 slow"),
)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_valkey(tmp_path_factory.mktemp("guarded"), password=PASSWORD)
    yield server
    server.stop()


def client(guarded: Server, user: str | None = USER, password: str | None = PASSWORD) -> redis.Redis:
    return redis.Redis(port=guarded.port, username=user, password=password, retry=Retry(NoBackoff(), 0))


@pytest.mark.parametrize("login", [(None, None), (None, ""), (USER, "wrong"), ("default", ""), ("default", PASSWORD)])
def test_nobody_is_let_in_without_the_password(guarded: Server, login: tuple[str | None, str | None]) -> None:
    for command in ("PING", "GET tuneline:jobs", "INFO", "HELLO 3", "LPUSH rq:queue:default x"):
        with pytest.raises((redis.AuthenticationError, redis.exceptions.ResponseError)):
            client(guarded, *login).execute_command(*command.split())


@pytest.mark.parametrize("command", REFUSED)
def test_the_engines_user_may_not_touch_the_server(guarded: Server, command: str) -> None:
    with pytest.raises(redis.exceptions.ResponseError, match=r"(?i)no permissions|not allowed"):
        client(guarded).execute_command(*command.split())


def test_scripts_may_not_do_what_their_caller_may_not(guarded: Server) -> None:
    with pytest.raises(redis.exceptions.ResponseError, match="ACL"):
        client(guarded).eval("return redis.call('FLUSHALL')", 0)


def test_the_password_is_nowhere_to_be_read(guarded: Server) -> None:
    process = psutil.Process(guarded.process.pid)
    assert PASSWORD not in " ".join(process.cmdline())
    assert not any(PASSWORD.encode() in file.read_bytes() for file in guarded.log.parent.rglob("*") if file.is_file())
    assert stat.S_IMODE(guarded.log.stat().st_mode) == 0o600


def test_a_restart_keeps_port_data_and_password(tmp_path: Path) -> None:
    server = start_valkey(tmp_path, password=PASSWORD)
    client(server).set("tuneline:kept", "yes")
    client(server).execute_command("WAITAOF", 1, 0, 1000)
    server.process.kill()
    server.process.wait()
    again = start_valkey(tmp_path, server.port, PASSWORD)
    kept = client(again).get("tuneline:kept")
    again.stop()

    assert kept == b"yes"


def test_data_of_a_release_without_passwords_goes_on(tmp_path: Path) -> None:
    old = start_valkey(tmp_path)
    redis.Redis(port=old.port).set("tuneline:kept", "yes")
    old.stop()
    new = start_valkey(tmp_path, password=PASSWORD)
    kept = client(new).get("tuneline:kept")
    new.stop()

    assert kept == b"yes"


def test_a_server_that_cannot_have_its_port_is_not_taken_for_who_has_it(guarded: Server, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=rf"did not start on port {guarded.port}: .*Failed listening"):
        start_valkey(tmp_path, guarded.port, PASSWORD)


def test_objects_of_a_release_with_the_default_key_go_on_under_another(tmp_path: Path) -> None:
    old = start_s3(tmp_path, "tuneline", "tuneline-local")
    store = ObjectStore(f"http://127.0.0.1:{old.port}", "tuneline", "tuneline-local", "tuneline")
    store.create_bucket()
    store.put("models/spam", b"weights", "text/plain")
    old.stop()
    new = start_s3(tmp_path, "made-key", "made-secret")
    found = ObjectStore(f"http://127.0.0.1:{new.port}", "made-key", "made-secret", "tuneline").get("models/spam")
    with pytest.raises(TunelineError):
        ObjectStore(f"http://127.0.0.1:{new.port}", "tuneline", "tuneline-local", "tuneline").get("models/spam")
    new.stop()

    assert found == b"weights"


@pytest.fixture
def within_rights(parts: Parts, guarded: Server) -> Iterator[Parts]:
    """Parts over the guarded server, whose user has no more than `RIGHTS`."""
    url = f"redis://{USER}:{PASSWORD}@127.0.0.1:{guarded.port}"
    built = build_parts(parts.settings.model_copy(update={"redis_url": url}))
    built.check()
    # Which `parts` have marked as their own.
    built.installation.adopt()
    yield built
    built.connection.close()


def test_the_engine_needs_no_more_rights(within_rights: Parts) -> None:
    nodes = {
        **{"a": echo(matrix={"say": ["x", "y"]}), "b": echo("a")},
        "flaky": {"agent": "fail", "config": {"kind": "memory", "times": 1}, "retries": 1},
        "version": {"agent": "version", "needs": ["b"], "config": {}},
    }
    job_id = within_rights.orchestrator.submit(spec(nodes), {})
    lost = within_rights.orchestrator.submit(spec({"a": echo()}), {})
    within_rights.orchestrator.claim(lost, "a", 1, "silent")
    worker, sweeper = InProcessWorker(within_rights), within_rights.sweeper
    for _ in range(2):
        worker.work_off(["default"])
        sweeper.sweep()
    within_rights.orchestrator.stop(lost, "cancel")
    within_rights.fleet.want("default", 2)
    within_rights.housekeeper.remove(within_rights.housekeeper.find())
    within_rights.registry.rebuild()

    assert within_rights.state.head(job_id).status in {"completed", "running"}
    assert within_rights.server_faults() == {"redis": None, "object_store": None}
    assert within_rights.fleet.queues(["default"])[0].workers_wanted == 2
    assert within_rights.logs.read(job_id)


# -- secrets -----------------------------------------------------------------------------------


def embedded(tmp_path: Path, **values: object) -> Settings:
    return Settings(_env_file=None, state_dir=tmp_path, **values)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _without_settings(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "parts" not in request.fixturenames:
        for name in ("REDIS_URL", "S3_ENDPOINT_URL", "S3_ACCESS_KEY", "S3_SECRET_KEY"):
            monkeypatch.delenv(f"TUNELINE_{name}", raising=False)


def test_each_start_makes_its_own_secrets_but_keeps_keys_that_are_set(tmp_path: Path) -> None:
    first, second = Secrets.make(embedded(tmp_path)), Secrets.make(embedded(tmp_path))
    assert len({first.redis_password, second.redis_password, first.s3_secret_key, second.s3_secret_key}) == 4
    assert min(len(first.redis_password), len(first.s3_secret_key)) == 64
    own = Secrets.make(embedded(tmp_path, s3_access_key="mine", s3_secret_key=SecretStr("my-secret")))
    assert (own.s3_access_key, own.s3_secret_key) == ("mine", "my-secret")


def test_a_private_file_is_whole_private_and_takes_the_place_of_an_open_one(tmp_path: Path) -> None:
    file = tmp_path / "stack.json"
    file.write_text("{}")
    file.chmod(0o644)
    write_private(file, '{"a": 1}')

    assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == ('{"a": 1}', 0o600)
    assert list(tmp_path.iterdir()) == [file]


def test_keys_come_from_the_settings_or_from_the_stack(tmp_path: Path) -> None:
    made = {"redis_url": "redis://127.0.0.1:1", "s3_endpoint_url": "http://127.0.0.1:2"}
    write_private(stack_file(embedded(tmp_path)), json.dumps({**made, "s3_access_key": "a", "s3_secret_key": "b"}))
    assert store_keys(embedded(tmp_path)) == ("a", "b")
    assert store_keys(embedded(tmp_path, s3_access_key="a alone")) == ("a", "b")
    own = {"s3_access_key": "mine", "s3_secret_key": SecretStr("my-secret")}
    assert store_keys(embedded(tmp_path, **own)) == ("mine", "my-secret")
    outside = {"s3_endpoint_url": "http://s3.example"}
    assert store_keys(embedded(tmp_path, **outside, **own)) == ("mine", "my-secret")
    assert store_keys(embedded(tmp_path, **outside)) == ("", "")
    for missing, given in (("SECRET", {"s3_access_key": "a"}), ("ACCESS", {"s3_secret_key": SecretStr("b")})):
        with pytest.raises(InvalidRequest, match=f"Set TUNELINE_S3_{missing}_KEY too"):
            store_keys(embedded(tmp_path, **outside, **given))


@pytest.mark.parametrize("content", ["", "{", "[]", "7", "{}", '{"redis_url": "redis://127.0.0.1:1"}'])
def test_a_stack_file_that_lacks_something_says_what_to_do(tmp_path: Path, content: str) -> None:
    stack_file(embedded(tmp_path)).write_text(content)
    with pytest.raises(Unavailable, match="Stop `tuneline up` and start it again"):
        stack(embedded(tmp_path))


def test_a_stack_of_another_user_is_said_to_be_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(NotAllowed, match="another user's"):
        stack(embedded(tmp_path))


# -- logs of processes -------------------------------------------------------------------------


def test_a_log_is_bounded_while_its_process_goes_on_writing(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    with log.open("ab", buffering=0) as writer:
        for number in range(100):
            writer.write(f"line {number:04}\n".encode() * 10)
            rotate(log, bytes_most=500)
            assert log.stat().st_size <= 500
    old = log.with_name("server.log.1")

    assert b"\0" not in log.read_bytes() + old.read_bytes()
    assert (log.read_bytes() or old.read_bytes()).endswith(b"line 0099\n")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["server.log", "server.log.1"]


def test_a_full_disk_stops_neither_the_bound_nor_who_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    log = tmp_path / "server.log"
    log.write_text("x" * 1000)
    monkeypatch.setattr("shutil.copy", full)
    rotate(log, bytes_most=500)
    log_into(Path("/dev/full")).warning("part_ended", part="API")
    log_into(tmp_path / "nowhere" / "up.log").warning("part_ended", part="API")
    log_into(log).warning("part_ended", part="API\x1b]0;x", exit_code=-9)

    (line,) = log.read_text().splitlines()
    assert "level=warning event=part_ended" in line
    assert "exit_code=-9" in line
    assert "\x1b" not in line
