"""The matrix: fault x node x moment, on real processes and servers. `make faults` runs all of it."""

import os

import pytest

from tests.faults import breakpoints
from tests.faults.breakpoints import MOMENTS, Moment
from tests.faults.conftest import submit
from tests.faults.farm import Farm, wait_completed
from tests.faults.faults import FAULTS, cells
from tests.faults.soundness import assert_sound

pytestmark = pytest.mark.slow


def selection() -> list[tuple[str, str, Moment]]:
    """Return two cells of each fault, from all over the matrix."""
    chosen = []
    for number, fault in enumerate(FAULTS):
        own = [cell for cell in cells() if cell[0] == fault]
        chosen += [own[(5 * number + 3) % len(own)], own[(5 * number + 10) % len(own)]]
    return sorted(set(chosen))


CELLS = cells() if os.environ.get("FAULTS") == "all" else selection()


def test_the_selection_has_every_fault_and_every_moment() -> None:
    assert len(set(cells())) == len(cells()) >= 40
    assert {fault for fault, _, _ in CELLS} == set(FAULTS)
    assert {moment for _, _, moment in CELLS} == set(MOMENTS)


@pytest.mark.parametrize(("fault", "node", "moment"), CELLS)
def test_the_job_ends_as_if_nothing_had_happened(
    armed: Farm, weights: dict[str, str], fault: str, node: str, moment: Moment
) -> None:
    model = f"{fault}-{node}-{moment}".replace("_", "-")
    breakpoints.arm(armed.breakpoints, moment, node)
    job_id = submit(armed, model)

    FAULTS[fault](armed, job_id, node, armed.reached())

    wait_completed(armed, job_id)
    assert_sound(armed, job_id, model, weights)
