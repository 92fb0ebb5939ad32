"""The store is the truth about versions: Redis that lost data, an older one, and two installations with one bucket."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from typer.testing import CliRunner

from agents.base import bucket
from agents.base.errors import Conflict
from agents.base.object_store import ObjectStore
from app.cli.commands import app as command_line
from app.processes.embedded import free_port
from app.settings import Settings
from app.wiring import Parts, build_parts
from pipelines.engine.state import keys
from pipelines.engine.state.installation import Mark, judge
from pipelines.engine.upkeep.housekeeping import Garbage
from tests.servers.conftest import RunJob
from tests.support.agents import spec
from tests.support.planned import PLANNED_EXPORT
from tests.support.valkeys import start


def version(say: str) -> dict[str, object]:
    return {"export": {"agent": "version", "config": {"say": say}}}


@pytest.fixture
def two(run_job: RunJob, parts: Parts) -> Parts:
    """Two promoted versions of `echo`."""
    run_job(version("one"), name="echo")
    run_job(version("two"), name="echo")
    return parts


def manifests(parts: Parts) -> dict[str, bytes]:
    """Return every object below `models/`."""
    return {key: parts.objects.get(key) for key in parts.objects.keys(bucket.MODELS)}


REFUSED: dict[str, Callable[[Parts], object]] = {
    "export": lambda parts: parts.registry.reserve("echo", "job_new", PLANNED_EXPORT),
    "export of another model": lambda parts: parts.registry.reserve("other", "job_new", PLANNED_EXPORT),
    "submit": lambda parts: parts.orchestrator.submit(spec(version("new"), name="echo"), {}),
    "promote": lambda parts: parts.registry.promote("echo", 1, at=9e9, reason="x", force=True),
    "rollback": lambda parts: parts.registry.rollback("echo", at=9e9, reason="x"),
    "delete": lambda parts: parts.registry.delete("echo", 1, at=9e9, reason="x"),
    "gc": lambda parts: parts.housekeeper.find(),
    "gc --apply": lambda parts: parts.housekeeper.remove(Garbage()),
}


def lost_all(parts: Parts) -> None:
    parts.connection.flushall()


def lost_its_marks_and_index(parts: Parts) -> None:
    """A Redis that was swapped for one with other data in it."""
    parts.connection.flushall()
    parts.connection.set("somebody:else", 1)


def lost_the_newest_version(parts: Parts) -> None:
    """A backup from before version 2: same epoch, older counters."""
    parts.connection.hset(keys.reserved("echo"), "last", 1)
    parts.connection.hdel(keys.versions("echo"), "2")


def lost_the_newest_move(parts: Parts) -> None:
    """A backup from between the export and its promotion."""
    parts.connection.lpop(keys.history("echo"))
    parts.connection.hset(keys.aliases("echo"), "champion", 1)


def lost_one_model(parts: Parts) -> None:
    parts.connection.delete(
        keys.reserved("echo"), keys.versions("echo"), keys.aliases("echo"), keys.history("echo"), keys.MODELS
    )


def came_back_from_before_a_rebuild(parts: Parts) -> None:
    mark = parts.connection.hget(keys.INSTALLATION, "mark")
    parts.registry.rebuild()
    parts.connection.hset(keys.INSTALLATION, "mark", mark)


LOSSES = [
    lost_all,
    lost_its_marks_and_index,
    lost_the_newest_version,
    lost_the_newest_move,
    lost_one_model,
    came_back_from_before_a_rebuild,
]


@pytest.mark.parametrize("lose", LOSSES)
def test_a_redis_that_lost_data_changes_nothing_until_a_rebuild(two: Parts, lose: Callable[[Parts], None]) -> None:
    aliases, before = two.registry.aliases("echo"), manifests(two)
    lose(two)
    # As the sweeper does.
    assert two.installation.look().kind == "lost"

    for use in REFUSED.values():
        with pytest.raises(Conflict, match=r"Redis lost .*`tuneline registry rebuild`"):
            use(two)
    two.registry.save_aliases("echo")
    assert manifests(two) == before
    assert any("tuneline registry rebuild" in warning for warning in two.warnings())

    assert two.registry.rebuild() == {"echo": 2}

    assert two.registry.aliases("echo") == aliases
    assert two.registry.reserve("echo", "job_new", PLANNED_EXPORT) == 3
    assert two.warnings() == []
    assert two.installation.look().kind == "sound"


@pytest.mark.parametrize("lose", [lost_all, lost_the_newest_version, lost_the_newest_move, lost_one_model])
def test_an_export_needs_no_sweeper_to_see_it(two: Parts, lose: Callable[[Parts], None]) -> None:
    lose(two)

    with pytest.raises(Conflict, match="Redis lost"):
        two.registry.reserve("echo", "job_new", PLANNED_EXPORT)


def test_the_sweeper_sees_it_by_itself(two: Parts) -> None:
    two.connection.flushall()
    two.connection.hset(keys.INSTALLATION, "mark", Mark(installation="a", epoch="b", bucket="x").model_dump_json())
    two.sweeper.sweep()

    assert "belongs to the bucket 'x'" in two.warnings()[0]


def test_a_version_that_another_node_wrote_is_never_written_over(two: Parts, run_job: RunJob) -> None:
    """Even where all looks sound, a number that was given out twice overwrites nothing: the counter is the store's."""
    two.connection.hset(keys.reserved("echo"), "last", 0)

    assert two.registry.reserve("echo", "job_new", PLANNED_EXPORT) == 3


