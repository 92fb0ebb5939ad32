"""Checkpoints in the store: complete or absent, checked, pruned, and only for their own training."""

from collections.abc import Iterable
from pathlib import Path

import pytest
import torch

from agents.base.objects import ObjectStore
from agents.base.sources import Sources
from agents.training.checkpoint import Checkpoint, Checkpoints
from pipelines.engine.context import AttemptContext


@pytest.fixture
def records() -> list[dict[str, object]]:
    return []


def checkpoints(
    objects: ObjectStore,
    records: list[dict[str, object]],
    *,
    attempt: int = 1,
    dials: int = 0,
    prefixes: Iterable[str] = "a",
) -> Checkpoints:
    context = AttemptContext(
        "job", "spam", "training", attempt, (), objects, Sources(objects, (), Path()), Path(), records.append,
        checkpoint_prefixes=tuple(f"checkpoints/{name}" for name in prefixes),
    )  # fmt: skip
    return Checkpoints.of(context, {"dials": dials})


def at(step: int) -> Checkpoint:
    return Checkpoint(step, {"model": {"weight": torch.full((2,), float(step))}}, {"step": step, "rate": 0.1})


def test_a_checkpoint_comes_back_as_it_went(objects: ObjectStore, records: list[dict[str, object]]) -> None:
    store = checkpoints(objects, records)
    assert store.newest() is None
    store.save(at(7))
    found = store.newest()
    assert found is not None
    assert (found.step, found.state) == (7, {"step": 7, "rate": 0.1})
    assert torch.equal(found.tensors["model"]["weight"], torch.tensor([7.0, 7.0]))


def test_without_its_manifest_a_checkpoint_does_not_exist(
    objects: ObjectStore, records: list[dict[str, object]]
) -> None:
    store = checkpoints(objects, records)
    store.save(at(1))
    objects.delete([store.save(at(2)) + "manifest.json"])
    found = store.newest()
    assert found is not None
    assert found.step == 1
    assert records[-1]["event"] == "checkpoint_skipped"


def test_changed_bytes_are_found_out(objects: ObjectStore, records: list[dict[str, object]]) -> None:
    store = checkpoints(objects, records)
    objects.put(store.save(at(1)) + "state.json", b'{"step": 99}')
    assert store.newest() is None


def test_the_most_steps_win_over_all_prefixes(objects: ObjectStore, records: list[dict[str, object]]) -> None:
    checkpoints(objects, records, prefixes="b").save(at(30))
    checkpoints(objects, records, prefixes="c").save(at(40))
    newer = checkpoints(objects, records, prefixes="abc")
    newer.save(at(35))
    found = newer.newest()
    assert found is not None
    assert found.step == 40


def test_a_prefix_is_no_start_of_another_nodes_name(objects: ObjectStore, records: list[dict[str, object]]) -> None:
    checkpoints(objects, records, prefixes=("training_b",)).save(at(5))
    assert checkpoints(objects, records, prefixes=("training",)).newest() is None


def test_checkpoints_of_other_dials_are_left_alone(objects: ObjectStore, records: list[dict[str, object]]) -> None:
    checkpoints(objects, records, dials=1).save(at(5))
    assert checkpoints(objects, records, dials=2).newest() is None


def test_a_late_writer_removes_nothing_of_the_attempt_that_replaced_it(
    objects: ObjectStore, records: list[dict[str, object]]
) -> None:
    late, present = checkpoints(objects, records, attempt=1), checkpoints(objects, records, attempt=2)
    for step in (1, 2, 3):
        present.save(at(step))
    before = objects.keys("checkpoints/a/")
    for step in (4, 5, 6):
        late.save(at(step))
    assert set(before) <= set(objects.keys("checkpoints/a/"))


def test_the_newest_two_are_kept(objects: ObjectStore, records: list[dict[str, object]]) -> None:
    store = checkpoints(objects, records)
    for step in (1, 2, 3, 4):
        store.save(at(step))
    kept = {key.split("/")[2] for key in objects.keys("checkpoints/a/")}
    assert kept == {"step_00000003", "step_00000004"}
