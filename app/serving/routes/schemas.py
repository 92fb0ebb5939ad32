"""Request and answer bodies of serving."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints

from app.schemas import NOT_BLANK, Body, Fault, Moment, Progress, View
from pipelines.engine.state.job import JobStatus

TEXT_MOST_CHARACTERS = 20_000
TEXTS_MOST = 1_000

Text = Annotated[str, StringConstraints(max_length=TEXT_MOST_CHARACTERS, pattern=NOT_BLANK)]
TEXT = Field(description="A text that is not blank.", examples=["Win a prize now"])


class PredictBody(Body):
    """One text."""

    text: Text = TEXT


class BatchBody(Body):
    """Many texts."""

    texts: list[Text] = Field(
        min_length=1, max_length=TEXTS_MOST, description="Texts that are not blank.", examples=[["Win a prize now"]]
    )


class AsyncBatchBody(Body):
    """Many texts for later; how many may come is a setting."""

    texts: list[Text] = Field(
        min_length=1,
        fail_fast=True,
        description="Texts that are not blank.",
        examples=[["Win a prize now"]],
    )


class ConvertBody(Body):
    """A text, and which model turns it into data."""

    text: Text = TEXT
    model: Annotated[str, Field(max_length=63)] | None = Field(
        None, description="The model. Unset: the one of TUNELINE_CONVERT_MODEL.", examples=["task"]
    )


class Predicted(View):
    """What the model says of a text: a label, several labels or a number, and how sure it is."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)

    label: str = Field(
        description="The likeliest label; of a model of several labels those that are given, with commas between; of "
        "a model of numbers the number as text.",
        examples=["spam"],
    )
    confidence: float = Field(
        description="The label's probability; of several labels that of the least sure of them; of a number 0.",
        examples=[0.98],
    )
    scores: dict[str, float] = Field(
        description="Label -> probability; of a number `value` -> the number.", examples=[{"ham": 0.02, "spam": 0.98}]
    )
    labels: list[str] | None = Field(
        None,
        description="Of a model of several labels those that are given, maybe none; else absent.",
        examples=[["delivery", "refund"]],
    )
    value: float | None = Field(None, description="Of a model of numbers the number; else absent.", examples=[3.62])
    unsure: bool | None = Field(
        None,
        description="Whether a person should look: its confidence is under the version's threshold; null: it has none.",
        examples=[False],
    )
    model: str = Field(description="The model that answered.", examples=["spam"])
    version: int = Field(description="Its version.", examples=[3])


class PredictionAnswer(Predicted):
    """The answer for one text."""

    latency_ms: float = Field(description="How long it took, in milliseconds.", examples=[4.2])


class BatchAnswer(View):
    """Answers in the order of the texts."""

    predictions: list[PredictionAnswer] = Field(description="An answer for each text.")


class BatchPrediction(Predicted):
    """One answer of an asynchronous batch; it has no latency, since nobody waited for it."""


class BatchAccepted(View):
    """A batch as it was accepted. Its version stays the same, whatever is promoted later."""

    id: str = Field(description="The batch's id, which is that of its job.", examples=["job_01JY3Z9S2M"])
    status: JobStatus = Field(description="The batch's status.")
    model: str = Field(description="The model that answers.", examples=["spam"])
    version: int = Field(description="Its version.", examples=[3])
    format: str = Field(description="The format of it that answers.", examples=["onnx_int8"])
    texts: int = Field(description="How many texts there are.", examples=[5000])


class BatchView(BatchAccepted):
    """A batch; it has predictions once its status is `completed`."""

    progress: Progress | None = Field(None, description="How far it is; null until it reports.")
    error: Fault | None = Field(None, description="Why it failed.")
    created_at: Moment = Field(description="When it was submitted, in seconds since 1970.")
    ended_at: Moment | None = Field(None, description="When it ended, in seconds since 1970.")
    predictions: list[BatchPrediction] | None = Field(None, description="The answers, or a page of them.")


