"""Bodies of a job's artifacts."""

from pydantic import Field

from app.schemas import View


class ArtifactView(View):
    """Bytes that a node wrote to the object store."""

    node: str = Field(description="The node that wrote it.", examples=["evaluation"])
    name: str = Field(description="Its place in the node's output.", examples=["pictures/roc.svg"])
    sha256: str = Field(description="The digest of its bytes.")
    size_bytes: int = Field(description="How many bytes it has.", examples=[18234])
    media_type: str = Field(description="What kind of bytes they are.", examples=["image/svg+xml"])


class ArtifactsView(View):
    """All artifacts of a job's finished nodes."""

    total: int = Field(description="How many artifacts the job has in all.", examples=[12])
    artifacts: list[ArtifactView] = Field(description="The artifacts, node by node.")
