"""Whether rows fit a task: what they are, in words, and what to do with those that don't."""

from agents.base.errors import InvalidData
from agents.data.preferences import refuse_preference
from agents.data.shapes import TEXTS
from agents.data.types import Preference, Shape
from agents.tasks import TASKS, Task

WORDS: dict[Shape, str] = {
    "text_label": "texts with one label each",
    "text_labels": "texts with several labels each",
    "text": "plain text without labels",
    "preference": "preference data: a chosen and a rejected answer to each prompt",
}
#: What a task learns from, in words.
WANTED = {
    "labels": "texts with one label each",
    "label_lists": "texts with several labels each",
    "numbers": "texts with a number each",
    "conversations": "prompts with their answers",
    "texts": "plain text",
}


def check_shape(task: Task, shape: Shape, source: str, preference: Preference | None = None) -> None:
    """Refuse rows that a task can't learn from. `preference`: how preference data say which answers are better.

    Raises:
        InvalidData: says what the rows are, and which task takes them.
    """
    if shape in task.shapes:
        return
    if preference:
        raise refuse_preference(source, preference, f"`task: {task.name}`")
    rows = WORDS.get(shape, f"conversations of the shape '{shape}'")
    raise InvalidData(
        f"The rows of '{source}' are {rows}; task: {task.name} learns from {WANTED[task.rows]}.",
        cure=_cure(task, shape),
    )


def _cure(task: Task, shape: Shape) -> str:
    fitting = " or ".join(f"`task: {other.name}`" for other in TASKS.values() if shape in other.shapes)
    others = f"Set {fitting} in every node that names a task" if fitting else "No task here trains on pairs of answers"
    if task.read_as and shape in TEXTS:
        return f"{others}, or name `task: {task.name}` in the dataset node, too: then it reads them so."
    if "text_label" in task.shapes and shape != "text_label":
        return f"{others}, or name columns of texts and labels as `text_column` and `label_column` in the dataset node."
    return f"{others}, or give rows of {WANTED[task.rows]}."
