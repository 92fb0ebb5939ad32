"""Records of work: what agents are configured by, take in and give out; frozen, and strict about keys."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agents.base.names import Digest


class Record(BaseModel):
    """A frozen record that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Config(Record):
    """An agent's settings in a spec. Strict: `"2"` is not a number, and every number is finite."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)


class Artifact(Record):
    """Bytes in the object store, named by their digest."""

    sha256: Digest
    size_bytes: Annotated[int, Field(ge=0)]
    media_type: str = Field("application/octet-stream", pattern=r"^[ -~]{1,200}$")


def named_artifacts(value: Any, name: str = "") -> Iterator[tuple[str, Artifact]]:
    """Yield every artifact in an output, a config or a manifest, named by the way to it: `pictures/roc.svg`.

    What looks like one and is none, such as a config's own key `sha256`, refers to nothing.
    """
    if isinstance(value, Mapping) and value.keys() == Artifact.model_fields.keys():
        with suppress(ValidationError):
            yield name, Artifact.model_validate(value)
        return
    below = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, found in below:
        yield from named_artifacts(found, f"{name}/{key}" if name else str(key))


def artifacts_in(value: Any) -> Iterator[Artifact]:
    """Yield every artifact in an output, a config or a manifest."""
    return (artifact for _, artifact in named_artifacts(value))


class Output(Record):
    """What an agent returns: small, JSON, references instead of payloads."""


class Input(Record):
    """The output of a node that ran before: `agent` says whose it is."""

    node: str
    agent: str
    output: dict[str, Any]


class Follower(Record):
    """A node that comes after another: what it will do with what comes of it."""

    node: str
    agent: str
    config: dict[str, Any]


class DeviceNeed(Record):
    """What a run needs of this host's devices (GPUs)."""

    mib: int | None = None
    """Memory on each device; None: not known."""
    count: int = 1
    """Devices; 0: it runs on the CPU."""
