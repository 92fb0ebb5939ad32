"""The model card: Markdown with a metadata block as on the Hugging Face hub, from the facts of the run alone."""

from agents.base.markdown import code, text
from agents.export.card_metadata import metadata
from agents.export.card_prose import intended_use
from agents.export.card_tables import (
    comparison_table,
    format_table,
    hyperparameter_table,
    label_tables,
    metrics_table,
)
from agents.export.card_use import base_note, best_format, how_to_use
from agents.formats.manifest import DataFacts, Manifest
from agents.tasks import find_task

PICTURES = {
    "confusion.png": "Confusion matrix",
    "roc.png": "ROC",
    "reliability.png": "Reliability",
    "loss.png": "Loss of the training",
}


def model_card(manifest: Manifest, form: str | None = None) -> str:
    """Return the card of a version whose manifest holds everything but the card; `form`: as it lies beside the files
    of one format."""
    sections = (
        f"---\n{metadata(manifest, form).to_yaml()}\n---",
        f"# {text(manifest.name)} v{manifest.version}",
        _what(manifest),
        "## Intended use and limits",
        intended_use(manifest),
        "## Results on the frozen test split",
        *_results(manifest),
        *_pictures(manifest),
        "## Beside baselines",
        *_baselines(manifest),
        "## Verdict\n\n"
        + "\n".join([f"**{manifest.verdict}**", "", *(f"- {text(reason)}" for reason in manifest.reasons)]),
        "## Data",
        _data(manifest.data),
        "## Training",
        hyperparameter_table(manifest),
        text(", ".join(f"{name} {value}" for name, value in manifest.environment.items() if value)),
        "## Formats",
        format_table(manifest),
        "## Use",
        *_use(manifest, form),
    )
    return "\n\n".join(sections) + "\n"


def _what(manifest: Manifest) -> str:
    share = manifest.trainable_parameters / max(1, manifest.total_parameters)
    prompt = manifest.prompt
    template = f"{code(prompt.template)} (`{prompt.fingerprint[:12]}`)" if prompt else ""
    does = find_task(manifest.task).does.format(labels=", ".join(map(code, manifest.labels)), template=template)
    return (
        f"{does}, made from {code(str(manifest.base_model))} by {text(str(manifest.method))} "
        f"({manifest.trainable_parameters:,} of {manifest.total_parameters:,} parameters trained, {share:.2%}) "
        f"in job {code(str(manifest.job))} on {text((manifest.created_at or '')[:10])}."
    )


def _results(manifest: Manifest) -> list[str]:
    positive = manifest.positive_label
    about = f" Precision, recall and F1 are those of {code(positive)}." if positive else ""
    rows = f"{manifest.data.test_rows} rows, sha256 `{manifest.data.test_sha256}`.{about}"
    return [rows, metrics_table(manifest), *label_tables(manifest), *_sureness(manifest)]


def _sureness(manifest: Manifest) -> list[str]:
    """Say how far the judged figure could be chance, and what another threshold would do."""
    found = []
    if manifest.metric_interval:
        low, high = manifest.metric_interval
        others = "".join(
            f", {name} between {bounds[0]:.4f} and {bounds[1]:.4f}" for name, bounds in manifest.intervals.items()
        )
        found.append(f"With 95 % confidence {manifest.metric} lies between {low:.4f} and {high:.4f}{others}.")
    if calibration := manifest.calibration:
        sure = "" if calibration.accuracy_sure is None else f", of the others {calibration.accuracy_sure:.2%} are right"
        found.append(
            f"Served probabilities are calibrated by a temperature of {calibration.temperature:g}, fitted on "
            f"{calibration.validation_rows} validation rows: ECE {calibration.ece:.4f}, without it "
            f"{calibration.ece_before:.4f}. The exported files give them without it. Answers of a confidence under "
            f"{calibration.unsure_below:g} are unsure: {calibration.unsure_share:.2%} of the test rows{sure}."
        )
    if threshold := manifest.threshold:
        test = threshold.test
        found.append(
            f"On {threshold.validation_rows} validation rows {code(threshold.label)} from a probability of "
            f"{threshold.value:.4f} on has the best F1 ({threshold.validation_f1:.4f}; from 0.5 on "
            f"{threshold.validation_f1_at_half:.4f}). On the test split that gives F1 {test['f1']:.4f}, "
            f"precision {test['precision']:.4f}, recall {test['recall']:.4f}. "
            "Serving answers with the likelier label."
        )
    return found


def _baselines(manifest: Manifest) -> list[str]:
    """Say of each baseline whether the tuned model was shown to be better."""
    if not manifest.comparison:
        return ["It was not compared with a baseline: whether tuning was good for anything is not known."]
    metric = manifest.metric or ""
    said = "\n".join(f"- {text(found.sentence(name, metric))}" for name, found in manifest.comparison.items())
    return [comparison_table(manifest), said]


def _pictures(manifest: Manifest) -> list[str]:
    """Link the pictures where the API and the downloaded archive have them, beside the card."""
    there = [f"![{title}](pictures/{name})" for name, title in PICTURES.items() if name in manifest.pictures]
    return ["## Pictures", "\n".join(there)] if there else []


def _data(data: DataFacts) -> str:
    lines = []
    if data.source is not None:
        lines.append(f"- Source {code(data.source)}, {data.rows or 0:,} rows, sha256 `{data.source_sha256}`")
    if data.splits:
        lines.append("- Splits: " + ", ".join(f"{text(name)} {rows:,}" for name, rows in data.splits.items()))
        dropped = ", ".join(f"{text(why)} {rows:,}" for why, rows in data.dropped.items()) or "nothing"
        lines.append(f"- Left out before the split: {dropped}")
        lines.append(f"- Near twins between test and training: {data.leaked}")
    return "\n".join(lines) or "Not recorded by this pipeline."


def _use(manifest: Manifest, form: str | None) -> list[str]:
    """Say how one format is used; of the version's own card, what transformers loads and the smallest GGUF file."""
    forms = [form] if form else best_format(manifest)
    return [part for one in forms for part in (base_note(manifest, one), *how_to_use(manifest, one)) if part]
