"""Models: versions, card, ranged download, promote, roll back, delete."""

import hmac
import re
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query
from fastapi.responses import PlainTextResponse, StreamingResponse
from pydantic import SecretStr

from agents.base.errors import Conflict, InvalidRequest, NotAllowed, NotFound
from agents.base.identifiers import VERSION_PATTERN, parse_version
from agents.base.records import Artifact
from agents.formats.manifest import Manifest
from app.api.archive import parse_range, read_range, tar_segments, total_bytes
from app.api.dependencies import ForceKeyDep, ObjectsDep, RegistryDep, StateDep
from app.api.schemas.models import (
    AliasesView,
    DeleteBody,
    FilesView,
    FileView,
    ModelPage,
    ModelView,
    PromoteBody,
    RollbackBody,
)
from app.api.sending import send_artifact
from app.api.views import listed_model, model_view
from app.http import ModelName, Offset
from app.openapi import faults, sent
from pipelines.engine.state.cache import digest

router = APIRouter(prefix="/models", tags=["models"])
URL_EXPIRES_S = 3600
Limit = Annotated[int, Query(ge=1, le=1000, description="The largest number on a page.")]
Version = Annotated[
    str,
    Path(
        description="A version's number, or an alias such as `champion`.",
        examples=["champion"],
        json_schema_extra={"pattern": VERSION_PATTERN},
    ),
]
FormatName = Annotated[
    str, Query(alias="format", description="A format of the version.", examples=["adapter"], max_length=100)
]
TAR = "application/x-tar"
LENGTH = {"Content-Length": {"description": "How many bytes follow.", "schema": {"type": "integer"}}}
ETAG = {"ETag": {"description": "Identifies these bytes, for `If-Range`.", "schema": {"type": "string"}}}
RANGE = {"Content-Range": {"description": "Which bytes follow, of how many.", "schema": {"type": "string"}}}


class Markdown(PlainTextResponse):
    """An answer in Markdown."""

    media_type = "text/markdown"


@router.get("", summary="List the models", response_model_exclude_unset=True)
def list_models(
    registry: RegistryDep,
    name: Annotated[str, Query(description="Only models whose name has this in it.")] = "",
    offset: Offset = 0,
    limit: Limit = 50,
) -> ModelPage:
    """List models, each with its newest versions; `name`: those whose name has this in it."""
    names = [known for known in registry.names() if name in known]
    models = [listed_model(registry, known) for known in names[offset : offset + limit]]
    return ModelPage(models=models, total=len(names))


@router.get("/{name}", summary="Show a model", response_model_exclude_unset=True, responses=faults(NotFound))
def get_model(name: ModelName, registry: RegistryDep, offset: Offset = 0, limit: Limit = 50) -> ModelView:
    """Show a model: aliases, versions (newest first), and the moves of the champion, which are its audit log."""
    return model_view(registry, name, offset, limit)


@router.get("/{name}/{version:version}", summary="Show a version", responses=faults(NotFound, InvalidRequest))
def get_version(name: ModelName, version: Version, registry: RegistryDep) -> Manifest:
    """Show a version's manifest: files with digests, lineage, metrics, verdict. `version` may be an alias."""
    return registry.manifest(name, registry.resolve(name, version))


@router.get(
    "/{name}/{version:version}/card",
    summary="Read a model card",
    response_class=Markdown,
    responses=faults(NotFound, InvalidRequest),
)
def get_card(name: ModelName, version: Version, registry: RegistryDep, objects: ObjectsDep) -> Markdown:
    """Return the model card as Markdown."""
    manifest = registry.manifest(name, registry.resolve(name, version))
    if manifest.card is None:
        raise NotFound(f"{manifest.title} has no card.")
    return Markdown(objects.get_artifact(manifest.card).decode())


@router.get(
    "/{name}/{version:version}/pictures/{picture}",
    summary="Fetch a picture of a model card",
    response_class=StreamingResponse,
    responses={
        **faults(NotFound, InvalidRequest),
        200: sent("The picture, or the key of its numbers.", "image/svg+xml", "image/png", "text/plain"),
    },
)
def get_picture(
    name: ModelName,
    version: Version,
    picture: Annotated[str, Path(description="The picture's name.", examples=["roc.svg"])],
    registry: RegistryDep,
    objects: ObjectsDep,
) -> StreamingResponse:
    """Return a picture that the card shows, as SVG or PNG."""
    found = registry.manifest(name, registry.resolve(name, version)).pictures
    if picture not in found:
        known = ", ".join(sorted(found)) or "none"
        raise NotFound(f"Version {version} of '{name}' has no picture '{picture}'.", cure=f"It has: {known}.")
    return send_artifact(objects, found[picture])


@router.get(
    "/{name}/{version:version}/files", summary="List the files of a version", responses=faults(NotFound, InvalidRequest)
)
def list_files(
    name: ModelName, version: Version, registry: RegistryDep, objects: ObjectsDep, format_: FormatName = "merged"
) -> FilesView:
    """List a format's files with their digests, each with a URL of the object store that works for an hour."""
    manifest = registry.manifest(name, registry.resolve(name, version))
    return FilesView(
        files=[
            FileView(
                path=path,
                sha256=artifact.sha256,
                size_bytes=artifact.size_bytes,
                url=objects.presigned_url(objects.artifact_key(artifact.sha256), URL_EXPIRES_S),
            )
            for path, artifact in _format(manifest, format_)
        ],
        expires_s=URL_EXPIRES_S,
    )


