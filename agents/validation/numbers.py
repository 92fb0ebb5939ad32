"""Labels that are numbers: amounts are not kinds, and are for another task."""

from collections.abc import Mapping

from agents.data.numbers import read_number
from agents.tasks import TASKS

#: Fewer different numbers may well be kinds: stars, grades, codes. A few labels beside them may be no numbers.
NUMBERS_LEAST, NUMBERS_SHARE = 20, 0.95


def number_problem(label_counts: Mapping[str, int], minimum_label_rows: int) -> str | None:
    """Return why labels that are many numbers can't be learned as kinds, with the task that learns them as amounts."""
    rare = sum(count < minimum_label_rows for count in label_counts.values())
    numbers = sum(read_number(label) is not None for label in label_counts) if rare else 0
    if numbers < max(NUMBERS_LEAST, NUMBERS_SHARE * len(label_counts)):
        return None
    fitting = " or ".join(f"`task: {task.name}`" for task in TASKS.values() if task.rows == "numbers")
    return (
        f"The labels are {numbers} different numbers, and {rare} labels have fewer than {minimum_label_rows} rows: set "
        f"{fitting} in every node that names a task, or `label_map` to make them fewer labels."
    )
