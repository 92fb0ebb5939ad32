"""How the rows of a task become splits: the part of a task that preprocessing uses."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
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

    names_labels: ClassVar[bool]
    """Whether what a row is labelled with is told apart by its text, and rows are shared out by it."""
    needs_every_label: ClassVar[bool] = False
    """Whether each stratum has to be in every split; else small ones are shared out together."""
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

    def fault(self, row: Row) -> str | None:
        """Return why a cleaned row can't be learned, as a reason that is counted; None where it can."""
        return None if row.text.strip() and row.label.strip() else "empty"

    def labels(self, found: Iterable[str]) -> list[str]:
        """Return the names of the model's outputs, by index. `found`: the different labels of all rows that stay."""
        return sorted(found)

    def strata(self, counts: Mapping[str, int]) -> Mapping[str, str]:
        """Return label -> the stratum that its rows are shared out with. `counts`: label -> rows."""
        return {label: label for label in counts}

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
