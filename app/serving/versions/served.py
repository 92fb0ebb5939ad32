"""A version in memory, and what serving asks the registry."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, cast

from agents.base.errors import InvalidRequest
from agents.formats.manifest import Manifest
from agents.models.classifiers.base import Classifier
from agents.models.generators.base import Generator
from agents.models.kinds import ModelKind
from app.serving.watch.drift import DriftWindow


class Versions(Protocol):
    """What serving wants to know of the registry."""

    def names(self) -> list[str]: ...

    def aliases(self, model: str) -> dict[str, int]: ...

    def manifest(self, model: str, version: int) -> Manifest: ...


@dataclass(frozen=True)
class Served:
    """A version in memory, warm."""

    name: str
    version: int
    format: str
    kind: ModelKind
    model: Classifier | Generator
    loaded_at: datetime
    answer_schema: str | None = None
    """Of a decoder: the JSON schema of its answers; None where they are not JSON objects."""
    clean: bool = True
    """Whether the prompts it learned were cleaned."""
    drift: DriftWindow | None = None
    """None of a version that was judged without a reference."""
    unsure_below: float | None = None
    """Of a classifier: confidence under which an answer is unsure; None of a version that was not calibrated."""

    @property
    def is_decoder(self) -> bool:
        return self.kind == "decoder"

    @property
    def classifier(self) -> Classifier:
        """Raises InvalidRequest where it is a decoder."""
        if self.is_decoder:
            raise InvalidRequest(
                f"'{self.name}' is a decoder and gives no labels.",
                cure="Ask it by POST /v1/chat/completions, or by POST /convert where its answers are JSON.",
            )
        return cast(Classifier, self.model)

    @property
    def generator(self) -> Generator:
        """Raises InvalidRequest where it is a classifier."""
        if not self.is_decoder:
            raise InvalidRequest(
                f"'{self.name}' is a classifier and does not write text.", cure=f"Ask it by POST /predict/{self.name}."
            )
        return cast(Generator, self.model)
