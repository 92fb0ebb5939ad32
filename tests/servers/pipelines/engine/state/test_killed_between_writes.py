"""Every process may be killed between any two of its writes: each such moment is tried, then healthy ones go on."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
import redis

from agents.base.object_store import ObjectStore
from app.settings import Settings
from app.wiring import Parts, build_parts
from pipelines.engine.attempt_id import AttemptId
from pipelines.engine.state import keys
from pipelines.engine.state.queue import message_for
from pipelines.engine.state.store import JobStore
from pipelines.engine.worker.slot import AttemptSlot
from tests.support.agents import echo, spec
from tests.support.in_process import leases_kept

pytestmark = pytest.mark.slow
NODES = {"a": echo(), "b": echo("a", cache=False), "v": {"agent": "version", "needs": ["b"], "cache": False}}


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


class Life:
    """How many more words a process may say to its servers."""

    def __init__(self) -> None:
        self.left = 10**9

    def spend(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            # The thread that renews leases counts for nothing: its timing differs from run to run.
            return
        if self.left <= 0:
            raise Killed
        self.left -= 1


class Victim:
    """Parts of the engine that die after so many words to Redis or the object store."""

    def __init__(self, parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
        life = self.life = Life()

        class Connection(redis.Connection):
            def send_packed_command(self, *args: Any, **kwargs: Any) -> None:
                life.spend()
                super().send_packed_command(*args, **kwargs)

        address = parts.connection.connection_pool.connection_kwargs
        pool = redis.ConnectionPool(connection_class=Connection, host=address["host"], port=address["port"])
        self.parts = build_parts(parts.settings)
        self.parts.__dict__["connection"] = redis.Redis(connection_pool=pool)
        self.parts.connection.ping()
        mortal = self.parts.objects

        def put(store: ObjectStore, *args: Any, **kwargs: Any) -> None:
            if store is mortal:
                life.spend()
            original(store, *args, **kwargs)

        original = ObjectStore.put
        monkeypatch.setattr(ObjectStore, "put", put)

    def run(self, work: Callable[[Parts], object], words: int) -> bool:
        """Do some work with so many words left; say whether it was done before they were spent."""
        self.life.left = words
        try:
            work(self.parts)
        except Killed:
            return False
        finally:
            self.life.left = 10**9
            # What the thread that renews leases is in the middle of, it may end: closed under it, a socket is no crash.
            self.parts.connection.connection_pool.disconnect(inuse_connections=False)
        return True


@pytest.fixture
def quick_leases(settings: Settings) -> Settings:
    return settings.model_copy(update={"lease_ttl_s": 0.05, "lease_renew_s": 0.01})


@pytest.fixture
def parts(quick_leases: Settings, monkeypatch: pytest.MonkeyPatch) -> Parts:
    built = build_parts(quick_leases)
    built.check()
    # The run's Valkey has been up for long; here it is asked within the first second of a short suite too.
    monkeypatch.setattr("pipelines.engine.upkeep.sweeper.Sweeper._redis_has_just_started", lambda _: False)
    monkeypatch.setattr("pipelines.engine.upkeep.sweeper.LOST_MESSAGE_S", 0.0)
    return built


@pytest.fixture
def victim(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> Victim:
    return Victim(parts, monkeypatch)


def finish(parts: Parts, drain: Callable[[], None], job_id: str) -> None:
    """Let healthy processes go on until the job has ended and is archived."""
    for _ in range(2000):
        parts.sweeper.sweep()
        drain()
        if parts.state.head(job_id).status == "completed" and not parts.logs.unarchived():
            return
    raise AssertionError(f"{job_id} did not end: {parts.state.job(job_id)}")


def assert_one_effect(parts: Parts, job_id: str, words: int) -> None:
    records = parts.logs.read(job_id)
    events = [record["event"] for record in records]
    place = f"killed after {words} words: {events}"
    assert events.count("job_submitted") == events.count("job_completed") == 1, place
    assert events.count("champion_promoted") == 1, place
    assert events[-1] == "job_completed", place
    done = [record["node"] for record in records if record["event"] in {"node_completed", "node_cached"}]
    assert sorted(done) == sorted(NODES), place
    assert parts.registry.aliases("echo") == {"champion": 1}, place
    assert parts.registry.versions("echo") == [1], place
    assert len(parts.registry.history("echo")) == 1, place
    assert parts.objects.get_manifest("models/echo/aliases.json")["aliases"] == {"champion": 1}, place
    left = [parts.connection.zcard(key) for key in (keys.LEASES, keys.SENT, keys.DUE, keys.UNARCHIVED)]
    assert left == [0, 0, 0, 0], place
    assert parts.connection.keys("rq:job:*") == [], place


def every_moment(parts: Parts, drain: Callable[[], None], victim: Victim, prepare: Any, work: Any) -> int:
    """Kill a process after 0, 1, 2 ... words until it gets through; return how many words the whole takes."""
    for words in range(1000):
        parts.connection.flushall()
        # A moment of another run must not be told from this one by what lies in the bucket.
        parts.objects.delete(parts.objects.keys(""))
        # As at the first start of all.
        parts.installation.look()
        job_id = prepare()
        through = victim.run(lambda mine, job_id=job_id: work(mine, job_id), words)
        finish(parts, drain, job_id)
        assert_one_effect(parts, job_id, words)
        if through:
            return words
    raise AssertionError("it never got through")


def submitted(parts: Parts) -> str:
    return parts.orchestrator.submit(spec(NODES, name="echo"), {})


def test_a_worker(parts: Parts, drain: Callable[[], None], victim: Victim) -> None:
    def take_the_first_message(mine: Parts, job_id: str) -> None:
        slot = AttemptSlot()
        with leases_kept(mine, slot):
            message = message_for(AttemptId(job_id, 0, 1), mine.state.plan(job_id).nodes["a"])
            mine.runner("victim", slot).run(message)

    words = every_moment(parts, drain, victim, lambda: submitted(parts), take_the_first_message)
    # It ran all three nodes, handed over from one to the next: their claims, words and ends are all in it.
    assert words > 20


def test_a_sweeper(parts: Parts, drain: Callable[[], None], victim: Victim, monkeypatch: pytest.MonkeyPatch) -> None:
    def with_a_lost_lease() -> str:
        job_id = submitted(parts)
        parts.orchestrator.claim(job_id, "a", 1, "gone")
        parts.connection.zadd(keys.LEASES, {AttemptId(job_id, 0, 1).key(): 1.0})
        return job_id

    assert every_moment(parts, drain, victim, with_a_lost_lease, lambda mine, _: mine.sweeper.sweep()) > 5


def test_a_sweeper_that_archives(parts: Parts, drain: Callable[[], None], victim: Victim) -> None:
    def ended() -> str:
        job_id = submitted(parts)
        drain()
        parts.connection.zadd(keys.UNARCHIVED, {job_id: 1.0})
        return job_id

    assert every_moment(parts, drain, victim, ended, lambda mine, _: mine.sweeper.sweep()) > 5


def test_a_submit_that_is_sent_again(
    parts: Parts, drain: Callable[[], None], victim: Victim, monkeypatch: pytest.MonkeyPatch
) -> None:
    def submit(mine: Parts) -> str:
        return mine.orchestrator.submit(spec(NODES, name="echo"), {}, idempotency_key="once")

    for words in range(100):
        parts.connection.flushall()
        parts.objects.delete(parts.objects.keys(""))
        # As at the first start of all.
        parts.installation.look()
        through = victim.run(submit, words)
        job_id = submit(parts)
        finish(parts, drain, job_id)
        assert parts.state.job_ids() == [job_id]
        assert_one_effect(parts, job_id, words)
        if through:
            return


def test_an_answer_that_gets_lost_is_no_second_submit(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """The transaction was executed, its answer never came, and a worker has begun by the time it is sent again."""
    lost: list[str] = []
    execute = redis.client.Pipeline.execute

    def lose_the_first_answer(pipe: redis.client.Pipeline, *args: Any) -> Any:
        answer = execute(pipe, *args)
        if not lost:
            lost.append(parts.state.job_ids()[0])
            parts.orchestrator.claim(lost[0], "a", 1, "quick")
            raise redis.WatchError("the connection broke while keys were watched")
        return answer

    monkeypatch.setattr(redis.client.Pipeline, "execute", lose_the_first_answer)
    job_id = submitted(parts)

    assert job_id == lost[0]
    assert parts.state.job(job_id).nodes["a"].status == "running"
    assert isinstance(parts.state, JobStore)
