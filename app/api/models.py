"""Models: versions, card, ranged download, promote, roll back."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from fastapi.responses import PlainTextResponse, StreamingResponse

from agents.base.contract import Artifact
from agents.base.errors import NotFound
from app.api.archive import parse_range, read_range, tar_segments, total_bytes
from app.api.parts import PartsDep
from app.schemas import ModelView, PromoteBody, RollbackBody
from app.views import model_view
from pipelines.engine.cache import digest

router = APIRouter(prefix="/models", tags=["models"])


@router.get("")
def list_models(parts: PartsDep) -> dict[str, list[ModelView]]:
    """List all models with their versions."""
    return {"models": [model_view(parts.registry, name) for name in parts.registry.names()]}


@router.get("/{name}")
def look(name: str, parts: PartsDep) -> ModelView:
    """Show a model: aliases, versions, and every move of the champion."""
    return model_view(parts.registry, name)


@router.get("/{name}/{version}")
def look_at_version(name: str, version: str, parts: PartsDep) -> dict[str, Any]:
    """Show a version's manifest: files with digests, lineage, metrics, verdict. `version` may be an alias."""
    return parts.registry.manifest(name, parts.registry.resolve(name, version))


@router.get("/{name}/{version}/card", response_class=PlainTextResponse)
def card(name: str, version: str, parts: PartsDep) -> PlainTextResponse:
    """Return the model card as Markdown."""
    manifest = parts.registry.manifest(name, parts.registry.resolve(name, version))
    text = parts.objects.get_artifact(Artifact.model_validate(manifest["card"])).decode()
    return PlainTextResponse(text, media_type="text/markdown; charset=utf-8")


@router.get("/{name}/{version}/download")
def download(
    name: str,
    version: str,
    parts: PartsDep,
    format_: Annotated[str, Query(alias="format")] = "adapter",
    range_: Annotated[str | None, Header(alias="range")] = None,
) -> StreamingResponse:
    """Return a format's files as one tar archive; `Range` goes on with a download that broke off."""
    manifest = parts.registry.manifest(name, parts.registry.resolve(name, version))
    files = manifest["formats"].get(format_)
    if files is None:
        known = ", ".join(sorted(manifest["formats"]))
        raise NotFound(
            f"Version {manifest['version']} of '{name}' has no format '{format_}'.", cure=f"It has: {known}."
        )
    named = [(file["path"], Artifact.model_validate(file["artifact"])) for file in files]
    segments = tar_segments([*named, ("manifest.json", parts.objects.put_json(manifest))])
    size = total_bytes(segments)
    wanted = parse_range(range_, size)
    start, length = wanted or (0, size)
    headers = {
        "Accept-Ranges": "bytes",
        "Content-Length": str(length),
        "Content-Disposition": f'attachment; filename="{name}-v{manifest["version"]}-{format_}.tar"',
        "ETag": f'"{digest([manifest["version"], files])[:32]}"',
    }
    if wanted:
        headers["Content-Range"] = f"bytes {start}-{start + length - 1}/{size}"
    body = read_range(parts.objects, segments, start, length)
    return StreamingResponse(body, 206 if wanted else 200, headers, media_type="application/x-tar")


@router.post("/{name}/promote")
def promote(name: str, body: PromoteBody, parts: PartsDep) -> dict[str, Any]:
    """Make a version the champion."""
    version = parts.registry.resolve(name, str(body.version))
    now = parts.state.clock.now()
    return {"aliases": parts.registry.promote(name, version, at=now, reason=body.reason, force=body.force)}


@router.post("/{name}/rollback")
def rollback(name: str, parts: PartsDep, body: RollbackBody | None = None) -> dict[str, Any]:
    """Make the previous champion the champion again."""
    reason = (body or RollbackBody()).reason
    return {"aliases": parts.registry.rollback(name, at=parts.state.clock.now(), reason=reason)}
