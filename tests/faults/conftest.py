"""The farm that the fault tests strike at, and one run without faults to compare with."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY
from tests.faults import breakpoints
from tests.faults.farm import Farm, farm, wait_completed
from tests.faults.soundness import assert_sound, trained_weights
from tests.support.agents import NAMES, TEST_AGENTS
from tests.support.prepared import write_small_model


@pytest.fixture(scope="package")
def struck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """A farm with a small base model and a tenth of the shipped sample in its folder; it knows the test agents too."""
    folder = tmp_path_factory.mktemp("farm")
    write_inputs(folder)
    agents = ",".join(f"{name}={TEST_AGENTS[name].path}" for name in NAMES)
    with farm(folder, {"TUNELINE_AGENTS": agents}) as made:
        made.staff()
        yield made


@pytest.fixture(scope="package")
def weights(struck: Farm) -> dict[str, str]:
    """Digests of the weights that a run without faults gives."""
    job_id = submit(struck, "calm")
    wait_completed(struck, job_id)
    assert_sound(struck, job_id, "calm")
    return trained_weights(struck.parts.state.job(job_id).outputs)


def write_inputs(folder: Path) -> None:
    """Write what `pipeline` reads: a small base model, and a tenth of the shipped sample."""
    write_small_model(folder / "base")
    sample = (REPOSITORY / "pipelines" / "data" / "spam.jsonl").read_text().splitlines()
    (folder / "rows.jsonl").write_text("\n".join(sample[::10]))


def submit(struck: Farm, model: str) -> str:
    """Submit the whole way from rows to a version, small; nothing of it comes from the step cache."""
    return struck.parts.orchestrator.submit(pipeline(struck.folder, model), {})


def pipeline(folder: Path, model: str) -> dict[str, Any]:
    """Return the spec: a checkpoint at every step, so that there is always one to go on from."""
    base = str(folder / "base")
    training = {"model": base, "epochs": 2, "batch_size": 8, "learning_rate": 0.01, "save_steps": 1, "lora": {"r": 2}}
    nodes: dict[str, dict[str, Any]] = {
        "dataset": {"agent": "dataset", "config": {"source": str(folder / "rows.jsonl")}},
        "preprocessing": {
            "agent": "preprocessing",
            "needs": ["dataset"],
            "config": {"model": base, "dedup": "none", "split": {"train": 0.6, "validation": 0.2, "test": 0.2}},
        },
        "training": {"agent": "training", "needs": ["preprocessing"], "config": training},
        "evaluation": {"agent": "evaluation", "needs": ["training"], "config": {"metric": "f1", "minimum": 0.0}},
        "export": {
            "agent": "export",
            "needs": ["evaluation"],
            "config": {"model_name": model, "formats": ["adapter", "merged"]},
        },
    }
    return {"name": "faults", "nodes": {name: {**node, "cache": False} for name, node in nodes.items()}}


@pytest.fixture
def armed(struck: Farm) -> Iterator[Farm]:
    """The farm with two living workers, ready to be armed; afterwards nobody waits at a moment."""
    struck.staff()
    yield struck
    breakpoints.let_go(struck.breakpoints)
    (struck.breakpoints / "armed").unlink(missing_ok=True)
