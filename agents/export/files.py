"""The formats: the adapter as trained, and the whole model with the adapter merged in, proven equal."""

import shutil

from agents.base.contract import Artifact, Context, inputs_from
from agents.base.errors import AgentFailed, InvalidModel
from agents.classifier import LoadedClassifier, fetch, load_merged, load_trained
from agents.outputs import EvaluationOutput, ExportedFile, PreprocessingOutput
from agents.splits import read_test

GOLDEN_TEXTS = 64
#: Merging adds up weights in another order; more than this is no rounding.
SCORE_TOLERANCE = 1e-3
MEDIA_TYPES = {".json": "application/json", ".txt": "text/plain", ".md": "text/markdown"}


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
    trained = load_trained(
        trained_folder, base, training.labels, training.max_tokens, cache_dir=context.sources.cache_dir
    )
    texts = golden_texts(context)
    expected = trained.predict(texts)
    whole = trained.model.merge_and_unload() if hasattr(trained.model, "merge_and_unload") else trained.model
    whole.save_pretrained(folder)
    trained.tokenizer.save_pretrained(folder)
    merged = load_merged(folder, training.labels, training.max_tokens)
    _check_parity(context, merged, texts, [prediction.scores for prediction in expected])
    return _exported(
        {
            file.relative_to(folder).as_posix(): context.objects.put_artifact_file(
                file, MEDIA_TYPES.get(file.suffix, "application/octet-stream")
            )
            for file in sorted(folder.rglob("*"))
            if file.is_file()
        }
    )


def golden_texts(context: Context) -> list[str]:
    """Return texts of the test split to compare answers on; without one, a few of the project's own."""
    data = inputs_from(context, "preprocessing", PreprocessingOutput)
    if data:
        return read_test(context, data[-1]).texts[:GOLDEN_TEXTS]
    return ["See you at eight.", "You have won a prize, call now!", "Is this thing on?", "42"]


def _check_parity(
    context: Context, merged: LoadedClassifier, texts: list[str], expected: list[dict[str, float]]
) -> None:
    got = merged.predict(texts)
    agree = sum(
        max(a.scores, key=a.scores.__getitem__) == max(b, key=b.__getitem__) for a, b in zip(got, expected, strict=True)
    )
    apart = max(abs(a.scores[label] - b[label]) for a, b in zip(got, expected, strict=True) for label in b)
    context.log("parity", format="merged", texts=len(texts), agreement=agree / len(texts), largest_difference=apart)
    if agree < len(texts) or apart > SCORE_TOLERANCE:
        raise InvalidModel(
            f"The merged model agrees with the trained one on {agree} of {len(texts)} test texts, "
            f"its scores differ by up to {apart:.2g} (bound {SCORE_TOLERANCE:g}).",
            cure="Export the adapter only, and report this with the base model's name.",
        )


def _check_disk(context: Context, model_bytes: int) -> None:
    free = shutil.disk_usage(context.work_dir).free
    if free < 2 * model_bytes:
        raise AgentFailed(
            f"Merging needs about {2 * model_bytes >> 20} MiB in {context.work_dir}, and {free >> 20} MiB are free.",
            cure="Free some space, or set TUNELINE_STATE_DIR to a larger disk.",
        )


def _exported(files: dict[str, Artifact]) -> list[ExportedFile]:
    return [ExportedFile(path=path, artifact=artifact) for path, artifact in sorted(files.items())]
