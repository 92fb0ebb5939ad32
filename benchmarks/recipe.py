"""The shipped recipe on a file of rows: the real agents over several seeds, judged on the frozen test split.

The split is the same for all seeds; the training's seed is what changes. The last line is one JSON object.

    python -m benchmarks.recipe --data rows.jsonl --seeds 1 2 3
    python -m benchmarks.recipe --data rows.jsonl --set epochs=2 --set lora.r=4
    python -m benchmarks.recipe --spec sentiment --data rows.jsonl --set epochs=3 --seeds 1
"""

import argparse
import json
import statistics
import warnings
from pathlib import Path
from typing import Any

import yaml

from agents.base.folders import fetch
from agents.models.classifiers.torch import load_trained
from agents.models.files import ModelFiles
from agents.preprocessing.types import PreprocessingOutput
from agents.training.types import TrainingOutput
from benchmarks._local import LocalAgents, local_agents
from benchmarks._report import finish, print_table
from pipelines import shipped_specs
from pipelines.params import substitute

SAMPLES = Path(__file__).parent.parent / "pipelines" / "data"


def node_config(name: str, node: str) -> dict[str, Any]:
    """Return a node's config in a shipped spec."""
    spec = yaml.safe_load(shipped_specs()[name].read_text(encoding="utf-8"))
    config: dict[str, Any] = substitute(spec["nodes"][node]["config"], spec["params"])
    return config


def recipe(name: str, changes: list[str]) -> dict[str, Any]:
    """Return the training config of a shipped spec, with `key=value` changes put in."""
    config = node_config(name, "training")
    for change in changes:
        path, _, value = change.partition("=")
        *parents, name = path.split(".")
        inner = config
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[name] = yaml.safe_load(value)
    return config


def prepare(agents: LocalAgents, data: Path, limit: int | None, config: dict[str, Any]) -> PreprocessingOutput:
    rows = agents.run("dataset", {"source": str(data), "limit": limit}, {})
    valid = agents.run("validation", {}, {"dataset": rows})
    before = {"dataset": rows, "validation": valid}
    prepared: PreprocessingOutput = agents.run("preprocessing", config, before)
    return prepared


def test_figures(agents: LocalAgents, prepared: PreprocessingOutput, trained: TrainingOutput) -> tuple[float, float]:
    """Return F1 and accuracy on the test split, of the answers that serving would give."""
    import pyarrow.parquet as parquet

    test = agents.objects.get_artifact_file(prepared.splits["test"].rows, agents.folder / "test.parquet")
    table = parquet.read_table(test)
    expected = [trained.labels[index] for index in table["label"].to_pylist()]
    return figures_of(agents, trained, table["text"].to_pylist(), expected)


def frozen_figures(agents: LocalAgents, file: Path, trained: TrainingOutput) -> tuple[float, float]:
    """Return F1 and accuracy on a file of rows that no split was drawn from: JSON lines of `text` and `label`."""
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return figures_of(agents, trained, [row["text"] for row in rows], [row["label"] for row in rows])


def figures_of(
    agents: LocalAgents, trained: TrainingOutput, texts: list[str], expected: list[str]
) -> tuple[float, float]:
    """Return F1 and accuracy of the answers that serving would give to these texts."""
    from sklearn.metrics import accuracy_score, f1_score

    folder = fetch(agents.objects, trained.files, agents.folder / f"model_{agents.runs}")
    files = ModelFiles(folder, trained.labels, trained.max_tokens, None, agents.folder / "cache")
    classifier = load_trained(files, lambda: agents.model_path(trained.base_model))
    predicted = [answer.label for answer in classifier.predict(texts)]
    accuracy = float(accuracy_score(expected, predicted))
    if trained.positive_label is None:
        return float(f1_score(expected, predicted, average="macro")), accuracy
    return float(f1_score(expected, predicted, pos_label=trained.positive_label)), accuracy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spec", default="spam", help="a shipped spec of a classifier")
    parser.add_argument("--data", type=Path, help="rows; default: the spec's own sample")
    parser.add_argument("--frozen", type=Path, help="rows apart from these, which every model is also measured on")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change a hyperparameter of the recipe"
    )
    parser.add_argument("--small", action="store_true", help="300 rows, one seed")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    limit, seeds = (300, options.seeds[:1]) if options.small else (None, options.seeds)
    config = recipe(options.spec, options.set)
    data = (options.data or SAMPLES / f"{options.spec}.jsonl").resolve()
    with local_agents(data.parent) as agents:
        prepared = prepare(agents, data, limit, node_config(options.spec, "preprocessing"))
        runs = [one_seed(agents, prepared, {**config, "seed": seed}, options.frozen) for seed in seeds]
    print_table(runs)
    finish(
        "recipe",
        {
            "spec": options.spec,
            "data": f"{data.parent.name}/{data.name}",
            "train_rows": prepared.splits["train"].row_count,
            "test_rows": prepared.splits["test"].row_count,
            "test_sha256": prepared.splits["test"].rows.sha256,
            "config": config,
            "test_f1_mean": round(statistics.fmean(run["test f1"] for run in runs), 4),
            "test_f1": [round(run["test f1"], 4) for run in runs],
            "test_accuracy": [round(run["test accuracy"], 4) for run in runs],
            "frozen_f1": [round(run["frozen f1"], 4) for run in runs if "frozen f1" in run],
            "trainable_share": round(runs[0]["trainable %"] / 100, 5),
            "training_s": [round(run["training s"], 1) for run in runs],
        },
    )


def one_seed(
    agents: LocalAgents, prepared: PreprocessingOutput, config: dict[str, Any], frozen: Path | None
) -> dict[str, Any]:
    trained: TrainingOutput = agents.run("training", config, {"preprocessing": prepared})
    f1, accuracy = test_figures(agents, prepared, trained)
    apart = {"frozen f1": frozen_figures(agents, frozen, trained)[0]} if frozen else {}
    return {
        "seed": trained.seed,
        "test f1": f1,
        "test accuracy": accuracy,
        **apart,
        "validation f1": trained.metrics.get("validation_f1", float("nan")),
        "trainable %": 100 * trained.trainable_parameters / trained.total_parameters,
        "training s": agents.seconds["training"],
        "tokens/s": trained.metrics["tokens_per_s"],
        "best step": int(trained.metrics["best_step"]),
        "steps": trained.steps,
    }


if __name__ == "__main__":
    main()
