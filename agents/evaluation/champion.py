"""The challenger and the present champion on the same test rows, measured by the very code that serves them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agents.base.errors import CorruptArtifact, InvalidModel, NotFound, TunelineError
from agents.base.folders import fetch
from agents.base.records import Artifact
from agents.data.files.names import listed_labels
from agents.evaluation.gate import Comparison, Incomparable
from agents.formats.manifest import Manifest, read_manifest
from agents.metrics.bootstrap import worst_difference
from agents.models.files import ModelFiles
from agents.tasks import find_task
from agents.tasks.measure import Measure, Measured
from agents.training.types import TrainingOutput


@dataclass(frozen=True)
class Champion:
    """The champion as it was measured. `weights`: the digests of what it was loaded from."""

    version: int
    measured: Measured
    weights: frozenset[str]


def measure_challenger(measure: Measure[Any]) -> Measured:
    """Measure what the training left.

    Raises:
        InvalidModel: the trained files can't be loaded.
    """
    training, context = measure.training, measure.context
    folder = fetch(context.objects, training.files, context.work_dir / "challenger")
    cache_dir, head = context.sources.cache_dir, find_task(training.task).head()
    files = ModelFiles(folder, training.labels, training.max_tokens, training.prompt, cache_dir, head=head)
    model = measure.load(files, training.base_model)
    return measure.with_threshold(model, measure.measure(model, done=0))


def measure_champion(measure: Measure[Any]) -> Champion | Incomparable | None:
    """Measure the present champion on the same rows; None where there is none."""
    context = measure.context
    if context.champion is None:
        return None
    try:
        manifest = read_manifest(context.champion)
    except CorruptArtifact as fault:
        return _incomparable(measure, int(context.champion["version"]), "champion_unreadable", _sentence(fault))
    if why := _unlike(manifest, measure.training):
        return _incomparable(measure, manifest.version, "champion_incomparable", why)
    try:
        model = measure.as_served(_load(measure, manifest), manifest)
    except (InvalidModel, NotFound, CorruptArtifact) as fault:
        why = f"it can't be loaded: {_sentence(fault)}"
        return _incomparable(measure, manifest.version, "champion_unreadable", why)
    trained = {file.path: file.artifact for file in manifest.trained_files}
    return Champion(manifest.version, measure.measure(model, done=measure.row_count), weights_of(trained))


def compare(
    ours: Measured, weights: frozenset[str], champion: Champion | Incomparable | None, metric: str
) -> Comparison | Incomparable | None:
    """Return what the gate is told of the champion. `weights`: the challenger's."""
    if not isinstance(champion, Champion):
        return champion
    theirs = champion.measured
    worst = worst_difference(ours.figure(metric), theirs.figure(metric), len(ours.rows), strata=ours.strata)
    return Comparison(champion.version, theirs.metrics[metric], worst, weights == champion.weights)


def weights_of(files: Mapping[str, Artifact]) -> frozenset[str]:
    return frozenset(artifact.sha256 for name, artifact in files.items() if name.endswith(".safetensors"))


def _load(measure: Measure[Any], manifest: Manifest) -> Any:
    context = measure.context
    files = manifest.files("merged") or {file.path: file.artifact for file in manifest.trained_files}
    folder = fetch(context.objects, files, context.work_dir / "champion")
    cache_dir, head = context.sources.cache_dir, find_task(manifest.task).head(manifest.thresholds)
    loaded = ModelFiles(folder, manifest.labels, manifest.max_tokens, manifest.prompt, cache_dir, head=head)
    return measure.load(loaded, manifest.base_model or "")


def _incomparable(measure: Measure[Any], version: int, event: str, why: str) -> Incomparable:
    measure.context.log(event, level="warning", version=version, why=why)
    return Incomparable(version, why)


def _unlike(manifest: Manifest, training: TrainingOutput) -> str:
    """Say why the champion does other work than the challenger; nothing where it does the same."""
    if manifest.task != training.task:
        return f"it is of task '{manifest.task}', this one of '{training.task}'."
    if sorted(manifest.labels) != sorted(training.labels):
        return f"its labels are {listed_labels(manifest.labels)}, here they are {listed_labels(training.labels)}."
    return ""


def _sentence(fault: TunelineError) -> str:
    return fault.message if fault.message.endswith(".") else f"{fault.message}."
