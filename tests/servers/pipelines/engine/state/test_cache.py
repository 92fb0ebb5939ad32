"""The step cache: what hits, what misses, and why it says so."""

from app.wiring import Parts
from tests.servers.conftest import RunJob
from tests.support.agents import echo


def test_a_second_equal_job_hits_for_every_node(run_job: RunJob) -> None:
    nodes = {"a": echo(config={"say": "x"}), "b": echo("a")}
    first, second = run_job(nodes), run_job(nodes)

    assert {state.status for state in second.nodes.values()} == {"cached"}
    assert second.outputs == first.outputs
    assert second.nodes["a"].cache == {"hit": True, "reason": f"same inputs, code and config as in {first.id}"}


def test_a_changed_config_misses_and_names_the_key_that_changed(run_job: RunJob) -> None:
    run_job({"a": echo(config={"say": "x"}), "b": echo("a")})
    second = run_job({"a": echo(config={"say": "y"}), "b": echo("a")})

    assert second.nodes["a"].cache == {"hit": False, "reason": "changed since the last run: config.say"}
    assert second.nodes["b"].cache == {"hit": False, "reason": "changed since the last run: input.a"}


def test_the_first_run_says_so(run_job: RunJob) -> None:
    assert run_job({"a": echo()}).nodes["a"].cache == {"hit": False, "reason": "first run of this node"}


def test_a_hit_needs_its_artifacts_to_be_there_still(run_job: RunJob, parts: Parts) -> None:
    first = run_job({"a": echo()})
    sha256 = first.outputs["a"]["artifact"]["sha256"]
    parts.objects.delete([parts.objects.artifact_key(sha256)])
    second = run_job({"a": echo()})

    assert second.nodes["a"].status == "completed"
    assert f"artifact {sha256[:12]} is no longer in the object store" in second.nodes["a"].cache["reason"]


def test_cache_off_runs_anew(run_job: RunJob) -> None:
    run_job({"a": echo(cache=False)})

    assert run_job({"a": echo(cache=False)}).nodes["a"].status == "completed"
