"""What must be true when a job has ended, whatever happened on the way."""

import json
from collections import Counter
from typing import Any

from agents.base.bucket import version_manifest
from agents.base.records import artifacts_in
from pipelines.engine.state import keys
from tests.faults.farm import Farm, dump, log_of, until

#: How an attempt can end in the log.
ENDS = {
    "node_completed",
    "node_cached",
    "node_failed",
    "node_retrying",
    "worker_lost",
    "node_handed_back",
    "node_paused",
    "node_cancelled",
}


def assert_sound(farm: Farm, job_id: str, model: str, weights: dict[str, str] | None = None) -> None:
    """Check one completed job: its log, its model, its bytes, and that nothing was left behind.

    `weights` are the digests of the trained files in a run without faults.
    """
    job = farm.parts.state.job(job_id)
    records = log_of(farm.parts, job_id)
    assert job.head.status == "completed", dump(records[-8:])
    assert {node.status for node in job.nodes.values()} == {"completed"}
    _one_champion(farm, job_id, model)
    _digests_right(farm, job.outputs, model)
    if weights is not None:
        assert trained_weights(job.outputs) == weights
    assert_log_whole(farm, job_id, records)
    # A killed worker's folder is removed by the next one that starts.
    farm.staff()
    assert_left_nothing(farm)


def trained_weights(outputs: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Return the digests of what a training and its export gave: file -> sha256."""
    trained = {f"trained/{name}": artifact["sha256"] for name, artifact in outputs["training"]["files"].items()}
    merged = outputs["export"]["formats"]["merged"]
    return {**trained, **{f"merged/{file['path']}": file["artifact"]["sha256"] for file in merged}}


def _one_champion(farm: Farm, job_id: str, model: str) -> None:
    registry = farm.parts.registry
    assert registry.versions(model) == [1]
    assert registry.aliases(model) == {"champion": 1}
    assert [move["job"] for move in registry.history(model)] == [job_id]
    assert [record["event"] for record in log_of(farm.parts, job_id)].count("champion_promoted") == 1


def _digests_right(farm: Farm, outputs: dict[str, Any], model: str) -> None:
    manifest = farm.parts.objects.get_manifest(version_manifest(model, 1))
    found = [*artifacts_in(outputs), *artifacts_in(manifest)]
    assert len(found) > 10
    for artifact in set(found):
        farm.parts.objects.get_artifact(artifact)


def assert_log_whole(farm: Farm, job_id: str, records: list[dict[str, Any]]) -> None:
    """Check that a completed job's log tells one consistent story, and that its archive tells the same."""
    events = Counter(record["event"] for record in records)
    assert events["job_submitted"] == events["job_completed"] == 1, dump(events)
    assert records[-1]["event"] == "job_completed"
    completed = Counter(record["node"] for record in records if record["event"] == "node_completed")
    assert set(completed.values()) == {1}, dump(completed)
    for node in completed:
        own = [record for record in records if record["node"] == node]
        attempts = [record["fields"]["attempt"] for record in own if record["event"] == "node_started"]
        assert attempts == sorted(set(attempts)), f"{node} ran an attempt twice: {attempts}"
        ends = [record for record in own if record["event"] in ENDS]
        assert len(ends) == len(attempts), f"{node}: {len(attempts)} starts, {len(ends)} ends"
    until(lambda: not farm.parts.logs.unarchived(), "the log was never archived")
    archived = farm.parts.objects.get(f"jobs/{job_id}/log.jsonl").decode().splitlines()
    assert [json.loads(line)["id"] for line in archived] == [record["id"] for record in records]


def assert_left_nothing(farm: Farm) -> None:
    """Check that no agent process, lease, message or work folder is left once all jobs have ended."""
    until(lambda: not farm.children(), f"agent processes were left: {farm.children()}")
    until(lambda: not _orphans(farm), f"left in Redis: {_orphans(farm)}")
    until(lambda: not _work_folders(farm), f"work folders were left: {_work_folders(farm)}")


def _work_folders(farm: Farm) -> list[str]:
    """Return folders of attempts."""
    return [str(path) for path in (farm.folder / "state" / "work").glob("*/*")]


def _orphans(farm: Farm) -> dict[str, Any]:
    """Return leases, waiting messages and RQ's records of messages."""
    connection = farm.parts.connection
    zsets = {key: connection.zrange(key, 0, -1) for key in (keys.LEASES, keys.SENT, keys.DUE)}
    lists = {key.decode(): connection.lrange(key, 0, -1) for key in connection.keys("rq:queue:*")}
    messages = {"rq:job": connection.keys("rq:job:*"), "said": connection.keys(keys.said("*"))}
    return {key: value for key, value in {**zsets, **lists, **messages}.items() if value}