class ConvertAnswer(View):
    """What a text says, as data."""

    success: Literal[True] = Field(description="Always true.")
    structured_data: dict[str, Any] = Field(
        description="The data; which keys there are is what the model learned.", examples=[{"title": "Call Ann"}]
    )
    model: str = Field(description="The model that answered.", examples=["task"])
    version: int = Field(description="Its version.", examples=[3])
    latency_ms: float = Field(description="How long it took, in milliseconds.", examples=[840.5])


class ConvertFailure(View):
    """The model's answer was not data."""

    success: Literal[False] = Field(description="Always false.")
    structured_data: None = Field(None, description="Always null.")
    model: str = Field(description="The model that answered.", examples=["task"])
    version: int = Field(description="Its version.", examples=[3])
    latency_ms: float = Field(description="How long it took, in milliseconds.", examples=[840.5])
    error: str = Field(description="The reason, as a name for programs.", examples=["ANSWER_CUT_OFF"])
    message: str = Field(description="The reason and how to fix it, for people.")


class ServedModel(View):
    """A version that answers now."""

    name: str = Field(description="The model's name.", examples=["spam"])
    version: int = Field(description="Its version.", examples=[3])
    format: str = Field(description="The format that is loaded.", examples=["onnx_int8"])
    labels: list[str] = Field(description="A classifier's labels; none of a decoder.", examples=[["ham", "spam"]])
    max_tokens: int = Field(description="The longest text it takes, in tokens.", examples=[256])
    loaded_at: datetime = Field(description="When it was loaded.")


class ServedModels(View):
    """All that is served."""

    models: list[ServedModel] = Field(description="The versions that answer now, by name.")


class KeptPrediction(View):
    """A prediction as the history keeps it."""

    id: int = Field(description="Its number, which only grows.", examples=[1041])
    text: str = Field(description="The text, or its digest where TUNELINE_HISTORY_TEXTS says so.")
    label: str = Field(description="The label, labels or number, or a decoder's answer.", examples=["spam"])
    confidence: float = Field(
        description="The label's probability; 0 for a number or a decoder's answer.", examples=[0.98]
    )
    model: str = Field(description="The model that answered.", examples=["spam"])
    version: int = Field(description="Its version.", examples=[3])
    created_at: datetime = Field(description="When it was answered.")


class HistoryPage(View):
    """Some of the predictions, newest first."""

    predictions: list[KeptPrediction] = Field(description="The predictions of this page.")
    total: int = Field(description="How many match in all.", examples=[1041])


class DriftSignal(View):
    """How far one signal is from the reference."""

    psi: float = Field(description="The population stability index.", examples=[0.03])
    chance: float = Field(description="What chance alone stays below in 95 of 100 windows.", examples=[0.02])
    drift: Literal["none", "some", "much"] = Field(description="How much drift that is.")


class ModelDrift(View):
    """How far the newest predictions of a version are from those on the test split."""

    model: str = Field(description="The model.", examples=["spam"])
    version: int = Field(description="Its version.", examples=[3])
    window: int = Field(description="How many predictions it is computed from.", examples=[1000])
    reference_rows: int = Field(description="How many rows of the test split they are compared with.", examples=[557])
    signals: dict[Literal["labels", "confidence", "value", "length"], DriftSignal] = Field(
        description="Signal -> its drift; empty while there are too few predictions."
    )


class DriftView(View):
    """The drift of every served version that has a reference."""

    models: list[ModelDrift] = Field(description="The versions.")


class ServingHealth(View):
    """What is served, and what can't be."""

    status: Literal["ok", "degraded"] = Field(description="`degraded`: something can't be served as it should.")
    models: dict[str, int] = Field(description="Model -> the version that is served.", examples=[{"spam": 3}])
    troubles: dict[str, str] = Field(
        description="Model, or `registry` -> what is wrong.", examples=[{"ham": "version 2: its weights are damaged."}]
    )
