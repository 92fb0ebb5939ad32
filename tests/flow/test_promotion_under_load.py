"""Changes of the champion while serving answers: a whole stack, trained models, a steady load over real HTTP."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.promotion import Played, play, spam_spec, stack
from tests.support.prepared import write_small_model

pytestmark = pytest.mark.slow
NAMES = ["promoted by the gate", "rejected", "forced", "rolled back"]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """Version 1 is the first champion, 2 as good, 3 has learned nothing."""
    folder = tmp_path_factory.mktemp("promotion")
    model, rows = write_small_model(folder / "model"), write_rows(folder / "rows.jsonl")
    params = {"model": str(model), "data": str(rows), "epochs": 3}

    def spec(**training: Any) -> dict[str, Any]:
        found = spam_spec(params, ["merged"], **{"learning_rate": 0.01, "batch_size": 8, **training})
        # Who says spam to everything has an f1 of 0.67.
        found["params"]["minimum"] = 0.7
        # So many test rows that the lower bound of what is all right, or nearly, reaches it.
        found["nodes"]["preprocessing"]["config"]["split"] = {"train": 0.7, "validation": 0.1, "test": 0.2}
        return found

    with stack(folder / "state", folder) as (client, serving_url):
        yield play(client, serving_url, spec, requests_per_s=40.0)


def write_rows(path: Path) -> Path:
    """Write rows that a small model can learn, none like another: twelve words of the one kind or of the other."""
    draw = random.Random(1)
    words = {
        "spam": ["free", "prize", "win", "cash", "call", "claim", "now", "urgent", "offer", "award"],
        "ham": ["home", "dinner", "later", "mum", "school", "tomorrow", "bus", "sleep", "walk", "bread"],
    }
    rows = [
        {"label": label, "text": " ".join(draw.choice(words[label]) + str(draw.randrange(10)) for _ in range(12))}
        for _ in range(60)
        for label in words
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_gate_promotes_what_is_as_good_and_rejects_what_is_not(played: Played) -> None:
    assert played.verdicts == {1: "PROMOTE", 2: "PROMOTE", 3: "REJECT"}
    assert [(change.name, change.champion, change.moved) for change in played.changes] == [
        (NAMES[0], 2, True),
        (NAMES[1], 2, False),
        (NAMES[2], 3, True),
        (NAMES[3], 2, True),
    ]


def test_no_request_fails_whatever_happens_to_the_champion(played: Played) -> None:
    assert played.failed == []
    assert all(len(own) > 60 for own in played.answers)


def test_each_connection_sees_each_change_exactly_once(played: Played) -> None:
    assert played.versions_seen() == [[1, 2, 3, 2]] * len(played.answers)
    assert [row["switches"] for row in played.rows()] == [1, 0, 1, 1]


def test_nobody_is_answered_by_the_old_version_after_anybody_was_by_the_new_one(played: Played) -> None:
    assert played.turned_back() == []


def test_the_audit_log_tells_a_forced_promotion_and_a_rollback_from_the_gates(played: Played) -> None:
    gate, _, forced, back = (change.audit for change in played.changes)

    assert "Not worse" in gate["why"] or "PROMOTE" in gate["why"]
    assert (forced["version"], forced["forced"], forced["why"]) == (3, True, "the test set is wrong")
    assert (back["version"], back["rollback"], back["why"]) == (2, True, "it was not")
    assert not gate.get("forced")
