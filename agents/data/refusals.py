"""What a reader says of files: why they are refused, and what is odd about them."""

from typing import Any

from agents.base.errors import InvalidData
from agents.data.files import Broken, Reading
from agents.data.files.folders import RowFile
from agents.data.files.forms import known_forms
from agents.data.files.records import shortened
from agents.data.files.splits import split_of

#: A file with this share of unreadable lines or more is refused.
MAXIMUM_BROKEN_SHARE = 0.01


def held_out(file: RowFile, reading: Reading) -> str | None:
    """Return a word on rows that are for tests by their name and yet are all that there is."""
    names = {file.name: file.split, **reading.parts}
    told = {name: split_of(name) for name, split in names.items() if split is None}
    held_out = {name: split for name, split in told.items() if split in ("validation", "test")}
    if not held_out or None not in names.values() or file.split:
        return None
    name, split = next(iter(held_out.items()))
    return f"By its name '{shortened(name)}' is for {split}; it is read since there is nothing for training beside it."


def with_forms(fault: InvalidData, sample: list[dict[str, Any]]) -> InvalidData:
    """Of rows with lists and objects in them say which forms are known, besides the cure."""
    nested = [name for name in sample[0] if any(isinstance(row.get(name), list | dict) for row in sample)]
    if not nested:
        return fault
    held = "', '".join(shortened(name) for name in nested[:5])
    return InvalidData(
        f"{fault.message} What is in '{held}' is of no known form.",
        cure=f"{fault.cure} Or write `messages` of `role` and `content`. Known forms: {known_forms()}.",
    )


def refuse_broken(name: str, first: Broken, broken: int, total: int) -> InvalidData:
    """Return the error of a file too many lines of which can't be read."""
    return InvalidData(
        f"'{name}', line {first.row}: {first.message}; {broken} of {total} lines can't be read.",
        cure=f"Fix these lines: fewer than {MAXIMUM_BROKEN_SHARE:.0%} would be left out and counted.",
    )
