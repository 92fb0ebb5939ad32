"""Names of the tasks."""

from typing import Literal

Task = Literal["classification", "sft"]
