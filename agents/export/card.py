"""The model card: Markdown with a metadata block as on the Hugging Face hub, from the facts of the run alone."""

from typing import Any

import yaml

from agents.evaluation.types import EvaluationOutput

HEADLINE = (
    *("accuracy", "precision", "recall", "f1", "macro_precision", "macro_recall", "macro_f1", "micro_f1"),
    *("roc_auc", "ece", "brier", "mae", "rmse", "r2", "spearman"),
    *("exact_match", "slot_f1", "json_validity", "rouge_l", "bleu", "loss", "perplexity"),
)
PICTURES = {
    "confusion.png": "Confusion matrix",
    "roc.png": "ROC",
    "reliability.png": "Reliability",
    "loss.png": "Loss of the training",
}
#: Smallest first.
GGUF_BY_SIZE = ("gguf_q4_k_m", "gguf_q8_0", "gguf_f16")
PIPELINE_TAGS = {"classification": "text-classification", "sft": "text-generation"}


def model_card(manifest: dict[str, Any], evaluation: EvaluationOutput) -> str:
    """Return the card of a version whose manifest holds everything but the card."""
    sections = (
        _metadata(manifest),
        f"# {manifest['name']} v{manifest['version']}",
        _what(manifest),
        "## Results on the frozen test split\n\n" + _results(manifest, evaluation),
        *_pictures(manifest),
        *_comparison(manifest),
        "## Verdict\n\n" + "\n".join([f"**{manifest['verdict']}**", "", *(f"- {r}" for r in manifest["reasons"])]),
        "## Data\n\n" + _data(manifest["data"]),
        "## Training\n\n" + _training(manifest),
        "## Formats\n\n" + _formats(manifest),
        "## Use\n\n" + _use(manifest),
    )
    return "\n\n".join(sections) + "\n"


def _metadata(manifest: dict[str, Any]) -> str:
    tag = PIPELINE_TAGS[manifest["task"]]
    results = [{"type": name, "value": round(manifest["metrics"][name], 4)} for name in _headline(manifest)]
    block = {
        "base_model": manifest["base_model"],
        "library_name": "peft" if manifest["method"] != "full" else "transformers",
        "pipeline_tag": tag,
        "tags": ["tuneline", manifest["method"]],
        "model-index": [
            {
                "name": manifest["name"],
                "results": [
                    {
                        "task": {"type": tag},
                        "dataset": {"type": "custom", "name": str(manifest["data"].get("source", "unknown"))},
                        "metrics": results,
                    }
                ],
            }
        ],
    }
    return f"---\n{yaml.safe_dump(block, sort_keys=False)}---"


def _headline(manifest: dict[str, Any]) -> list[str]:
    return [name for name in HEADLINE if name in manifest["metrics"]]


def _what(manifest: dict[str, Any]) -> str:
    share = manifest["trainable_parameters"] / manifest["total_parameters"]
    kind = f"A classifier of text into {', '.join(f'`{label}`' for label in manifest['labels'])}"
    if prompt := manifest["prompt"]:
        kind = f"A model that answers prompts of the template `{prompt['template']}` (`{prompt['fingerprint'][:12]}`)"
    return (
        f"{kind}, made from "
        f"`{manifest['base_model']}` by {manifest['method']} ({manifest['trainable_parameters']:,} of "
        f"{manifest['total_parameters']:,} parameters trained, {share:.2%}) in job `{manifest['job']}` "
        f"on {manifest['created_at'][:10]}."
    )


def _results(manifest: dict[str, Any], evaluation: EvaluationOutput) -> str:
    champion = manifest["champion_metrics"]
    beside = f" v{manifest['judged_against']} |" if champion else ""
    lines = [f"| metric | v{manifest['version']} |{beside}", "| --- | ---: |" + (" ---: |" if champion else "")]
    for name in _headline(manifest):
        known = champion.get(name) if champion else None
        other = f" {'-' if known is None else f'{known:.4f}'} |" if champion else ""
        lines.append(f"| {name} | {manifest['metrics'][name]:.4f} |{other}")
    lines += label_tables(manifest)
    lines += _sureness(manifest)
    about = (
        f" Precision, recall and F1 are those of `{manifest['positive_label']}`." if manifest["positive_label"] else ""
    )
    return f"{evaluation.test_rows} rows, sha256 `{evaluation.test_sha256}`.{about}\n\n" + "\n".join(lines)


