"""Bodies of `/datasets`."""

from typing import Any

from pydantic import ConfigDict, Field

from agents.base.records import Artifact
from agents.data.types import Shape
from agents.tasks import TaskName
from app.schemas import Moment, PartialView, View


class DatasetView(View):
    """A file of rows that was uploaded."""

    id: str = Field(description="The dataset's id: the start of its digest.", examples=["0123456789abcdef"])
    filename: str = Field(description="What the file was called.", examples=["spam.csv"])
    created_at: Moment = Field(description="When it was uploaded, in seconds since 1970.")
    artifact: Artifact = Field(description="Its bytes in the object store.")


class UploadedView(DatasetView):
    """A file of rows that was just uploaded."""

    uri: str = Field(description="Its name in a spec.", examples=["dataset://0123456789abcdef"])


class DatasetsView(View):
    """All uploads."""

    datasets: list[DatasetView] = Field(description="The uploaded datasets.")


class FileRead(PartialView):
    """How a file was read."""

    file: str = Field(description="The file's name.", examples=["spam.csv"])
    format: str = Field(description="Its format.", examples=["csv"])
    encoding: str | None = Field(None, description="Its encoding.", examples=["utf-8"])
    delimiter: str | None = Field(None, description="The text between the cells of a row.", examples=[";"])
    form: str | None = Field(None, description="Which tool's form its records have.", examples=["Label Studio"])
    split: str | None = Field(None, description="The split that its name tells.", examples=["train"])
    split_column: str | None = Field(None, description="The column that says the split of a row.", examples=["split"])
    parts: dict[str, str | None] = Field({}, description="Its lists or sheets that are read -> their splits.")
    note: str | None = Field(None, description="What to look at.")
    language: str | None = Field(
        None, description="What the text looks like, where its encoding was told by that.", examples=["Russian"]
    )


class ColumnsUsed(PartialView):
    """Which columns are used, in the words of the dataset node's config."""

    shape: Shape | None = Field(None, description="The shape of the rows.")
    text_column: str | None = Field(None, description="The column of the text or prompt.", examples=["text"])
    label_column: str | None = Field(None, description="The column of the label or answer.", examples=["label"])
    parts: dict[str, str] = Field({}, description="Part of a conversation -> its column.")
    why: str | None = Field(None, description="The reason for this choice.")


class PreviewRow(PartialView):
    """A row as it is read; its other columns are kept under their own names."""

    model_config = ConfigDict(extra="allow")

    row: int = Field(description="Its number in the file, from 1.", examples=[1])
    text: str = Field(description="The text or prompt.", examples=["Win a prize now"])
    label: str | None = Field(None, description="The label or the last answer.", examples=["spam"])
    messages: list[dict[str, Any]] = Field([], description="The turns of a conversation: `role`, `content` and more.")
    labels: list[str] | None = Field(None, description="Its labels, where a text may have several.")
    tools: list[dict[str, Any]] | None = Field(None, description="The tools that a conversation may call.")
    rejected: list[dict[str, Any]] | None = Field(None, description="The worse conversation of preference data.")
    split: str | None = Field(None, description="The split that the source puts it in.")
    file: str | None = Field(None, description="The file it is from, where there are several.")


class LabelledRow(View):
    """A row of texts with labels as the model sees it."""

    row: int = Field(description="Its number in the file, from 1.")
    tokens: list[str] = Field(description="Its tokens, as text.")
    token_count: int = Field(description="How many tokens the whole text has.")
    cut_tokens: int = Field(description="How many of them are cut off.")
    learned: str = Field(description="The label, which carries the loss.")


class AnsweredRow(View):
    """A conversation as the model sees it."""

    row: int = Field(description="Its number in the file, from 1.")
    tokens: list[str] = Field(description="Its tokens, as text.")
    carries_loss: list[bool] = Field(description="Of each token, whether it is learned.")
    token_count: int = Field(description="How many tokens there are.")
    cut_answers: int = Field(description="How many answers are left out because they are too long.")
    loss_tokens: int = Field(description="How many tokens are learned.")
    rendered: str = Field(description="The whole conversation by the template.")
    learned: str = Field(description="The text that is learned.")


class LeftOutRow(View):
    """A conversation that training leaves out."""

    row: int = Field(description="Its number in the file, from 1.")
    left_out: str = Field(description="The kind of reason.", examples=["no_answer"])
    why: str = Field(description="The reason and how to fix it.")


class Rendered(PartialView):
    """Rows as a model would see them."""

    task: TaskName = Field(description="What the rows are for.")
    max_tokens: int = Field(description="Where a row is cut.", examples=[256])
    tokenizer_fingerprint: str = Field(description="The digest of the tokenizer.")
    template: str | None = Field(None, description="The chat template.", examples=["chatml"])
    template_fingerprint: str | None = Field(None, description="The digest of the template and its tokens.")
    rows: list[LabelledRow | AnsweredRow | LeftOutRow] = Field(description="The rows.")
    problems: list[str] = Field(description="What would stop a job.")


class PreviewView(PartialView):
    """The first rows of a dataset, and what is known of all that were read."""

    source: str = Field(description="The dataset's name in a spec.", examples=["dataset://0123456789abcdef"])
    files: list[FileRead] = Field(description="How its files are read.")
    left_out: dict[str, str] = Field({}, description="Files, lists and sheets that are not read -> why.")
    columns: list[str] = Field(description="Its columns.", examples=[["text", "label"]])
    used: ColumnsUsed = Field(description="Which are used; empty where there are no rows.")
    rows_scanned: int = Field(description="Rows that were read, a thousand at most.", examples=[1000])
    whole_file: bool = Field(description="Whether these are all rows.")
    dropped: dict[str, int] = Field(description="Why rows are left out -> how many.")
    first_dropped: dict[str, str] = Field(description="Why rows are left out -> where the first of them is.")
    unused_fields: dict[str, int] = Field({}, description="Fields that hold something which is not used -> how many.")
    unlearned: dict[str, int] = Field({}, description="Why answers within conversations carry no loss -> how many.")
    preference: str | None = Field(None, description="What says that the rows are preference data, if they are.")
    label_counts: dict[str, int] = Field(description="Label -> rows, the twenty most frequent.")
    labels_seen: int = Field(0, description="Labels of the rows that were read.", examples=[2])
    notes: list[str] = Field(
        default_factory=list, description="What to know about the counts, such as that they are of a sample."
    )
    problems: list[str] = Field(description="What would stop a job.")
    rows: list[PreviewRow] = Field(description="The first rows.")
    rendered: Rendered | None = Field(description="These rows as tokens, where a model was named.")
    rendered_note: str | None = Field(description="Why they are not shown as tokens.")
