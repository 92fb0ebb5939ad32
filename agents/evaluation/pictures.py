"""Pictures of a report as SVG and PNG: confusion matrix, ROC, reliability and loss. The same report, the same bytes."""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from agents.base.object_store import ObjectStore
from agents.base.records import Artifact
from agents.evaluation.label_names import NAMED_LABELS_MOST, confused_pairs, key_of, label_names

MEDIA_TYPES = {"svg": "image/svg+xml", "png": "image/png"}
#: The key of labels that are written as numbers.
KEY, KEY_MEDIA_TYPE = "labels.txt", "text/plain; charset=utf-8"
PNG_DPI = 120
#: In inches.
WIDTH, HEIGHT = 4.8, 3.8
#: Cells are numbered up to so many labels; beyond it is the colours that tell.
NUMBERED_LABELS_MOST = 12
#: Where labels are many, numbers on an axis, and pairs of labels that are told beneath.
TICKS_MOST, PAIRS_MOST = 40, 5
BLUE, ORANGE, GREY = "#1f5fa8", "#d9741a", "#9aa1a9"
STYLE = {
    # Without it every element of an SVG has an id made by chance.
    "svg.hashsalt": "tuneline",
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10.0,
    "legend.frameon": False,
}

Draw = Callable[[Figure, Mapping[str, Any]], None]


def store_pictures(objects: ObjectStore, report: Mapping[str, Any]) -> dict[str, Artifact]:
    """Draw what the report has data for and store it; return name (such as `roc.svg`) -> artifact.

    Where labels are written as numbers, `labels.txt` is their key.
    """
    wanted: dict[str, tuple[bool, Draw]] = {
        "confusion": (bool(report["confusion"]), draw_confusion),
        "roc": (bool(report.get("roc")), draw_roc),
        "reliability": (bool(report.get("calibration")), draw_reliability),
        "loss": (bool(report["loss"]["training"] or report["loss"]["validation"]), draw_loss),
    }
    stored = {
        f"{name}.{form}": objects.put_artifact(content, MEDIA_TYPES[form])
        for name, (there, draw) in wanted.items()
        if there
        for form, content in rendered(draw, report).items()
    }
    if report["confusion"] and label_names(report["labels"]).numbered:
        key = key_of(report["labels"], report["confusion"])
        stored[KEY] = objects.put_artifact(key.encode(), KEY_MEDIA_TYPE)
    return stored


def rendered(draw: Draw, report: Mapping[str, Any]) -> dict[str, bytes]:
    """Return a picture in each form: `svg` and `png` -> its bytes."""
    with matplotlib.rc_context(STYLE | {"font.family": label_names(report.get("labels", [])).fonts}):
        # A figure of its own draws without a display and without pyplot's shared state.
        figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
        draw(figure, report)
        return {"svg": _saved(figure, "svg", metadata={"Date": None}), "png": _saved(figure, "png", dpi=PNG_DPI)}