def label_tables(manifest: dict[str, Any]) -> list[str]:
    """Return the lines of all tables by label: their figures, and which was taken for which."""
    return [*_by_label(manifest), *_matrix(manifest["labels"], manifest["confusion"])]


def _by_label(manifest: dict[str, Any]) -> list[str]:
    """Return figures of each label, or of each key of the answers."""
    metrics = manifest["metrics"]
    if keys := [name.partition(".")[2] for name in metrics if name.startswith("slot_f1.")]:
        rows = [f"| {_cell(key)} | {metrics[f'slot_f1.{key}']:.4f} |" for key in keys]
        return ["", "| key of the answer | slot F1 |", "| --- | ---: |", *rows]
    if not manifest["labels"]:
        return []
    rows = [
        f"| {_cell(label)} | "
        + " | ".join(f"{metrics[f'{name}.{label}']:.4f}" for name in ("precision", "recall", "f1"))
        + " |"
        for label in manifest["labels"]
    ]
    return ["", "| label | precision | recall | F1 |", "| --- | ---: | ---: | ---: |", *rows]


def _sureness(manifest: dict[str, Any]) -> list[str]:
    """Say how far the judged figure could be chance, and what another threshold would do."""
    lines = []
    if interval := manifest.get("metric_interval"):
        low, high = interval
        lines += ["", f"95 % of the bootstrap over test rows give {manifest['metric']} {low:.4f} to {high:.4f}."]
    if found := manifest.get("threshold"):
        lines += [
            "",
            f"On {found['validation_rows']} validation rows `{found['label']}` from a probability of "
            f"{found['value']:.4f} on has the best F1 ({found['validation_f1']:.4f}; from 0.5 on "
            f"{found['validation_f1_at_half']:.4f}). On the test split that gives F1 {found['test']['f1']:.4f}, "
            f"precision {found['test']['precision']:.4f}, recall {found['test']['recall']:.4f}. "
            "Serving answers with the likelier label.",
        ]
    return lines


def _pictures(manifest: dict[str, Any]) -> list[str]:
    """Link the pictures where the API and the downloaded archive have them, beside the card."""
    there = [f"![{title}](pictures/{name})" for name, title in PICTURES.items() if name in manifest.get("pictures", {})]
    return ["## Pictures\n\n" + "\n".join(there)] if there else []


