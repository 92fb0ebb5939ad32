"""Two tiny real versions of a model in the store and the registry, for serving to follow."""

from pathlib import Path
from typing import Any

from agents.classifier import load_adapter, load_merged
from agents.export.onnx import write_int8, write_onnx
from app.wiring import Parts
from tests.support.models import LABELS, stored, write_adapter
from tests.support.prepared import write_small_model

SPAM_BIAS = {1: 50.0, 2: -50.0}


def write_merged(folder: Path) -> dict[int, Path]:
    """Write two whole models: version 1 says spam to everything, version 2 ham."""
    base = write_small_model(folder / "base")
    found = {}
    for version, bias in SPAM_BIAS.items():
        adapter = write_adapter(folder / f"adapter-{version}", base, spam_bias=bias)
        model = load_adapter(adapter, base, LABELS, 32, cache_dir=folder)
        found[version] = folder / f"merged-{version}"
        model.model.merge_and_unload().save_pretrained(found[version])  # type: ignore[operator]
        model.tokenizer.save_pretrained(found[version])
    return found


def put_versions(parts: Parts, folders: dict[int, Path]) -> Parts:
    """Put both versions of `spam` into the registry, version 1 being champion."""
    for version, folder in folders.items():
        write_version(parts, version, stored(parts.objects, folder))
    promote(parts, 1)
    return parts


def write_onnx_formats(merged: Path, folder: Path) -> dict[str, Path]:
    """Write a whole model as ONNX too; return the folder of each format."""
    model = load_merged(merged, LABELS, 32, device="cpu", attn_implementation="eager")
    write_onnx(model, merged, folder / "onnx")
    write_int8(folder / "onnx", folder / "onnx_int8")
    return {"merged": merged, "onnx": folder / "onnx", "onnx_int8": folder / "onnx_int8"}


def write_version(
    parts: Parts, version: int, files: dict[str, Any], task: str = "classification", **more: dict[str, Any]
) -> None:
    """Write a manifest; `files` are those of `merged`, `more` those of other formats: path -> artifact."""
    formats = {
        form: [{"path": path, "artifact": artifact.model_dump()} for path, artifact in found.items()]
        for form, found in {"merged": files, **more}.items()
    }
    manifest = {
        "name": "spam",
        "version": version,
        "task": task,
        "labels": LABELS,
        "max_tokens": 32,
        "verdict": "PROMOTE",
        "reasons": [],
        "metrics": {},
        "formats": formats,
    }
    parts.objects.put_manifest(f"models/spam/versions/{version:06d}/manifest.json", manifest)


def promote(parts: Parts, version: int) -> None:
    """Make a version champion that was written beside the registry."""
    parts.registry.rebuild()
    parts.registry.promote("spam", version, at=1.0, reason="test")
