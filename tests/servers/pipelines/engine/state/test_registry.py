"""Versions and aliases: one champion, however often things happen."""

import pytest
from typer.testing import CliRunner

from agents.base.errors import Conflict, NotFound
from app.cli.commands import app
from app.wiring import Parts
from pipelines.engine.state import keys
from pipelines.engine.state.job import Claimed, Completed
from tests.servers.conftest import RunJob
from tests.support.agents import spec
from tests.support.planned import PLANNED_EXPORT


def version(say: str) -> dict[str, object]:
    return {"export": {"agent": "version", "config": {"say": say}}}


def test_a_promoted_version_becomes_champion_and_the_old_one_previous(run_job: RunJob, parts: Parts) -> None:
    run_job(version("one"), name="echo")
    run_job(version("two"), name="echo")

    assert parts.registry.aliases("echo") == {"champion": 2, "previous": 1}
    assert [move["version"] for move in parts.registry.history("echo")] == [2, 1]


def test_an_equal_job_promotes_nothing_anew(run_job: RunJob, parts: Parts) -> None:
    run_job(version("one"), name="echo")
    run_job(version("two"), name="echo")
    run_job(version("two"), name="echo")

    assert parts.registry.aliases("echo")["champion"] in {2, 3}
    assert len(parts.registry.history("echo")) == len({m["version"] for m in parts.registry.history("echo")})


def test_a_version_number_belongs_to_its_node_however_often_it_is_asked_for(parts: Parts) -> None:
    first = parts.registry.reserve("m", "job_1", PLANNED_EXPORT)

    assert parts.registry.reserve("m", "job_1", PLANNED_EXPORT) == first
    assert parts.registry.reserve("m", "job_2", PLANNED_EXPORT) == first + 1


def test_a_promotion_judged_against_an_older_champion_is_left_out(parts: Parts, run_job: RunJob) -> None:
    run_job(version("one"), name="echo")
    job_id = parts.orchestrator.submit(spec(version("late"), name="echo"), {})
    parts.state.claim(job_id, Claimed("export", 1, "w"))
    output = {"model_name": "echo", "version": 9, "verdict": "PROMOTE", "champion_version": None}
    parts.state.apply(job_id, Completed("export", 1, output))

    assert parts.registry.aliases("echo") == {"champion": 1}
    assert "promotion_overtaken" in [record["event"] for record in parts.logs.read(job_id)]


def test_rollback_goes_to_the_previous_champion_and_back(run_job: RunJob, parts: Parts) -> None:
    run_job(version("one"), name="echo")
    with pytest.raises(Conflict, match="no previous champion"):
        parts.registry.rollback("echo", at=1.0, reason="x")
    run_job(version("two"), name="echo")

    assert parts.registry.rollback("echo", at=1.0, reason="worse") == {"champion": 1, "previous": 2}
    assert parts.registry.rollback("echo", at=2.0, reason="better") == {"champion": 2, "previous": 1}


def test_the_index_can_be_rebuilt_from_the_object_store_alone(run_job: RunJob, parts: Parts) -> None:
    run_job(version("one"), name="echo")
    run_job(version("two"), name="echo")
    aliases, history = parts.registry.aliases("echo"), parts.registry.history("echo")
    parts.connection.flushall()
    with pytest.raises(NotFound):
        parts.registry.versions("echo")

    assert parts.registry.rebuild() == {"echo": 2}
    assert parts.registry.versions("echo") == [2, 1]
    assert (parts.registry.aliases("echo"), parts.registry.history("echo")) == (aliases, history)
    assert parts.registry.reserve("echo", "job_new", PLANNED_EXPORT) == 3


def test_the_command_line_rebuilds_the_index(
    run_job: RunJob, parts: Parts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_job(version("one"), name="echo")
    parts.connection.flushall()
    monkeypatch.setattr("app.wiring.build_parts", lambda _: parts)
    said = CliRunner().invoke(app, ["registry", "rebuild"])

    assert said.exit_code == 0, said.exception
    assert parts.registry.versions("echo") == [1]
    assert "echo: 1 version" in capsys.readouterr().out + said.output


def test_a_version_without_a_manifest_does_not_exist(run_job: RunJob, parts: Parts) -> None:
    run_job(version("one"), name="echo")
    parts.objects.put("models/echo/versions/000007/weights.bin", b"half")
    parts.connection.delete(keys.versions("echo"))
    parts.registry.rebuild()

    assert parts.registry.versions("echo") == [1]


def test_versions_are_found_by_number_and_alias(run_job: RunJob, parts: Parts) -> None:
    run_job(version("one"), name="echo")

    assert [parts.registry.resolve("echo", name) for name in ("1", "v1", "champion")] == [1, 1, 1]
    for wrong in ("2", "previous", "x"):
        with pytest.raises(NotFound, match="no version"):
            parts.registry.resolve("echo", wrong)
