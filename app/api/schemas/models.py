"""Bodies of `/models`."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, JsonValue

from agents.base.identifiers import VERSION_PATTERN
from agents.metrics.types import Figures
from app.schemas import AnyWhole, Body, Fault, Moment, PartialView, View

#: Of a version as a document tells it; the registry's own parser refuses others.
VERSION_BOUNDS: dict[str, JsonValue] = {"pattern": VERSION_PATTERN, "minimum": 1, "maximum": 999_999_999}
#: Characters of a reason, which every list of models shows again, and of an alias.
REASON_MOST, NAME_MOST = 1000, 100
#: Which aliases there are.
Aliases = dict[str, int]
ALIASES = Field(description="Alias -> the version that it points at.", examples=[{"champion": 3, "previous": 2}])


class PromoteBody(Body):
    """Which version becomes the champion, and why."""

    version: Annotated[int, AnyWhole] | Annotated[str, Field(max_length=NAME_MOST)] = Field(
        description="A number or an alias.", examples=[3], json_schema_extra=VERSION_BOUNDS
    )
    reason: str = Field(
        min_length=1,
        max_length=REASON_MOST,
        description="The reason, kept in the history.",
        examples=["checked by hand"],
    )
    force: bool = Field(False, description="Promote it against its verdict; that needs the force key.")


class RollbackBody(Body):
    """Why the previous champion comes back."""

    reason: str = Field("rollback", max_length=REASON_MOST, description="The reason, kept in the history.")


class DeleteBody(Body):
    """Why a version is deleted."""

    reason: str = Field("deleted", max_length=REASON_MOST, description="The reason, kept in the history.")


class VersionSummary(PartialView):
    """A version as a list shows it."""

    version: int = Field(description="The version's number.", examples=[3])
    created_at: str | float | None = Field(
        description="When its export wrote it (ISO 8601).", examples=["2026-01-01T00:00:00+00:00"]
    )
    verdict: Literal["PROMOTE", "HOLD", "REJECT"] | None = Field(
        description="The gate's verdict; null where the manifest is damaged and does not say."
    )
    metrics: Figures = Field(description="Metric -> value on the test split.", examples=[{"f1": 0.93}])
    formats: list[str] = Field(description="Formats that it was exported in.", examples=[["adapter", "onnx_int8"]])
    aliases: list[str] = Field(description="Aliases that point at it.", examples=[["champion"]])
    fault: Fault | None = Field(None, description="What is wrong with its manifest; absent where nothing is.")


class Move(PartialView):
    """One move of the champion alias, or a deletion."""

    model_config = ConfigDict(populate_by_name=True)

    version: int = Field(description="The version that became champion, or was deleted.", examples=[3])
    from_: int | None = Field(None, alias="from", description="The champion before.", examples=[2])
    at: Moment = Field(description="When, in seconds since 1970.")
    why: str = Field(description="The reason that was given.", examples=["verdict PROMOTE"])
    job: str | None = Field(None, description="The job that promoted it.", examples=["job_01JY3Z9S2M"])
    forced: bool = Field(False, description="Whether it was promoted against its verdict.")
    rollback: bool = Field(False, description="Whether the previous champion came back.")
    deleted: bool = Field(False, description="Whether the version was deleted.")


class ModelView(View):
    """A model with some of its versions."""

    name: str = Field(description="The model's name.", examples=["spam"])
    aliases: Aliases = ALIASES
    versions: list[VersionSummary] = Field(description="Its versions on this page, newest first.")
    versions_total: int = Field(description="How many versions it has.", examples=[3])
    history: list[Move] = Field(
        description="The moves of the champion, newest first: up to 1,000, and up to 20 in a list of models."
    )


class ModelPage(View):
    """Some of the models."""

    models: list[ModelView] = Field(description="The models of this page, by name, each with its newest versions.")
    total: int = Field(description="How many models match in all.", examples=[4])


class AliasesView(View):
    """Where the aliases point now."""

    aliases: Aliases = ALIASES


class FileView(View):
    """A file of a version."""

    path: str = Field(description="Its place in the format's folder.", examples=["adapter_model.safetensors"])
    sha256: str = Field(description="The digest of its bytes.")
    size_bytes: int = Field(description="How many bytes it has.", examples=[3549776])
    url: str = Field(description="Its URL in the object store, valid for `expires_s` seconds.")


class FilesView(View):
    """The files of one format of a version."""

    files: list[FileView] = Field(description="The files.")
    expires_s: int = Field(description="How long the URLs work, in seconds.", examples=[3600])
