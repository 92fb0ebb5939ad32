"""Two versions of a classifier and two of a decoder, made by jobs; the second of each is kept."""

import json
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agents.base.records import Artifact
from app.processes import worker
from app.wiring import Parts
from pipelines.engine.state.queue import run_worker
from tests.conftest import REPOSITORY
from tests.kept.dumps import objects_in, write_json, write_tar
from tests.support.decoders import color_rows

PLATFORM = "Linux-x86_64-with-glibc2.36"
QUEUES = ["default", "training", "evaluation"]
#: Pictures are large and nothing computes with them.
LARGEST_BYTES = 200_000
TRAINING = {"epochs": 3, "batch_size": 8, "learning_rate": 0.01, "log_steps": 1, "precision": "fp32"}


def record_versions(parts: Parts, roots: Path) -> None:
    """Run the pipelines twice and keep each second version: its manifest to be read, and its files."""
    sample = (REPOSITORY / "pipelines/data/spam.jsonl").read_text("utf-8").splitlines()[:90]
    (roots / "spam.jsonl").write_text("\n".join(sample), "utf-8")
    (roots / "colors.jsonl").write_text("\n".join(json.dumps(row) for row in color_rows(60)), "utf-8")
    kept: dict[str, bytes] = {}
    for name, spec in (("spam", classifier_spec()), ("colors", decoder_spec())):
        for seed in (1, 2):
            job_id = parts.orchestrator.submit(spec, {"seed": seed})
            run_worker(QUEUES, parts.connection, f"worker-{name}-{seed}", lambda: None, burst=True)
            job = parts.state.job(job_id)
            assert job.head.status == "completed", {node: state.error for node, state in job.nodes.items()}
        manifest = without_kernel(parts, parts.registry.manifest(name, 2))
        write_json(f"versions/{name}-2.json", manifest)
        kept |= objects_in(parts.objects, [f"models/{name}/aliases.json", *sorted(artifact_keys(parts, manifest))])
    write_tar("versions/objects.tar.gz", kept)
    worker._runner.cache_clear()
    worker._parts.cache_clear()


def without_kernel(parts: Parts, manifest: dict[str, Any]) -> dict[str, Any]:
    """Return a manifest, with its card, that doesn't name the kernel it was recorded under."""
    card = parts.objects.get_artifact(Artifact.model_validate(manifest["card"])).decode()
    kept = parts.objects.put_artifact(card.replace(platform.platform(), PLATFORM).encode(), "text/markdown")
    environment = {**manifest["environment"], "platform": PLATFORM}
    return {**manifest, "environment": environment, "card": kept.model_dump()}


def artifact_keys(parts: Parts, value: Any) -> Iterator[str]:
    """Yield the keys of the files that a manifest names, but for the pictures."""
    if isinstance(value, dict) and "sha256" in value and value["size_bytes"] < LARGEST_BYTES:
        yield parts.objects.artifact_key(value["sha256"])
    elif isinstance(value, dict):
        for name, found in value.items():
            if name != "pictures":
                yield from artifact_keys(parts, found)
    elif isinstance(value, list):
        for found in value:
            yield from artifact_keys(parts, found)


def classifier_spec() -> dict[str, Any]:
    """Return a pipeline that fills every field of a classifier's manifest."""
    training = {**TRAINING, "epochs": 6, "model": "encoder", "lora": {"r": 2, "train_modules": ["word_embeddings"]}}
    splits = {"train": 0.6, "validation": 0.2, "test": 0.2}
    return {
        "name": "spam",
        "params": {"seed": 1},
        "nodes": {
            "dataset": {"agent": "dataset", "config": {"source": "spam.jsonl"}},
            "validation": {"agent": "validation", "needs": ["dataset"], "config": {"pii": "mask"}},
            "preprocessing": {
                "agent": "preprocessing",
                "needs": ["validation"],
                "config": {"model": "encoder", "max_tokens": 48, "split": splits},
            },
            "training": {
                "agent": "training",
                "needs": ["preprocessing"],
                "config": {**training, "seed": "${params.seed}"},
                "matrix": {"learning_rate": [0.02, 0.05]},
            },
            "evaluation": {"agent": "evaluation", "needs": ["training"], "config": {"minimum": 0.0, "margin": 1.0}},
            "comparison": {"agent": "comparison", "needs": ["evaluation"]},
            "export": {
                "agent": "export",
                "needs": ["comparison"],
                "config": {"formats": ["adapter", "merged", "onnx", "onnx_int8"]},
            },
        },
    }


def decoder_spec() -> dict[str, Any]:
    """Return a pipeline that fills every field of a decoder's manifest."""
    training = {**TRAINING, "task": "sft", "model": "decoder", "epochs": 2, "lora": {"r": 2}}
    preprocessing = {"task": "sft", "model": "decoder", "template": "chatml", "dedup": "exact", "max_tokens": 256}
    return {
        "name": "colors",
        "params": {"seed": 1},
        "nodes": {
            "dataset": {"agent": "dataset", "config": {"source": "colors.jsonl", "shape": "input_output"}},
            "validation": {"agent": "validation", "needs": ["dataset"]},
            "preprocessing": {"agent": "preprocessing", "needs": ["validation"], "config": preprocessing},
            "training": {
                "agent": "training",
                "needs": ["preprocessing"],
                "config": {**training, "seed": "${params.seed}"},
                "matrix": {"learning_rate": [0.01, 0.02]},
            },
            "evaluation": {"agent": "evaluation", "needs": ["training"], "config": {"minimum": 0.0, "margin": 1.0}},
            "comparison": {"agent": "comparison", "needs": ["evaluation"], "config": {"rows": 8}},
            "export": {"agent": "export", "needs": ["comparison"], "config": {"formats": ["adapter", "merged"]}},
        },
    }