# -- a real server that loses its file ---------------------------------------------------------


class OwnRedis:
    """A Valkey of the test's own with an append-only file, and parts over it."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder, self.port = folder, free_port()
        self.server = start(folder, "--appendonly yes", "--appendfsync always", port=self.port)
        url = f"redis://127.0.0.1:{self.port}"
        self.parts = build_parts(settings.model_copy(update={"redis_url": url}))

    def killed(self) -> None:
        self.server.process.kill()
        self.server.process.wait()

    def started(self) -> None:
        self.server = start(self.folder, "--appendonly yes", "--appendfsync always", port=self.port)


@pytest.fixture
def own_redis(tmp_path: Path, settings: Settings) -> Iterator[OwnRedis]:
    made = OwnRedis(tmp_path / "valkey", settings)
    made.parts.check()
    yield made
    made.parts.connection.close()
    made.server.stop()


def put_version(parts: Parts, number: int) -> None:
    """Write and promote a version as an export does, without a job."""
    assert parts.registry.reserve("m", f"job_{number}", PLANNED_EXPORT) == number
    manifest = {"verdict": "PROMOTE", "task": "classification", "job": f"job_{number}", "node": "export"}
    assert parts.objects.create_manifest(bucket.version_manifest("m", number), manifest)
    for command in parts.registry.add_commands("m", number):
        parts.connection.execute_command(*command)
    parts.registry.promote("m", number, at=float(number), reason="test")


def test_a_lost_append_only_file_is_noticed_at_the_next_start(own_redis: OwnRedis, settings: Settings) -> None:
    put_version(own_redis.parts, 1)
    own_redis.killed()
    shutil.rmtree(own_redis.folder / "appendonlydir")
    own_redis.started()
    again = build_parts(own_redis.parts.settings)

    again.check()
    with pytest.raises(Conflict, match="Redis lost its data"):
        again.registry.reserve("m", "job_2", PLANNED_EXPORT)
    again.registry.rebuild()
    assert again.registry.aliases("m") == {"champion": 1}
    assert again.registry.reserve("m", "job_2", PLANNED_EXPORT) == 2
    again.connection.close()


def test_an_older_append_only_file_is_noticed(own_redis: OwnRedis, tmp_path: Path) -> None:
    put_version(own_redis.parts, 1)
    own_redis.killed()
    shutil.copytree(own_redis.folder / "appendonlydir", tmp_path / "backup")
    own_redis.started()
    put_version(own_redis.parts, 2)
    own_redis.killed()
    shutil.rmtree(own_redis.folder / "appendonlydir")
    shutil.move(tmp_path / "backup", own_redis.folder / "appendonlydir")
    own_redis.started()

    for model in (None, "m"):
        assert own_redis.parts.installation.standing(model).kind == "lost"
    own_redis.parts.registry.rebuild()
    assert own_redis.parts.registry.aliases("m") == {"champion": 2, "previous": 1}


def test_an_unharmed_file_after_a_kill_is_sound(own_redis: OwnRedis) -> None:
    put_version(own_redis.parts, 1)
    own_redis.killed()
    own_redis.started()

    own_redis.parts.check()
    assert own_redis.parts.installation.standing().kind == "sound"


# -- whose they are ----------------------------------------------------------------------------


@pytest.fixture
def other(tmp_path: Path, parts: Parts) -> Iterator[Parts]:
    """A second installation, with a Redis and a bucket of its own so far."""
    server = start(tmp_path / "other")
    change = {"redis_url": f"redis://127.0.0.1:{server.port}", "s3_bucket": f"{parts.objects.bucket}-other"}
    made = build_parts(parts.settings.model_copy(update=change))
    made.check()
    yield made
    made.connection.close()
    server.stop()


def with_bucket_of(other: Parts, parts: Parts) -> Parts:
    """Return the second installation's parts with the first one's bucket."""
    return build_parts(other.settings.model_copy(update={"s3_bucket": parts.objects.bucket}))


def test_a_second_installation_with_the_bucket_of_the_first_does_not_start(two: Parts, other: Parts) -> None:
    before = manifests(two)
    strayed = with_bucket_of(other, two)

    with pytest.raises(Conflict, match=r"belongs to the bucket .*-other'.*Set TUNELINE_S3_BUCKET="):
        strayed.check()
    for name, use in REFUSED.items():
        if name != "submit":
            with pytest.raises(Conflict, match="belongs to"):
                use(strayed)
    assert manifests(two) == before


def test_two_buckets_of_one_name_are_told_apart_by_their_owners(two: Parts, other: Parts) -> None:
    """As on two S3 servers: the name that Redis remembers is right, the owner is not."""
    mark = Mark.model_validate_json(other.connection.hget(keys.INSTALLATION, "mark"))
    moved = mark.model_copy(update={"bucket": two.objects.bucket})
    other.connection.hset(keys.INSTALLATION, "mark", moved.model_dump_json())
    strayed = with_bucket_of(other, two)

    with pytest.raises(Conflict, match=r"another installation.*tuneline registry adopt"):
        strayed.check()
    with pytest.raises(Conflict, match="another installation"):
        strayed.housekeeper.find()
    with pytest.raises(Conflict, match="another installation"):
        strayed.registry.rebuild()


def test_a_new_installation_on_a_used_bucket_may_not_touch_it(two: Parts, other: Parts) -> None:
    before = manifests(two)
    other.connection.flushall()
    strayed = with_bucket_of(other, two)
    strayed.check()

    for use in REFUSED.values():
        with pytest.raises(Conflict, match=r"new installation, set another TUNELINE_S3_BUCKET"):
            use(strayed)
    assert manifests(two) == before


def test_a_bucket_can_be_taken_over_and_its_old_owner_stops(
    two: Parts, other: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    aliases = two.registry.aliases("echo")
    taken = with_bucket_of(other, two)
    monkeypatch.setattr("app.cli.registry.build_parts", lambda _: taken)
    said = CliRunner().invoke(command_line, ["registry", "adopt"])

    assert said.exit_code == 0, said.exception
    assert taken.registry.aliases("echo") == aliases
    taken.check()
    assert taken.registry.reserve("echo", "job_new", PLANNED_EXPORT) == 3
    with pytest.raises(Conflict, match="another installation"):
        two.registry.reserve("echo", "job_late", PLANNED_EXPORT)
    with pytest.raises(Conflict, match="another installation"):
        two.check()


def test_data_of_a_release_without_marks_gets_them_at_the_first_start(two: Parts) -> None:
    two.connection.delete(keys.INSTALLATION)
    two.objects.delete([bucket.INSTALLATION])
    two.check()

    assert two.installation.standing().kind == "sound"
    assert two.objects.size(bucket.INSTALLATION)
    assert two.registry.reserve("echo", "job_new", PLANNED_EXPORT) == 3


def test_a_release_without_marks_that_lost_its_redis_is_noticed_too(two: Parts) -> None:
    two.connection.flushall()
    two.objects.delete([bucket.INSTALLATION])
    two.check()

    with pytest.raises(Conflict, match="more of the model 'echo'"):
        two.registry.reserve("echo", "job_new", PLANNED_EXPORT)
    two.registry.rebuild()
    two.check()
    assert two.registry.reserve("echo", "job_new", PLANNED_EXPORT) == 3


def test_many_that_start_at_once_agree_on_one_owner(parts: Parts, objects: ObjectStore) -> None:
    parts.connection.delete(keys.INSTALLATION)
    objects.delete([bucket.INSTALLATION])
    kept, stored = None, None
    first, second = build_parts(parts.settings), build_parts(parts.settings)
    # Both have looked and found nothing before either writes.
    for each in (first, second):
        assert judge(kept, stored, objects.bucket, ()).kind == "sound"
        assert each.installation._marked(None).kind == "sound"

    assert first.installation.standing().kind == second.installation.standing().kind == "sound"


def test_a_foreign_object_at_the_place_of_the_mark_is_told(parts: Parts) -> None:
    parts.objects.put(bucket.INSTALLATION, b"<html>")

    with pytest.raises(Conflict, match=r"is not Tuneline's.*TUNELINE_S3_BUCKET"):
        parts.check()


def test_a_rebuild_broken_off_between_its_two_marks_can_be_done_again(
    two: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    two.connection.flushall()

    def broken(*_: object, **__: object) -> None:
        raise redis.ConnectionError("killed")

    with monkeypatch.context() as patched:
        patched.setattr("pipelines.engine.state.installation.Installation._write", broken)
        with pytest.raises(redis.ConnectionError):
            two.registry.rebuild()
    assert two.installation.look().kind == "lost"

    assert two.registry.rebuild() == {"echo": 2}
    assert two.installation.look().kind == "sound"
