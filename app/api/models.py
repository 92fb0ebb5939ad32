"""Models: versions, card, ranged download, promote, roll back, delete."""

import hmac
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from fastapi.responses import PlainTextResponse, StreamingResponse

from agents.base.errors import NotAllowed, NotFound
from agents.base.records import Artifact
from agents.formats.manifest import Manifest
from app.api.archive import parse_range, read_range, tar_segments, total_bytes
from app.api.artifacts import send_artifact
from app.api.parts import PartsDep
from app.http import Offset
from app.schemas import DeleteBody, FilesView, FileView, ModelPage, ModelView, PromoteBody, RollbackBody
from app.views import model_view
from pipelines.engine.cache import digest

router = APIRouter(prefix="/models", tags=["models"])
URL_EXPIRES_S = 3600
Limit = Annotated[int, Query(ge=1, le=1000)]


@router.get("")
def list_models(parts: PartsDep, name: str = "", offset: Offset = 0, limit: Limit = 50) -> ModelPage:
    """List models, each with its newest versions; `name`: those whose name has this in it."""
    names = [known for known in parts.registry.names() if name in known]
    models = [model_view(parts.registry, known) for known in names[offset : offset + limit]]
    return ModelPage(models=models, total=len(names))


@router.get("/{name}")
def look(name: str, parts: PartsDep, offset: Offset = 0, limit: Limit = 50) -> ModelView:
    """Show a model: aliases, versions (newest first), and every move of the champion, which is its audit log."""
    return model_view(parts.registry, name, offset, limit)


@router.get("/{name}/{version}")
def look_at_version(name: str, version: str, parts: PartsDep) -> Manifest:
    """Show a version's manifest: files with digests, lineage, metrics, verdict. `version` may be an alias."""
    return parts.registry.manifest(name, parts.registry.resolve(name, version))


@router.get("/{name}/{version}/card", response_class=PlainTextResponse)
def card(name: str, version: str, parts: PartsDep) -> PlainTextResponse:
    """Return the model card as Markdown."""
    manifest = parts.registry.manifest(name, parts.registry.resolve(name, version))
    if manifest.card is None:
        raise NotFound(f"{manifest.title} has no card.")
    text = parts.objects.get_artifact(manifest.card).decode()
    return PlainTextResponse(text, media_type="text/markdown; charset=utf-8")


@router.get("/{name}/{version}/pictures/{picture}")
def picture(name: str, version: str, picture: str, parts: PartsDep) -> StreamingResponse:
    """Return a picture that the card shows, as SVG or PNG."""
    found = parts.registry.manifest(name, parts.registry.resolve(name, version)).pictures
    if picture not in found:
        known = ", ".join(sorted(found)) or "none"
        raise NotFound(f"Version {version} of '{name}' has no picture '{picture}'.", cure=f"It has: {known}.")
    return send_artifact(parts, found[picture])


@router.get("/{name}/{version}/files")
def files(
    name: str, version: str, parts: PartsDep, format_: Annotated[str, Query(alias="format")] = "adapter"
) -> FilesView:
    """List a format's files with their digests, and a URL of the object store's for each that works for an hour."""
    manifest = parts.registry.manifest(name, parts.registry.resolve(name, version))
    return FilesView(
        files=[
            FileView(
                path=path,
                sha256=artifact.sha256,
                size_bytes=artifact.size_bytes,
                url=parts.objects.presigned_url(parts.objects.artifact_key(artifact.sha256), URL_EXPIRES_S),
            )
            for path, artifact in _format(manifest, format_)
        ],
        expires_s=URL_EXPIRES_S,
    )


@router.get("/{name}/{version}/download")
def download(
    name: str,
    version: str,
    parts: PartsDep,
    format_: Annotated[str, Query(alias="format")] = "adapter",
    range_: Annotated[str | None, Header(alias="range")] = None,
    if_range: Annotated[str | None, Header()] = None,
) -> StreamingResponse:
    """Return a format's files as one tar archive; `Range` goes on with a download that broke off.

    `If-Range` has the ETag of what was begun: an archive with another one is sent whole.
    """
    manifest = parts.registry.manifest(name, parts.registry.resolve(name, version))
    named = _format(manifest, format_)
    files = [*named, *_papers(manifest), ("manifest.json", parts.objects.put_json(manifest.as_json()))]
    segments = tar_segments(files)
    size = total_bytes(segments)
    etag = f'"{digest([[path, artifact.sha256] for path, artifact in files])[:32]}"'
    wanted = parse_range(range_, size) if if_range in (None, etag) else None
    start, length = wanted or (0, size)
    headers = {
        "Accept-Ranges": "bytes",
        "Content-Length": str(length),
        "Content-Disposition": f'attachment; filename="{name}-v{manifest.version}-{format_}.tar"',
        "ETag": etag,
    }
    if wanted:
        headers["Content-Range"] = f"bytes {start}-{start + length - 1}/{size}"
    body = read_range(parts.objects, segments, start, length)
    return StreamingResponse(body, 206 if wanted else 200, headers, media_type="application/x-tar")


@router.post("/{name}/promote")
def promote(
    name: str, body: PromoteBody, parts: PartsDep, x_tuneline_force_key: Annotated[str, Header()] = ""
) -> dict[str, Any]:
    """Make a version the champion; against its verdict with `force`, a reason and the key for it."""
    if body.force:
        _check_force_key(x_tuneline_force_key, parts)
    version = parts.registry.resolve(name, str(body.version))
    now = parts.state.clock.now()
    return {"aliases": parts.registry.promote(name, version, at=now, reason=body.reason, force=body.force)}


@router.post("/{name}/rollback")
def rollback(name: str, parts: PartsDep, body: RollbackBody | None = None) -> dict[str, Any]:
    """Make the previous champion the champion again."""
    reason = (body or RollbackBody()).reason
    return {"aliases": parts.registry.rollback(name, at=parts.state.clock.now(), reason=reason)}


@router.delete("/{name}/{version}", status_code=204)
def delete(name: str, version: int, parts: PartsDep, body: DeleteBody | None = None) -> None:
    """Delete a version that no alias points at."""
    reason = (body or DeleteBody()).reason
    parts.registry.delete(name, version, at=parts.state.clock.now(), reason=reason)


def _format(manifest: Manifest, format_: str) -> list[tuple[str, Artifact]]:
    if format_ not in manifest.formats:
        known = ", ".join(sorted(manifest.formats))
        raise NotFound(f"{manifest.title} has no format '{format_}'.", cure=f"It has: {known}.")
    return list(manifest.files(format_).items())


def _papers(manifest: Manifest) -> list[tuple[str, Artifact]]:
    """Return the card, under the name that model hubs show, and its pictures."""
    papers = {f"pictures/{name}": found for name, found in manifest.pictures.items()}
    if manifest.card is not None:
        papers["README.md"] = manifest.card
    return sorted(papers.items())


def _check_force_key(given: str, parts: PartsDep) -> None:
    key = parts.settings.force_key
    if key is None:
        raise NotAllowed(
            "Promotions against the verdict are switched off.",
            cure="Set TUNELINE_FORCE_KEY for the API, and give it to those who may.",
        )
    if not hmac.compare_digest(given.encode(), key.get_secret_value().encode()):
        raise NotAllowed("A promotion against the verdict needs its own key.", cure="Set TUNELINE_FORCE_KEY to it.")