def draw_confusion(figure: Figure, report: Mapping[str, Any]) -> None:
    """Draw how often each label was taken for which; colours are shares of the true label's rows."""
    labels, counts = label_names(report["labels"]).shown, np.array(report["confusion"])
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    extra = 0.22 * max(0, min(len(labels), NAMED_LABELS_MOST) - 6)
    figure.set_size_inches(WIDTH + extra, HEIGHT + extra)
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    figure.colorbar(image, label="share of the true label's rows")
    axes.set(title=f"Confusion, {counts.sum():,} test rows", xlabel="predicted", ylabel="true")
    ticks = range(0, len(labels), -(-len(labels) // TICKS_MOST))
    slanted: dict[str, Any] = {"rotation": 60, "ha": "right", "rotation_mode": "anchor"} if len(labels) > 4 else {}
    axes.set_xticks(ticks, [labels[place] for place in ticks], **slanted)
    axes.set_yticks(ticks, [labels[place] for place in ticks])
    if beneath := _beneath(report):
        figure.supxlabel(beneath, fontsize=7.5, color=GREY)
    if len(labels) <= NUMBERED_LABELS_MOST:
        for (row, column), count in np.ndenumerate(counts):
            color = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, f"{count:,}", ha="center", va="center", color=color)


def draw_roc(figure: Figure, report: Mapping[str, Any]) -> None:
    """Draw the true positive rate over the false positive rate, of each label that has a curve."""
    axes = figure.add_subplot()
    metrics, several = report["metrics"], len(report["roc"]) > 1
    shown = dict(zip(report["labels"], label_names(report["labels"]).shown, strict=True))
    for label, curve in report["roc"].items():
        area = metrics.get(f"roc_auc.{label}", metrics["roc_auc"])
        color = None if several else BLUE
        name = f"{shown[label]}, area {area:.4f}"
        axes.plot(curve["false_positive_rate"], curve["true_positive_rate"], label=name, clip_on=False, color=color)
    _diagonal(axes, "chance")
    title = f"ROC, mean area {metrics['roc_auc']:.4f}" if several else "ROC"
    axes.set(title=title, xlabel="false positive rate", ylabel="true positive rate", xlim=(0, 1), ylim=(0, 1))
    axes.legend(loc="lower right")


def draw_reliability(figure: Figure, report: Mapping[str, Any]) -> None:
    """Draw the accuracy of answers over their confidence, and below how many answers have which."""
    bins, ece = report["calibration"], report["metrics"]["ece"]
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    middles = [(one["low"] + one["high"]) / 2 for one in bins]
    width = bins[0]["high"] - bins[0]["low"]
    shape = {"width": width * 0.92, "color": BLUE}
    above.bar(middles, [one["accuracy"] for one in bins], alpha=0.75, label="accuracy", **shape)
    points = [one["confidence"] for one in bins], [one["accuracy"] for one in bins]
    above.plot(*points, "o", color=ORANGE, markersize=4, label="at their mean confidence")
    _diagonal(above, "as sure as right")
    above.set(title=f"Reliability, ECE {ece:.4f}", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.02))
    above.legend(loc="upper left")
    below.bar(middles, [one["rows"] for one in bins], **shape)
    below.set(xlabel="confidence", ylabel="rows")


def draw_loss(figure: Figure, report: Mapping[str, Any]) -> None:
    """Draw the loss over the steps of the training, and that of the validation split."""
    axes = figure.add_subplot()
    training, validation = report["loss"]["training"], report["loss"]["validation"]
    axes.plot(*_columns(training), color=BLUE, linewidth=1.0, label="training")
    axes.plot(*_columns(validation), color=ORANGE, marker="o", markersize=4, label="validation")
    axes.set(title="Loss", xlabel="step", ylabel="loss")
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0)
    axes.legend(loc="upper right")


def _diagonal(axes: Axes, label: str) -> None:
    axes.plot([0, 1], [0, 1], "--", color=GREY, linewidth=1.0, label=label)


def _columns(points: Sequence[Sequence[float]]) -> tuple[list[float], list[float]]:
    return [point[0] for point in points], [point[1] for point in points]


def _beneath(report: Mapping[str, Any]) -> str:
    """Return what stands beneath a confusion: where the numbers' key is, and of many labels which are confused most."""
    names = label_names(report["labels"])
    lines = [f"#: numbers of labels, by name in {KEY}"] if names.numbered else []
    if len(names.shown) > NAMED_LABELS_MOST:
        pairs = confused_pairs(report["confusion"])[:PAIRS_MOST]
        told = ", ".join(f"{names.told[true]} for {names.told[said]}: {rows}" for rows, true, said in pairs)
        lines += [f"Most confused (true for predicted): {told}"] if told else []
    return "\n".join(lines)


def _saved(figure: Figure, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=form, **options)
    return buffer.getvalue()
