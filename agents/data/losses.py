"""Rows that a step leaves out: how large a share they are, when that is told, and when it stops the job."""

from collections.abc import Callable, Mapping
from math import ceil
from typing import Any, Protocol

from agents.base.errors import InvalidData

#: Above this share it is a warning.
TOLD_SHARE = 0.2
#: Of fewer rows a share says little.
ROWS_LEAST = 10
#: Reasons that a message names.
TOLD_REASONS = 5


class Log(Protocol):
    def log(self, event: str, *, level: str = "info", **fields: Any) -> None: ...


def check_lost(
    log: Log, step: str, lost: Mapping[str, int], left: int, most_share: float, cure_of: Callable[[str], str]
) -> None:
    """Warn where a step leaves out more than a fifth of its rows. `lost`: reason -> rows; `left`: rows that stay;
    `cure_of`: returns the cure of a reason.

    Raises:
        InvalidData: it is more than `most_share` of them; names the reasons, and the cure of the largest.
    """
    if fault := too_many_lost(step, lost, left, most_share, cure_of):
        raise fault
    count = sum(lost.values())
    share = count / max(1, count + left)
    if share <= TOLD_SHARE or count + left < ROWS_LEAST:
        return
    largest = max(lost, key=lambda reason: lost[reason])
    log.log(
        "many_rows_lost",
        level="warning",
        step=step,
        rows=count,
        share=round(share, 4),
        reasons=dict(lost),
        largest_reason=largest,
        cure=cure_of(largest),
    )


def too_many_lost(
    step: str, lost: Mapping[str, int], left: int, most_share: float, cure_of: Callable[[str], str]
) -> InvalidData | None:
    """Return the refusal of `check_lost`; None where not too large a share is lost."""
    count = sum(lost.values())
    rows = count + left
    if rows < ROWS_LEAST or count <= most_share * rows:
        return None
    enough = ceil(100 * count / rows) / 100
    return InvalidData(
        f"The {step} node would leave out {count:,} of {rows:,} rows ({count / rows:.0%}): {told_reasons(lost)}; "
        f"`maximum_lost_share` is {most_share:g}.",
        cure=f"{cure_of(max(lost, key=lambda reason: lost[reason]))} If they are meant to be left out, set the {step} "
        f"node's `maximum_lost_share` to {enough:g}.",
    )


def told_reasons(lost: Mapping[str, int]) -> str:
    """Return reasons for a sentence, the largest first."""
    ordered = sorted(lost.items(), key=lambda item: (-item[1], item[0]))
    shown = ", ".join(f"{count:,} x {reason}" for reason, count in ordered[:TOLD_REASONS])
    return shown if len(ordered) <= TOLD_REASONS else f"{shown} and {len(ordered) - TOLD_REASONS} more reasons"
