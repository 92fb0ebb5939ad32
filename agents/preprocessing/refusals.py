"""Why rows can't be shared out, or too few of them are left, and what cures it: only what is not set already."""

from collections.abc import Callable, Mapping

from agents.base.errors import InvalidData
from agents.chat.truncation import CURES
from agents.data.files.records import shortened
from agents.data.losses import told_reasons
from agents.data.types import SPLITS
from agents.preprocessing.split import TooFewGroups
from agents.preprocessing.types import PreprocessingConfig

#: Thresholds that are tried for a cure.
HIGHER_THRESHOLDS = (0.85, 0.9, 0.95, 1.0)
#: Reason -> what helps, where it is the largest.
LOST_CURES = {
    **CURES,
    "empty": "Check `text_column` of the dataset node, and the rows without text.",
    "same_as_held_out": "Train has copies of what is held out: add rows that differ.",
    "exact_duplicate": "The source has copies: add rows that differ.",
    "conflicting_label": "Equal texts have different labels: decide which is right; validation's report lists them.",
    "leaks_into_test": "Add rows that differ more.",
}


def too_few_groups(fault: TooFewGroups, threshold: float | None) -> InvalidData:
    """Return the refusal of rows that can't be in every split. `threshold`: a `near_threshold` with which they can, if
    one is known."""
    splits = ", ".join(SPLITS)
    if fault.label is None:
        message, more = f"There are {fault.groups} different prompts: too few to be in {splits}.", "Add rows"
    else:
        message = f"Label '{shortened(fault.label)}' has {fault.groups} different rows: too few to be in {splits}."
        # Without it there must still be two labels.
        leave_out = ", or leave it out with the dataset node's `label_map`" if fault.labels > 2 else ""
        more = f"Add rows of this label{leave_out}"
    if fault.rows > fault.groups:
        message += f" Its {fault.rows} rows are near duplicates of each other, or parts of one text."
    return InvalidData(message, cure=f"{more}, or set `near_threshold` to {threshold:g}." if threshold else f"{more}.")


def higher_threshold(config: PreprocessingConfig, cures: Callable[[float], bool]) -> float | None:
    """Return the lowest higher `near_threshold` that cures, of a few; None: none does, or nothing is compared."""
    if config.dedup == "none":
        return None
    higher = (threshold for threshold in HIGHER_THRESHOLDS if threshold > config.near_threshold)
    return next(filter(cures, higher), None)


def near_cure(threshold: float | None, *, grouped: bool) -> str:
    """Return what helps where near duplicates are most of what is lost. `threshold`: with which fewer are; `grouped`:
    whether with `dedup: exact` all can be in splits."""
    cures = [f"`near_threshold: {threshold:g}` keeps more of them."] if threshold else []
    cures += ["`dedup: exact` keeps all, each group in one split."] if grouped else []
    return " ".join(cures) or "Add rows that differ more."


def check_minimum(minimum: int | None, left: int, dropped: Mapping[str, int]) -> None:
    """Ask again for the least number of rows, now that duplicates and what can't be learned are left out.

    Raises:
        InvalidData: there are fewer.
    """
    if minimum is not None and left < minimum:
        lost = f" Left out: {told_reasons(dropped)}." if dropped else ""
        raise InvalidData(
            f"{left} rows are left after preprocessing, `minimum_rows` is {minimum}.{lost}",
            cure="Add rows that differ, or lower `minimum_rows` of validation or preprocessing.",
        )
