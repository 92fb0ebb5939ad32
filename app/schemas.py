"""Request and answer bodies of the API."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipelines.engine.state.job import JobStatus, NodeStatus


class Body(BaseModel):
    """A request body: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid")


class SubmitBody(Body):
    """`POST /jobs`: a spec, as an object or as YAML text, and values for its params."""

    spec: dict[str, Any] | str
    params: dict[str, Any] = {}


class PromoteBody(Body):
    """`POST /models/{name}/promote`."""

    version: int | str = Field(description="A number or an alias.")
    reason: str = Field(min_length=1)
    force: bool = False


class RollbackBody(Body):
    """`POST /models/{name}/rollback`."""

    reason: str = "rollback"


class DeleteBody(Body):
    """`DELETE /models/{name}/{version}`."""

    reason: str = "deleted"


class WorkersBody(Body):
    """`PUT /queues/{name}`."""

    workers: int = Field(ge=0, le=256)


class Fault(BaseModel):
    """Every error's answer."""

    error: str
    message: str
    details: list[dict[str, Any]] = []


class NodeView(BaseModel):
    """One node as a user sees it."""

    status: NodeStatus
    agent: str
    queue: str
    needs: list[str]
    attempt: int
    progress: dict[str, Any] | None = None
    created_at: float | None = None
    ready_at: float | None = None
    started_at: float | None = None
    ended_at: float | None = None
    seconds: float | None = None
    worker: str | None = None
    cache: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    waits_for: str | None = None
    """Why it doesn't run, in words."""
    config: dict[str, Any]
    sources: dict[str, str]
    output: dict[str, Any] | None = None


class JobSummary(BaseModel):
    """One job in a list."""

    id: str
    name: str
    status: JobStatus
    created_at: float
    started_at: float | None = None
    ended_at: float | None = None
    retry_of: str | None = None
    stop: Literal["cancel", "pause"] | None = None
    nodes_done: int
    nodes_total: int


class JobView(JobSummary):
    """One job, whole."""

    description: str
    params: dict[str, Any]
    param_sources: dict[str, str]
    nodes: dict[str, NodeView]


class JobPage(BaseModel):
    """`GET /jobs`."""

    jobs: list[JobSummary]
    total: int


class ArtifactView(BaseModel):
    """One artifact of a job; `name`: where in the node's output it stands, such as `pictures/roc.svg`."""

    node: str
    name: str
    sha256: str
    size_bytes: int
    media_type: str


class ArtifactsView(BaseModel):
    """`GET /jobs/{id}/artifacts`."""

    artifacts: list[ArtifactView]


class LogPage(BaseModel):
    """`GET /jobs/{id}/logs`; `next` is the cursor for the page after this one."""

    records: list[dict[str, Any]]
    next: str
    ended: bool


class VersionSummary(BaseModel):
    """One version in a list."""

    version: int
    created_at: str | float | None
    verdict: str
    metrics: dict[str, Any]
    formats: list[str]
    aliases: list[str]


class ModelView(BaseModel):
    """`GET /models/{name}`."""

    name: str
    aliases: dict[str, int]
    versions: list[VersionSummary]
    versions_total: int
    history: list[dict[str, Any]] = []


class ModelPage(BaseModel):
    """`GET /models`."""

    models: list[ModelView]
    total: int


class FileView(BaseModel):
    """One file of a version."""

    path: str
    sha256: str
    size_bytes: int
    url: str


class FilesView(BaseModel):
    """`GET /models/{name}/{version}/files`."""

    files: list[FileView]
    expires_s: int