def _comparison(manifest: dict[str, Any]) -> list[str]:
    if not manifest.get("comparison"):
        return []
    metric = manifest["metric"]
    lines = [
        f"| baseline | rows | its {metric} | tuned | difference | 95 % of the paired bootstrap |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, found in manifest["comparison"].items():
        low, high = found["difference_interval"]
        lines.append(
            f"| {name} | {found['rows']} | {found['metrics'][metric]:.4f} | {found['tuned'][metric]:.4f} | "
            f"{found['difference']:+.4f} | {low:+.4f} to {high:+.4f} |"
        )
    return ["## Beside baselines\n\n" + "\n".join(lines)]


def _matrix(labels: list[str], confusion: list[list[int]]) -> list[str]:
    if not labels:
        return []
    labels = [_cell(label) for label in labels]
    rows = zip(labels, confusion, strict=True)
    return [
        "",
        f"| true \\ predicted | {' | '.join(labels)} |",
        f"| --- |{' ---: |' * len(labels)}",
        *(f"| {label} | {' | '.join(str(count) for count in row)} |" for label, row in rows),
    ]


def _cell(text: str) -> str:
    """Return a label as one cell of a table, whatever it is made of."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _data(data: dict[str, Any]) -> str:
    lines = (
        [f"- Source `{data['source']}`, {data['rows']:,} rows, sha256 `{data['source_sha256']}`"]
        if "source" in data
        else []
    )
    if "splits" in data:
        lines.append("- Splits: " + ", ".join(f"{name} {rows:,}" for name, rows in data["splits"].items()))
        dropped = ", ".join(f"{why} {rows:,}" for why, rows in data["dropped"].items()) or "nothing"
        lines.append(f"- Left out before the split: {dropped}")
        lines.append(f"- Near twins between test and training: {data['leaked']}")
    return "\n".join(lines) or "Not recorded by this pipeline."


def _training(manifest: dict[str, Any]) -> str:
    rows = [f"| {name} | {value} |" for name, value in sorted(manifest["training"].items())]
    libraries = ", ".join(f"{name} {value}" for name, value in manifest["environment"].items() if value)
    return "\n".join(["| dial | value |", "| --- | --- |", *rows, "", libraries])


def _formats(manifest: dict[str, Any]) -> str:
    metric = manifest["metric"]
    lines = [
        f"| format | bytes | answers as trained | texts | probability, largest difference | {metric} on these texts |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for form, files in manifest["formats"].items():
        size_bytes = sum(file["artifact"]["size_bytes"] for file in files)
        proof = manifest["parity"].get(form)
        shown = "as trained | - | - | -"
        if proof:
            agreement = f"{proof['agreement']:.4f} (bound {proof['bound']:g})"
            value, trained = proof["value"], proof["trained_value"]
            beside = "-" if value is None else f"{value:.4f} (as trained {trained:.4f})"
            shown = f"{agreement} | {proof['texts']} | {proof['largest_difference']:.2g} | {beside}"
        lines.append(f"| {form} | {size_bytes:,} | {shown} |")
    return "\n".join(lines)


def _use(manifest: dict[str, Any]) -> str:
    has_gguf = any(form.startswith("gguf_") for form in manifest["formats"])
    form = "merged" if "merged" in manifest["formats"] or has_gguf else sorted(manifest["formats"])[0]
    parts = [_download(manifest, form)] if form in manifest["formats"] else []
    if parts and form == "merged":
        folder = _folder(manifest, form)
        code = _generate(manifest, folder) if manifest["prompt"] else _classify(manifest, folder)
        parts.append(f"```python\nfrom transformers import pipeline\n\n{code}\n```")
    return "\n\n".join([*parts, *([_run_gguf(manifest)] if has_gguf else [])])


def _download(manifest: dict[str, Any], form: str) -> str:
    name, version = manifest["name"], manifest["version"]
    command = f"tuneline models download {name} --version {version} --format {form}"
    return f"```console\n$ {command}\n```"


def _folder(manifest: dict[str, Any], form: str) -> str:
    return f"{manifest['name']}-{manifest['version']}-{form}"


def _run_gguf(manifest: dict[str, Any]) -> str:
    """How the smallest GGUF file is run by Ollama or llama.cpp; both write prompts by the template that was learned."""
    form = next(form for form in GGUF_BY_SIZE if form in manifest["formats"])
    name, folder = manifest["name"], _folder(manifest, form)
    return (
        f"{_download(manifest, form)}\n\nWith Ollama, or with llama.cpp:\n\n```console\n"
        f"$ cd {folder}\n$ ollama create {name} -f Modelfile\n$ ollama run {name} 'a prompt'\n"
        f"$ llama-server -m model.gguf --jinja --temp 0\n```"
    )


def _classify(manifest: dict[str, Any], folder: str) -> str:
    return (
        f'classify = pipeline("text-classification", model="{folder}", truncation=True, '
        f"max_length={manifest['max_tokens']})"
    )


def _generate(manifest: dict[str, Any], folder: str) -> str:
    prompt = manifest["prompt"]
    own = prompt["template"] == "tokenizer"
    note = "" if own else f"  # written by the template {prompt['template']}"
    asked = f'[{{"role": "user", "content": "..."}}]){note}'
    return (
        f'generate = pipeline("text-generation", model="{folder}", do_sample=False, '
        f"max_new_tokens={prompt['max_new_tokens']}, return_full_text=False)\ngenerate({asked}"
    )