@router.get(
    "/{name}/{version:version}/download",
    summary="Download a version",
    response_class=StreamingResponse,
    responses={
        **faults(NotFound, InvalidRequest),
        200: sent("The whole archive.", TAR, headers=LENGTH | ETAG),
        206: sent("The part of the archive that `Range` asked for.", TAR, headers=LENGTH | ETAG | RANGE),
    },
)
def download_version(
    name: ModelName,
    version: Version,
    registry: RegistryDep,
    objects: ObjectsDep,
    format_: FormatName = "merged",
    range_: Annotated[
        str | None,
        Header(
            alias="Range",
            description="One range of bytes.",
            examples=["bytes=1048576-"],
            json_schema_extra={"pattern": r"^bytes=([0-9]{1,19}-[0-9]{0,19}|-[0-9]{1,19})$"},
        ),
    ] = None,
    if_range: Annotated[str | None, Header(description="The ETag of the archive that was begun.")] = None,
) -> StreamingResponse:
    """Return a format's files as one tar archive; `Range` continues a download that broke off.

    `If-Range` has the ETag of the archive that was begun: another archive is sent whole.
    """
    manifest = registry.manifest(name, registry.resolve(name, version))
    named = _format(manifest, format_)
    files = [*named, *_papers(manifest, format_), ("manifest.json", objects.put_json(manifest.as_json()))]
    segments = tar_segments(files)
    size = total_bytes(segments)
    etag = f'"{digest([[path, artifact.sha256] for path, artifact in files])[:32]}"'
    wanted = parse_range(range_, size) if if_range in (None, etag) else None
    start, length = wanted or (0, size)
    headers = {
        "Accept-Ranges": "bytes",
        "Content-Length": str(length),
        "Content-Disposition": f'attachment; filename="{_archive_name(f"{name}-v{manifest.version}-{format_}.tar")}"',
        "ETag": etag,
    }
    if wanted:
        headers["Content-Range"] = f"bytes {start}-{start + length - 1}/{size}"
    body = read_range(objects, segments, start, length)
    return StreamingResponse(body, 206 if wanted else 200, headers, media_type=TAR)


@router.post("/{name}/promote", summary="Promote a version", responses=faults(NotFound, NotAllowed, Conflict))
def promote_version(
    name: ModelName,
    body: PromoteBody,
    registry: RegistryDep,
    state: StateDep,
    force_key: ForceKeyDep,
    x_tuneline_force_key: Annotated[str, Header(description="The key for promotions against the verdict.")] = "",
) -> AliasesView:
    """Make a version the champion; against its verdict with `force`, a reason and the key for it."""
    if body.force:
        _check_force_key(x_tuneline_force_key, force_key)
    version = registry.resolve(name, str(body.version))
    now = state.clock.now()
    return AliasesView(aliases=registry.promote(name, version, at=now, reason=body.reason, force=body.force))


@router.post("/{name}/rollback", summary="Roll a model back", responses=faults(NotFound, Conflict))
def roll_back_model(
    name: ModelName, registry: RegistryDep, state: StateDep, body: RollbackBody | None = None
) -> AliasesView:
    """Make the previous champion the champion again."""
    reason = (body or RollbackBody()).reason
    return AliasesView(aliases=registry.rollback(name, at=state.clock.now(), reason=reason))


@router.delete(
    "/{name}/{version:version}", status_code=204, summary="Delete a version", responses=faults(NotFound, Conflict)
)
def delete_version(
    name: ModelName,
    version: Annotated[int, Path(description="The version's number.", examples=[3], ge=1, le=999_999_999)],
    registry: RegistryDep,
    state: StateDep,
    body: DeleteBody | None = None,
) -> None:
    """Delete a version that no alias points at."""
    reason = (body or DeleteBody()).reason
    registry.delete(name, int(parse_version(str(version))), at=state.clock.now(), reason=reason)


def _format(manifest: Manifest, format_: str) -> list[tuple[str, Artifact]]:
    if format_ not in manifest.formats:
        known = ", ".join(sorted(manifest.formats))
        raise NotFound(f"{manifest.title} has no format '{format_}'.", cure=f"It has: {known}.")
    return list(manifest.files(format_).items())


def _archive_name(wanted: str) -> str:
    """Return a file's name as a header can hold it."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", wanted)


def _papers(manifest: Manifest, format_: str) -> list[tuple[str, Artifact]]:
    """Return a format's card, under the name that model hubs show, and its pictures."""
    papers = {f"pictures/{name}": found for name, found in manifest.pictures.items()}
    card = manifest.cards.get(format_) or manifest.card
    if card is not None:
        papers["README.md"] = card
    return sorted(papers.items())


def _check_force_key(given: str, key: SecretStr | None) -> None:
    if key is None:
        raise NotAllowed(
            "Promotions against the verdict are switched off.",
            cure="Set TUNELINE_FORCE_KEY for the API, and give it to those who may force a promotion.",
        )
    if not hmac.compare_digest(given.encode(), key.get_secret_value().encode()):
        raise NotAllowed("A promotion against the verdict needs the force key.", cure="Set TUNELINE_FORCE_KEY to it.")
