"""The model card: Markdown with a metadata block as on the Hugging Face hub, from the facts of the run alone."""

from huggingface_hub import EvalResult, ModelCardData

from agents.base.markdown import code, one_line, text
from agents.export.card_tables import (
    comparison_table,
    format_table,
    hyperparameter_table,
    label_tables,
    metrics_table,
)
from agents.formats import FORMATS
from agents.formats.manifest import DataFacts, Manifest
from agents.metrics.catalogue import headline
from agents.tasks import find_task

PICTURES = {
    "confusion.png": "Confusion matrix",
    "roc.png": "ROC",
    "reliability.png": "Reliability",
    "loss.png": "Loss of the training",
}


def model_card(manifest: Manifest) -> str:
    """Return the card of a version whose manifest holds everything but the card."""
    sections = (
        f"---\n{_metadata(manifest).to_yaml()}\n---",
        f"# {text(manifest.name)} v{manifest.version}",
        _what(manifest),
        "## Results on the frozen test split",
        *_results(manifest),
        *_pictures(manifest),
        *(["## Beside baselines", comparison_table(manifest)] if manifest.comparison else []),
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
        *_use(manifest),
    )
    return "\n\n".join(sections) + "\n"


def _metadata(manifest: Manifest) -> ModelCardData:
    tag = find_task(manifest.task).pipeline_tag
    results = [
        EvalResult(
            task_type=tag,
            dataset_type="custom",
            dataset_name=one_line(manifest.data.source or "unknown"),
            metric_type=name,
            metric_value=round(value, 4),
        )
        for name, value in headline(manifest.metrics, manifest.metric).items()
    ]
    return ModelCardData(
        base_model=one_line(manifest.base_model) if manifest.base_model else None,
        library_name="peft" if manifest.method != "full" else "transformers",
        pipeline_tag=tag,
        tags=["tuneline", manifest.method or "unknown"],
        model_name=manifest.name,
        eval_results=results,
    )


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
        others = [f"{name} {bounds[0]:.4f} to {bounds[1]:.4f}" for name, bounds in manifest.intervals.items()]
        told = ", ".join([f"{manifest.metric} {low:.4f} to {high:.4f}", *others])
        found.append(f"95 % of the bootstrap over test rows give {told}.")
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


def _use(manifest: Manifest) -> list[str]:
    """Say how the version is used: by transformers, and its smallest GGUF file by Ollama or llama.cpp."""
    gguf = [FORMATS[name] for name in manifest.formats if name in FORMATS and FORMATS[name].extra == "gguf"]
    form = "merged" if "merged" in manifest.formats or gguf else sorted(manifest.formats)[0]
    parts = [_download(manifest, form)] if form in manifest.formats else []
    if parts and form == "merged":
        folder = _folder(manifest, form)
        parts.append(f"```python\nfrom transformers import pipeline\n\n{_example(manifest, folder)}\n```")
    return [*parts, *([_run_gguf(manifest, min(gguf, key=lambda one: one.disk_bytes).name)] if gguf else [])]


def _download(manifest: Manifest, form: str) -> str:
    command = f"tuneline models download {manifest.name} --version {manifest.version} --format {form}"
    return f"```console\n$ {command}\n```"


def _folder(manifest: Manifest, form: str) -> str:
    return f"{manifest.name}-{manifest.version}-{form}"


def _run_gguf(manifest: Manifest, form: str) -> str:
    name, folder = manifest.name, _folder(manifest, form)
    return (
        f"{_download(manifest, form)}\n\nWith Ollama, or with llama.cpp:\n\n```console\n"
        f"$ cd {folder}\n$ ollama create {name} -f Modelfile\n$ ollama run {name} 'a prompt'\n"
        f"$ llama-server -m model.gguf --jinja --temp 0\n```"
    )


def _example(manifest: Manifest, folder: str) -> str:
    """Return Python that asks the whole model by transformers."""
    prompt = manifest.prompt
    named = prompt is not None and prompt.template != "tokenizer"
    return find_task(manifest.task).example.format(
        folder=folder,
        max_tokens=manifest.max_tokens,
        max_new_tokens=prompt.max_new_tokens if prompt else "",
        note=f"  # written by the template {prompt.template}" if prompt and named else "",
    )
