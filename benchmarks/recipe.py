"""The shipped recipe on a file of rows: the real agents over several seeds, judged on the frozen test split.

The split is the same for all seeds; the training's seed is what changes. The last line is one JSON object.

    python -m benchmarks.recipe --data rows.jsonl --seeds 1 2 3
    python -m benchmarks.recipe --data rows.jsonl --set epochs=2 --set lora.r=4
"""

import argparse
import statistics
import warnings
from pathlib import Path
from typing import Any

import yaml

from agents.classifier import fetch, load_trained
from agents.outputs import PreprocessingOutput, TrainingOutput
from benchmarks._local import LocalAgents, local_agents
from benchmarks._report import finish, print_table
from pipelines.params import substitute

REPOSITORY = Path(__file__).parent.parent
SPEC = REPOSITORY / "pipelines" / "spam.yaml"
SAMPLE = REPOSITORY / "pipelines" / "data" / "spam.jsonl"


def recipe(changes: list[str]) -> dict[str, Any]:
    """Return the training config of the shipped spec, with `dial=value` changes put in."""
    spec = yaml.safe_load(SPEC.read_text(encoding="utf-8"))
    config: dict[str, Any] = substitute(spec["nodes"]["training"]["config"], spec["params"])
    for change in changes:
        path, _, value = change.partition("=")
        *parents, name = path.split(".")
        inner = config
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[name] = yaml.safe_load(value)
    return config


def prepare(agents: LocalAgents, data: Path, limit: int | None, model: str) -> PreprocessingOutput:
    rows = agents.run("dataset", {"source": str(data), "limit": limit}, {})
    valid = agents.run("validation", {}, {"dataset": rows})
    before = {"dataset": rows, "validation": valid}
    prepared: PreprocessingOutput = agents.run("preprocessing", {"model": model}, before)
    return prepared


def test_f1(agents: LocalAgents, prepared: PreprocessingOutput, trained: TrainingOutput) -> float:
    """Return F1 on the test split, of the answers that serving would give."""
    import pyarrow.parquet as parquet
    from sklearn.metrics import f1_score

    folder = fetch(agents.objects, trained.files, agents.folder / f"model_{agents.runs}")
    base = agents.model_path(trained.base_model)
    classifier = load_trained(folder, base, trained.labels, trained.max_tokens, cache_dir=agents.folder / "cache")
    test = agents.objects.get_artifact_file(prepared.splits["test"].rows, agents.folder / "test.parquet")
    table = parquet.read_table(test)
    expected = [trained.labels[index] for index in table["label"].to_pylist()]
    predicted = [answer.label for answer in classifier.predict(table["text"].to_pylist())]
    if trained.positive_label is None:
        return float(f1_score(expected, predicted, average="macro"))
    return float(f1_score(expected, predicted, pos_label=trained.positive_label))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SAMPLE)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--set", action="append", default=[], metavar="DIAL=VALUE", help="change a dial of the recipe")
    parser.add_argument("--small", action="store_true", help="300 rows, one seed")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    limit, seeds = (300, options.seeds[:1]) if options.small else (None, options.seeds)
    config = recipe(options.set)
    with local_agents(options.data.resolve().parent) as agents:
        prepared = prepare(agents, options.data.resolve(), limit, config["model"])
        runs = [one_seed(agents, prepared, {**config, "seed": seed}) for seed in seeds]
    print_table(runs)
    finish(
        "recipe",
        {
            "data": options.data.name,
            "train_rows": prepared.splits["train"].row_count,
            "test_rows": prepared.splits["test"].row_count,
            "test_sha256": prepared.splits["test"].rows.sha256,
            "config": config,
            "test_f1_mean": round(statistics.fmean(run["test f1"] for run in runs), 4),
            "test_f1": [round(run["test f1"], 4) for run in runs],
            "trainable_share": round(runs[0]["trainable %"] / 100, 5),
            "training_s": [round(run["training s"], 1) for run in runs],
        },
    )


def one_seed(agents: LocalAgents, prepared: PreprocessingOutput, config: dict[str, Any]) -> dict[str, Any]:
    trained: TrainingOutput = agents.run("training", config, {"preprocessing": prepared})
    return {
        "seed": trained.seed,
        "test f1": test_f1(agents, prepared, trained),
        "validation f1": trained.metrics.get("validation_f1", float("nan")),
        "trainable %": 100 * trained.trainable_parameters / trained.total_parameters,
        "training s": agents.seconds["training"],
        "tokens/s": trained.metrics["tokens_per_s"],
        "best step": int(trained.metrics["best_step"]),
        "steps": trained.steps,
    }


if __name__ == "__main__":
    main()
