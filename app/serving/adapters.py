"""Versions served as adapters: where their base can be had, over weights that all versions tuned on it share."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import structlog

from agents.base.errors import InvalidModel
from agents.base.records import Artifact
from agents.models.base_cache import SharedBases
from agents.models.kinds import ModelKind
from app.serving.files import choose_files
from app.serving.formats import ADAPTER

if TYPE_CHECKING:
    # Serving ONNX needs no torch.
    from agents.models.shared_base import SharedBase

log = structlog.get_logger()


def choose_loadable(
    manifest: dict[str, Any], preferred: Sequence[str], bases: SharedBases, *, setting: str = "TUNELINE_SERVING_FORMAT"
) -> "tuple[str, dict[str, Artifact], SharedBase | None]":
    """Return what `choose_files` does, and of an adapter its base in memory.

    An adapter whose base can't be had here is passed over if another of the formats will do.

    Raises:
        InvalidModel: as `choose_files`; or there is nothing but an adapter, and its base can't be had.
        Unavailable: a server that the base comes from doesn't answer.
    """
    form, files = choose_files(manifest, preferred, setting=setting)
    if form != ADAPTER:
        return form, files, None
    kind: ModelKind = "decoder" if manifest.get("task") == "sft" else "classifier"
    try:
        return form, files, bases.get(*base_of(manifest), kind)
    except InvalidModel as fault:
        others = [other for other in preferred if other != ADAPTER and manifest["formats"].get(other)]
        if not others:
            raise
        log.warning("base_not_here", model=manifest["name"], version=manifest["version"], message=str(fault))
        return *choose_files(manifest, others, setting=setting), None


def base_of(manifest: dict[str, Any]) -> tuple[str, str]:
    """Return URI and fingerprint of the base that a version was tuned on.

    Raises:
        InvalidModel: the manifest doesn't say.
    """
    uri, fingerprint = manifest.get("base_model"), manifest.get("base_model_fingerprint")
    if not isinstance(uri, str) or not isinstance(fingerprint, str):
        raise InvalidModel(
            f"Version {manifest.get('version')} of '{manifest.get('name')}' doesn't say which base its adapter is for.",
            cure="Export it again.",
        )
    return uri, fingerprint
