"""What a row of a text and a number is."""

from agents.data.numbers import read_number
from agents.data.types import Row

NOT_A_NUMBER = "not_a_number"
#: What the model's one output is called.
OUTPUT = "value"


def row_fault(row: Row) -> str | None:
    """Return why a row has no number to learn; None where it has one."""
    return None if read_number(row.label) is not None else NOT_A_NUMBER
