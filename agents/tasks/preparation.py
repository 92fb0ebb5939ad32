"""How the rows of a task become splits: the part of a task that preprocessing uses."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from agents.base.loading import load_object
from agents.chat.format import PromptFormat
from agents.data.types import Row
from agents.tasks.base import Task

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from agents.data.reader import Listener
    from agents.preprocessing.types import PreprocessingConfig


class Cells(Protocol):
    """What is kept of a row, beside `row` and `text`."""

    def types(self) -> dict[str, Any]:
        """Return column -> type of pyarrow, without `input_ids`."""

    def columns(self, rows: Sequence[Row]) -> tuple[dict[str, list[Any]], int]:
        """Return the cells of these columns and of `input_ids`, and how many of the texts were cut."""

    def label_counts(self, rows: Sequence[Row]) -> Counter[str]: ...


class Preparation(ABC):
    """The rows of one task, for one tokenizer. `max_tokens`: of a row."""

    has_labels: ClassVar[bool]
    """Whether rows are shared out by label, and labels are told apart by name."""
    several_answers: ClassVar[bool]
    """Whether equal texts may well have other answers, and are duplicates only with the same one."""

    def __init__(
        self, config: "PreprocessingConfig", context: "Listener", tokenizer: "PreTrainedTokenizerFast", max_tokens: int
    ) -> None:
        self.config, self.context = config, context
        self.tokenizer, self.max_tokens = tokenizer, max_tokens

    @abstractmethod
    def cleaned(self, row: Row) -> Row:
        """Return what of a row is used, cleaned as configured."""

    @abstractmethod
    def documents(self, rows: Iterable[Row], dropped: Counter[str]) -> Iterator[tuple[int, Row]]:
        """Yield what is learned of the rows, each with the number of the row that it is of; count in `dropped` why
        others are left out.

        Raises:
            InvalidData: none is left.
        """

    @abstractmethod
    def cells(self, labels: Sequence[str]) -> Cells:
        """Return what makes the columns of a split. `labels`: by index, sorted."""

    @abstractmethod
    def prompt_format(self, train: Iterable[Row]) -> PromptFormat | None:
        """Return the format of the prompts, by the rows that will be learned; None where there are no prompts."""

    @abstractmethod
    def preview(self, row: Row) -> dict[str, Any]:
        """Return how the model sees a row: `row`, `tokens`, `token_count`, and which of it carries loss."""

    @abstractmethod
    def preview_facts(self) -> dict[str, Any]:
        """Return what a preview says of all rows, such as the template."""


PreparationType = type[Preparation]


def preparation_of(task: Task) -> PreparationType:
    """Return the preparation of a task."""
    found: PreparationType = load_object(task.preparation)
    return found
