"""Each fault of Redis has its own sentence and cure, told by real servers; no password is ever in one."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from redis import exceptions as faults

from agents.base.errors import InvalidRequest, TunelineError, Unavailable
from agents.base.object_store import ObjectStore
from app.doctor.servers import StackFile, redis_server
from app.processes.embedded import Server, free_port
from app.settings import Settings
from app.wiring import build_parts
from pipelines.engine.state import keys
from pipelines.engine.state.redis_client import connect
from pipelines.engine.state.redis_faults import place_of, redis_error
from pipelines.engine.state.rights import TRIES, refused_rights, require_rights, see_that_it_writes
from tests.conftest import REPOSITORY
from tests.support.agents import echo, spec
from tests.support.in_process import InProcessWorker
from tests.support.valkeys import leading_to, start, tls_before, valkey, write_certificate

SECRET = "hunter2"


def url_of(server: Server, more: str = "", user: str = "") -> str:
    return f"redis://{user}127.0.0.1:{server.port}{more}"


def told(url: str, use: Callable[[redis.Redis], object] = see_that_it_writes) -> Unavailable:
    """Return what is said of a use of a server that refuses it."""
    client = connect(url, timeout_s=2.0, tries=0)
    with client, pytest.raises(redis.RedisError) as caught:
        use(client)
    found = redis_error(caught.value, place_of(client))
    assert SECRET not in str(found)
    return found


def assert_told(found: Unavailable, what: str, cure: str) -> None:
    assert what in found.message, found.message
    assert cure in found.cure, found.cure


def transaction(client: redis.Redis) -> None:
    """Write as the engine does: under WATCH, in MULTI."""
    with client.pipeline() as pipe:
        pipe.watch(keys.PROBE)
        pipe.multi()
        pipe.set(keys.PROBE, "maxmemory NOPERM READONLY")
        pipe.execute()


def script(client: redis.Redis) -> None:
    client.eval("return redis.call('SET', KEYS[1], 1)", 1, keys.PROBE)


WRITES = {"command": see_that_it_writes, "transaction": transaction, "script": script}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_full_memory(tmp_path: Path, write: Callable[[redis.Redis], object]) -> None:
    with valkey(tmp_path, "--maxmemory 1", "--maxmemory-policy noeviction") as server:
        assert_told(told(url_of(server), write), "is full: it has reached its maxmemory", "tuneline gc")


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_replica(tmp_path: Path, write: Callable[[redis.Redis], object]) -> None:
    with valkey(tmp_path / "1") as primary, valkey(tmp_path / "2", f"--replicaof 127.0.0.1 {primary.port}") as server:
        assert_told(told(url_of(server), write), "is a replica, which takes no writes", "name the primary")


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_too_few_replicas(tmp_path: Path, write: Callable[[redis.Redis], object]) -> None:
    with valkey(tmp_path, "--min-replicas-to-write 1") as server:
        assert_told(told(url_of(server), write), "fewer replicas", "Start its replicas")


def test_a_password(tmp_path: Path) -> None:
    with valkey(tmp_path / "1", f"--requirepass {SECRET}") as server:
        assert_told(told(url_of(server)), "asks for a password", "redis://:password@")
        assert_told(told(url_of(server, user=f":{SECRET}-not@")), "refuses the password", "Correct them")
        assert_told(told(url_of(server, user=f"nobody:{SECRET}@")), "refuses the password or user", "Correct them")
        assert_told(told(url_of(server, more=f"/0?password={SECRET}-not")), "refuses the password", "Correct them")
        see_that_it_writes(connect(url_of(server, more=f"/0?password={SECRET}"), timeout_s=2.0))


@pytest.mark.parametrize(
    ("rules", "use", "what", "cure"),
    [
        ("+@all -info", lambda client: client.info(), "refuses the command INFO to the user 'guest'", "guest +info"),
        ("+@all -@write", see_that_it_writes, "refuses the command SET", "guest +set"),
        ("+@all -eval", script, "refuses the command EVAL", "+eval"),
        ("+@all -set", script, "refuses the command SET to the user 'guest'", "guest +set"),
        ("+@all -exec", transaction, "refuses the command EXEC", "+exec"),
        ("+@all resetkeys ~else:*", see_that_it_writes, "refuses keys", "~tuneline:* ~rq:*"),
        ("+@all resetchannels", lambda client: client.publish("rq:x", "y"), "refuses a channel", "&rq:*"),
    ],
)
def test_a_missing_right(
    tmp_path: Path, rules: str, use: Callable[[redis.Redis], object], what: str, cure: str
) -> None:
    with valkey(tmp_path) as server:
        admin = redis.Redis(port=server.port)
        admin.execute_command("ACL", "SETUSER", "guest", "on", f">{SECRET}", "~*", "&*", *rules.split())
        assert_told(told(url_of(server, user=f"guest:{SECRET}@"), use), what, cure)
        admin.close()


def test_a_cluster(tmp_path: Path) -> None:
    with valkey(tmp_path, "--cluster-enabled yes") as server:
        client = redis.Redis(port=server.port)
        assert_told(told(url_of(server)), "is a cluster", "without cluster mode")
        client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        with contextlib.closing(client), pytest.raises(Unavailable, match="is a cluster"):
            _until_refused(client, server)


def _until_refused(client: redis.Redis, server: Server) -> None:
    while b"cluster_state:ok" not in client.execute_command("CLUSTER", "INFO"):
        pass
    require_rights(connect(url_of(server), timeout_s=2.0, tries=0), "here")


def test_a_database_that_is_not_there(tmp_path: Path) -> None:
    with valkey(tmp_path) as server:
        assert_told(told(url_of(server, more="/99")), "doesn't have the database", "`databases`")


def test_too_many_clients(tmp_path: Path) -> None:
    with valkey(tmp_path, "--maxclients 1") as server:
        first = redis.Redis(port=server.port)
        first.ping()
        assert_told(told(url_of(server)), "takes no more connections", "maxclients")
        first.close()


def test_a_disk_that_takes_no_snapshot(tmp_path: Path) -> None:
    with valkey(tmp_path / "data", "--save 3600 1") as server:
        client = redis.Redis(port=server.port)
        client.config_set("rdbcompression", "no")
        client.set("a", 1)
        (tmp_path / "data" / "dump.rdb").mkdir()
        (tmp_path / "data" / "dump.rdb" / "x").touch()
        client.bgsave()
        while client.info("persistence")["rdb_last_bgsave_status"] == "ok":
            pass
        assert_told(told(url_of(server)), "can't save to its disk", "Make room")
        client.close()


def test_a_script_that_does_not_end(tmp_path: Path) -> None:
    with valkey(tmp_path, "--lua-time-limit 1") as server:
        busy = redis.Redis(port=server.port)
        runs = threading.Thread(target=_run_for_ever, args=(busy,))
        runs.start()
        watching = redis.Redis(port=server.port)
        with pytest.raises(redis.ResponseError, match="BUSY"):
            _write_for_ever(watching)
        assert_told(told(url_of(server)), "is busy with a script", "SCRIPT KILL")
        watching.script_kill()
        runs.join()
        busy.close()
        watching.close()


def _write_for_ever(client: redis.Redis) -> None:
    while True:
        client.set("a", 1)


def _run_for_ever(client: redis.Redis) -> None:
    with contextlib.suppress(redis.RedisError):
        client.eval("while true do end", 0)


def test_tls(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    with valkey(tmp_path / "1") as server, tls_before(server.port, certificate, key) as port:
        untrusted = told(f"rediss://:{SECRET}@127.0.0.1:{port}/0")
        assert_told(untrusted, "is not trusted here: self-signed certificate", "ssl_ca_certs=")
        assert_told(told(f"rediss://127.0.0.1:{server.port}"), "doesn't", "redis://")
        assert_told(told(f"redis://127.0.0.1:{port}"), "closed the connection", "rediss://")
        # The cure cures.
        see_that_it_writes(connect(f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={certificate}", timeout_s=2.0))


def test_nobody_there_and_a_name_without_an_address() -> None:
    assert_told(told(f"redis://:{SECRET}@127.0.0.1:{free_port()}"), "doesn't answer", "Start it")
    assert_told(told("redis://nowhere.invalid"), "can't be found", "DNS")


@pytest.mark.parametrize(
    ("fault", "what"),
    [
        (faults.BusyLoadingError("Redis is loading the dataset in memory", status_code="LOADING"), "is loading"),
        (faults.AuthenticationError("AUTH <password> called without any password configured"), "has no password"),
        (faults.MasterDownError("Link with MASTER is down"), "primary is away"),
        (faults.ResponseError("unknown command 'LMOVE', with args beginning with: 'a'"), "too old"),
        (faults.ResponseError("UNBLOCKED force unblock from blocking operation"), "is a replica"),
        (faults.TimeoutError("Timeout reading from socket"), "in time"),
        (faults.ResponseError("something new " + "x" * 5000), "refused a command: something new"),
    ],
)
def test_what_a_server_can_not_be_brought_to_say_here(fault: redis.RedisError, what: str) -> None:
    found = redis_error(fault, "redis:6379")

    assert what in found.message
    assert found.cure
    assert len(str(found)) < 500


@pytest.mark.parametrize("more", ["?socket_timeout=long", "?ssl_ca_certs=/x", "?db=prod"])
def test_an_option_that_can_not_be_used_is_refused_before_anything_is_connected(more: str) -> None:
    with pytest.raises(InvalidRequest, match="TUNELINE_REDIS_URL has an option") as caught:
        connect(f"redis://:{SECRET}@127.0.0.1:1/0{more}", timeout_s=1.0)
    assert SECRET not in str(caught.value)


# -- after a failover --------------------------------------------------------------------------


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_after_a_failover_the_connections_are_made_anew(tmp_path: Path, write: Callable[[redis.Redis], object]) -> None:
    """The name leads to another server now; the old one stays as a replica and keeps its connections."""
    with valkey(tmp_path / "new") as new, valkey(tmp_path / "old") as old, leading_to(old.port) as name:
        client = connect(f"redis://127.0.0.1:{name.port}", timeout_s=2.0)
        held = [client.connection_pool.get_connection() for _ in range(3)]
        for connection in held:
            client.connection_pool.release(connection)
        write(client)
        redis.Redis(port=old.port).replicaof("127.0.0.1", new.port)
        name.target = new.port

        with pytest.raises(redis.exceptions.ReadOnlyError):
            write(client)
        # Not one more, on whichever of the connections.
        held = [client.connection_pool.get_connection() for _ in range(3)]
        for connection in held:
            connection.send_command("SET", keys.PROBE, 1)
            assert connection.read_response() == b"OK"
            client.connection_pool.release(connection)
        write(client)
        client.close()


# -- rights ------------------------------------------------------------------------------------


def rights_of_the_page() -> list[str]:
    """Return the command of docs/deployment.md that makes the user `tuneline`."""
    page = (REPOSITORY / "docs" / "deployment.md").read_text()
    line = next(line for line in page.splitlines() if line.startswith("ACL SETUSER tuneline "))
    return line.replace(">PASSWORD", f">{SECRET}").split()


def test_the_rights_of_the_page_are_enough(tmp_path: Path, settings: Settings) -> None:
    """The user of docs/deployment.md may do all that is tried; each right less is named."""
    with valkey(tmp_path) as server:
        admin = redis.Redis(port=server.port)
        admin.execute_command(*rights_of_the_page())
        parts = build_parts(settings.model_copy(update={"redis_url": url_of(server, user=f"tuneline:{SECRET}@")}))
        parts.check()
        assert refused_rights(parts.connection) == []
        for command in {str(each[0]).lower() for each in TRIES} - {"ping", "script", "client"}:
            admin.execute_command("ACL", "SETUSER", "tuneline", f"-{command}")
            with pytest.raises(Unavailable, match=rf"refuses to its user: .*{command.upper()}"):
                parts.check()
            admin.execute_command("ACL", "SETUSER", "tuneline", f"+{command}")
        parts.connection.close()
        admin.close()


def test_a_job_with_a_version_runs_with_the_rights_of_the_page(
    settings: Settings, connection: redis.Redis, tmp_path: Path
) -> None:
    connection.execute_command(*rights_of_the_page())
    url = str(settings.redis_url).replace("redis://", f"redis://tuneline:{SECRET}@")
    parts = build_parts(settings.model_copy(update={"redis_url": url}))
    parts.check()
    nodes = {"a": echo(), "v": {"agent": "version", "needs": ["a"]}, "bad": {"agent": "fail", "needs": ["a"]}}
    job_id = parts.orchestrator.submit(spec(nodes, name="echo"), {})
    worker = InProcessWorker(parts)
    worker.work_off(["default"])
    parts.sweeper.sweep()
    parts.registry.rebuild()
    parts.housekeeper.remove(parts.housekeeper.find())
    parts.fleet.queues(["default"])
    parts.fleet.workers()
    parts.job_index.page(None, None, 0, 10)
    parts.orchestrator.stop(parts.orchestrator.retry(job_id), "cancel")

    assert parts.registry.aliases("echo") == {"champion": 1}
    parts.connection.close()
    connection.acl_deluser("tuneline")


@pytest.mark.parametrize(
    ("rules", "refused"),
    [
        ("-@dangerous", "INFO"),
        ("-@scripting", "EVAL"),
        ("-@stream", "XADD"),
        ("resetkeys ~else:*", "keys tuneline:*"),
    ],
)
def test_a_missing_right_is_told_at_the_start_and_by_the_doctor(
    tmp_path: Path, settings: Settings, rules: str, refused: str
) -> None:
    with valkey(tmp_path) as server:
        admin = redis.Redis(port=server.port)
        admin.execute_command("ACL", "SETUSER", "guest", "on", f">{SECRET}", "~*", "&*", "+@all", *rules.split())
        admin.close()
        short = settings.model_copy(update={"redis_url": url_of(server, user=f"guest:{SECRET}@")})
        with pytest.raises(Unavailable) as caught:
            build_parts(short).check()
        (finding,) = redis_server(short, StackFile.read(tmp_path / "none.json"))

    assert refused in caught.value.message
    assert "docs/deployment.md" in caught.value.cure
    assert refused in finding.found
    assert SECRET not in f"{caught.value} {finding.found} {finding.cure}"


# -- what users see ----------------------------------------------------------------------------


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Server]:
    """A Valkey that was used, and is full now."""
    server = start(tmp_path / "full", "--maxmemory-policy noeviction")
    yield server
    server.stop()


def test_gc_still_works_on_a_full_redis(full: Server, settings: Settings) -> None:
    parts = build_parts(settings.model_copy(update={"redis_url": url_of(full)}))
    parts.check()
    parts.connection.config_set("maxmemory", 1)

    assert "is full" in str(parts.server_faults()["redis"])
    parts.check()
    parts.housekeeper.remove(parts.housekeeper.find())
    # The other cure.
    parts.connection.config_set("maxmemory", 0)
    assert parts.server_faults() == {"redis": None, "object_store": None}
    parts.connection.close()


def test_sweeps_that_fail_are_told_of_with_their_count_and_reason(
    full: Server, settings: Settings, objects: ObjectStore
) -> None:
    parts = build_parts(settings.model_copy(update={"redis_url": url_of(full)}))
    parts.check()
    parts.connection.execute_command("ACL", "SETUSER", "default", "-zrangebyscore")
    stop = threading.Event()
    sweeps = threading.Thread(target=parts.sweeper.run, args=(stop, 0.01))
    sweeps.start()
    try:
        while not parts.sweeper.trouble():
            pass
        (warning,) = parts.warnings()
        parts.connection.execute_command("ACL", "SETUSER", "default", "+zrangebyscore")
        while parts.sweeper.trouble():
            pass
    finally:
        stop.set()
        sweeps.join()
        parts.connection.close()

    assert "sweeps failed" in warning
    assert "refuses the command ZRANGEBYSCORE to the user 'default'" in warning


def test_the_password_of_a_query_is_shown_nowhere(tmp_path: Path, settings: Settings) -> None:
    strange = settings.model_copy(update={"redis_url": f"redis://127.0.0.1:{free_port()}/0?password={SECRET}"})
    parts = build_parts(strange)
    with pytest.raises(TunelineError) as caught:
        parts.check()
    (finding,) = redis_server(strange, StackFile.read(tmp_path / "none.json"))

    assert SECRET not in f"{caught.value} {finding.found} {finding.cure} {parts.server_faults()}"
