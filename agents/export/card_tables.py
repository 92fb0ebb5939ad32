"""The tables of a model card: metrics, labels, baselines, hyperparameters and formats."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from agents.base.markdown import cell, table
from agents.export.types import Parity
from agents.formats.manifest import Manifest
from agents.metrics.catalogue import headline

#: Of a hyperparameter's value: a path or a list may be long.
CELL_CHARACTERS = 300


def metrics_table(manifest: Manifest) -> str:
    """Return the metrics that are told first, beside those of the champion."""
    champion = manifest.champion_metrics
    headers = ["metric", f"v{manifest.version}", *([f"v{manifest.judged_against}"] if champion else [])]
    rows = []
    for name, value in headline(manifest.metrics, manifest.metric).items():
        beside = [_figure(champion.get(name))] if champion else []
        rows.append([cell(name), _figure(value), *beside])
    return table(headers, rows)


def label_tables(manifest: Manifest) -> list[str]:
    """Return all tables by label: their figures, and which was taken for which; of answers the figures by key."""
    metrics = manifest.metrics
    if keys := [name.partition(".")[2] for name in metrics if name.startswith("slot_f1.")]:
        return [
            table(["key of the answer", "slot F1"], [[cell(key), _figure(metrics[f"slot_f1.{key}"])] for key in keys])
        ]
    if not manifest.labels:
        return []
    names = [name for name in ("precision", "recall", "f1") if f"{name}.{manifest.labels[0]}" in metrics]
    shown = {label: cell(label) for label in manifest.labels}
    figures = [[shown[label], *(_figure(metrics[f"{name}.{label}"]) for name in names)] for label in manifest.labels]
    headers = ["label", *("F1" if name == "f1" else name for name in names)]
    if manifest.thresholds:
        headers.append("given from")
        for label, row in zip(manifest.labels, figures, strict=True):
            row.append(_figure(manifest.thresholds.get(label)))
    found = [table(headers, figures)] if names else []
    if manifest.confusion:
        counts = zip(manifest.labels, manifest.confusion, strict=True)
        rows = [[shown[label], *map(str, row)] for label, row in counts]
        found.append(table(["true \\\\ predicted", *shown.values()], rows))
    return found


def comparison_table(manifest: Manifest) -> str:
    """Return how the tuned model did beside each baseline."""
    metric = manifest.metric or ""
    headers = ["baseline", "rows", f"its {cell(metric)}", "tuned", "difference", "95 % interval", "better"]
    rows = []
    for name, found in manifest.comparison.items():
        low, high = found.difference_interval
        figures = [_figure(found.metrics.get(metric)), _figure(found.tuned.get(metric)), f"{found.difference:+.4f}"]
        rows.append([cell(name), str(found.rows), *figures, f"{low:+.4f} to {high:+.4f}", found.better])
    return table(headers, rows)


def hyperparameter_table(manifest: Manifest) -> str:
    return table(
        ["hyperparameter", "value"],
        [[cell(name), cell(_setting(value), CELL_CHARACTERS)] for name, value in sorted(leaves(manifest.training))],
        text_columns=2,
    )


def leaves(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each value with its dotted name: `lora.r` of `{"lora": {"r": 8}}`."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _setting(value: Any) -> str:
    """Return a value as a person writes it."""
    if value is None or value in ([], {}, ""):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(_setting(item) for item in value)
    return str(value) if isinstance(value, str | int) else json.dumps(value, ensure_ascii=False)


def format_table(manifest: Manifest) -> str:
    """Return each format's size and its proof."""
    headers = ["format", "bytes", "answers as trained", "texts", "probability, largest difference"]
    rows = []
    for form, files in manifest.formats.items():
        size_bytes = sum(file.artifact.size_bytes for file in files)
        rows.append([cell(form), f"{size_bytes:,}", *_proof(manifest.parity.get(form))])
    return table([*headers, f"{cell(manifest.metric or '')} on these texts"], rows)


def _proof(found: Parity | None) -> list[str]:
    if found is None:
        return ["as trained", "-", "-", "-"]
    agreement = f"{found.agreement:.4f} (bound {found.bound:g})"
    beside = "-" if found.value is None else f"{found.value:.4f} (as trained {_figure(found.trained_value)})"
    return [agreement, str(found.texts), f"{found.largest_difference:.2g}", beside]


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
