"""Request and answer bodies of serving."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

TEXT_MOST_CHARACTERS = 20_000
TEXTS_MOST = 1_000

Text = Annotated[str, StringConstraints(max_length=TEXT_MOST_CHARACTERS, pattern=r"\S")]


class PredictBody(BaseModel):
    """`POST /predict/{model}`."""

    model_config = ConfigDict(extra="forbid")
    text: Text


class BatchBody(BaseModel):
    """`POST /predict/{model}/batch`."""

    model_config = ConfigDict(extra="forbid")
    texts: list[Text] = Field(min_length=1, max_length=TEXTS_MOST)


class PredictionAnswer(BaseModel):
    """One answer."""

    label: str
    confidence: float
    scores: dict[str, float]
    model: str
    version: int
    latency_ms: float


class BatchAnswer(BaseModel):
    """Answers in the order of the texts."""

    predictions: list[PredictionAnswer]


class ServedModel(BaseModel):
    """A version that answers now."""

    name: str
    version: int
    format: str
    labels: list[str]
    max_tokens: int
    loaded_at: datetime
