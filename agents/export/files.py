"""The formats: the adapter as trained, and the whole model with the adapter merged in, proven equal."""

import shutil
from pathlib import Path
from typing import Any

from agents.base.contract import Artifact, Context
from agents.base.errors import AgentFailed
from agents.classifier import fetch
from agents.export.parity import AnswerParity, LabelParity, Parity
from agents.outputs import EvaluationOutput, ExportedFile

MEDIA_TYPES = {
    ".json": "application/json",
    ".txt": "text/plain",
    ".md": "text/markdown",
    ".jinja": "text/plain",
}


def export_adapter(_: Context, evaluation: EvaluationOutput) -> list[ExportedFile]:
    """Return the adapter's files, which the training stored already."""
    return _exported(evaluation.training.files)


def export_merged(context: Context, evaluation: EvaluationOutput) -> list[ExportedFile]:
    """Merge the adapter into the unquantised base and return the whole model's files.

    Raises:
        InvalidModel: the merged model answers other than the trained one on test texts.
        AgentFailed: too little disk.
    """
    training = evaluation.training
    base = context.sources.local(training.base_model, "model")
    folder = context.work_dir / "merged"
    _check_disk(context, sum(file.stat().st_size for file in ([base] if base.is_file() else base.rglob("*"))))
    trained_folder = fetch(context.objects, training.files, context.work_dir / "trained")
    parity = _parity(context, evaluation)
    trained = parity.load_trained(trained_folder, base)
    expected = parity.answers(trained)
    _save_whole(trained.model, trained.tokenizer, folder)
    parity.check(expected, parity.answers(parity.load_whole(folder)))
    return _exported(
        {
            file.relative_to(folder).as_posix(): context.objects.put_artifact_file(
                file, MEDIA_TYPES.get(file.suffix, "application/octet-stream")
            )
            for file in sorted(folder.rglob("*"))
            if file.is_file()
        }
    )


def _parity(context: Context, evaluation: EvaluationOutput) -> Parity[Any]:
    kind = AnswerParity if evaluation.training.task == "sft" else LabelParity
    return kind(context, evaluation.training)


def _save_whole(model: Any, tokenizer: Any, folder: Path) -> None:
    whole = model.merge_and_unload() if hasattr(model, "merge_and_unload") else model
    whole.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _check_disk(context: Context, model_bytes: int) -> None:
    free = shutil.disk_usage(context.work_dir).free
    if free < 2 * model_bytes:
        raise AgentFailed(
            f"Merging needs about {2 * model_bytes >> 20} MiB in {context.work_dir}, and {free >> 20} MiB are free.",
            cure="Free some space, or set TUNELINE_STATE_DIR to a larger disk.",
        )


def _exported(files: dict[str, Artifact]) -> list[ExportedFile]:
    return [ExportedFile(path=path, artifact=artifact) for path, artifact in sorted(files.items())]
