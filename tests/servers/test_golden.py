"""One tiny training per task gives the figures that were recorded: losses, counts, digests, metrics, verdict, files."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import AgentBench
from tests.golden.figures import Figures, differences
from tests.golden.pipelines import classification, file_of, one_cpu_thread, sft

CURE = "If that was wanted, see tests/golden/README.md for how to record the figures anew"


def changes(task: str, run: Callable[[AgentBench, str], Figures], bench: AgentBench, model: Path) -> list[str]:
    """Run a task's pipeline with a model below one of the bench's roots; return what differs from the record."""
    with one_cpu_thread():
        found = run(bench, model.name)
    # As a file has it: a tuple is a list there.
    return list(differences(json.loads(file_of(task).read_text("utf-8")), json.loads(json.dumps(found))))


@pytest.mark.slow
def test_a_classifier_is_made_as_it_was(bench: AgentBench, small_model: Path) -> None:
    assert changes("classification", classification, bench, small_model) == [], CURE


@pytest.mark.slow
def test_a_decoder_is_made_as_it_was(bench: AgentBench, tiny_decoder: Path) -> None:
    assert changes("sft", sft, bench, tiny_decoder) == [], CURE


def test_a_difference_is_named_with_its_place() -> None:
    recorded = {"losses": [0.5, 0.25], "rows": "ab", "steps": 2, "gone": None}
    found = {"losses": [0.5 + 4e-6, 0.2501], "rows": "cd", "steps": 2.0, "new": None}

    assert list(differences(recorded, found)) == [
        "/gone: is gone",
        "/losses/1: was 0.25, is 0.2501",
        "/new: is new",
        "/rows: was 'ab', is 'cd'",
        "/steps: was 2, is 2.0",
    ]
    assert list(differences({"losses": [1.0]}, {"losses": [1.0, 1.0]})) == ["/losses: was [1.0], is [1.0, 1.0]"]
    assert list(differences(recorded, recorded)) == []
