"""The shipped task recipe on a file of rows: the real agents, judged on the frozen test split by generated answers.

The last line is one JSON object.

    python -m benchmarks.task
    python -m benchmarks.task --data rows.jsonl --set epochs=4 --set lora.r=32
"""

import argparse
import warnings
from pathlib import Path
from typing import Any

import yaml

from agents.evaluation.types import EvaluationOutput
from agents.preprocessing.types import PreprocessingOutput
from agents.training.types import TrainingOutput
from benchmarks._local import LocalAgents, local_agents
from benchmarks._report import finish, print_table
from pipelines.params import substitute

REPOSITORY = Path(__file__).parent.parent
SPEC = REPOSITORY / "pipelines" / "task.yaml"
SAMPLE = REPOSITORY / "pipelines" / "data" / "task.jsonl"
SHOWN_MISTAKES = 5


def recipe(changes: list[str]) -> dict[str, dict[str, Any]]:
    """Return each node's config in the shipped spec, with `key=value` changes put into the training's."""
    spec = yaml.safe_load(SPEC.read_text(encoding="utf-8"))
    configs = {name: substitute(node.get("config", {}), spec["params"]) for name, node in spec["nodes"].items()}
    for change in changes:
        path, _, value = change.partition("=")
        *parents, name = path.split(".")
        inner = configs["training"]
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[name] = yaml.safe_load(value)
    return configs


def run(agents: LocalAgents, configs: dict[str, dict[str, Any]], data: Path, limit: int | None) -> dict[str, Any]:
    """Run the agents up to evaluation; return their outputs by name."""
    found: dict[str, Any] = {}
    found["dataset"] = agents.run("dataset", {"source": str(data), "limit": limit}, {})
    found["validation"] = agents.run("validation", {}, found)
    found["preprocessing"] = agents.run("preprocessing", configs["preprocessing"], found)
    needed = {"preprocessing": found["preprocessing"]}
    found["training"] = agents.run("training", configs["training"], needed)
    found["evaluation"] = agents.run(
        "evaluation", {"metric": "exact_match", "minimum": 0.0}, {**needed, "training": found["training"]}
    )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SAMPLE)
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change a hyperparameter of the recipe"
    )
    parser.add_argument("--small", action="store_true", help="100 rows, one epoch")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    changes = [*options.set, "epochs=1"] if options.small else options.set
    configs = recipe(changes)
    with local_agents(options.data.resolve().parent) as agents:
        found = run(agents, configs, options.data.resolve(), 100 if options.small else None)
        report(agents, options.data.name, configs["training"], found)


def report(agents: LocalAgents, name: str, config: dict[str, Any], found: dict[str, Any]) -> None:
    prepared: PreprocessingOutput = found["preprocessing"]
    trained: TrainingOutput = found["training"]
    judged: EvaluationOutput = found["evaluation"]
    answers = agents.objects.get_json(judged.predictions)
    for row in [row for row in answers if not row["exact_match"]][:SHOWN_MISTAKES]:
        print(f"row {row['row']}: {row['prompt']!r}\n  expected {row['expected']!r}\n  answer   {row['answer']!r}")
    curve = agents.objects.get_json(trained.curve)
    print_table([entry for entry in curve if "validation_loss" in entry])
    print_table([judged.metrics])
    finish(
        "task",
        {
            "data": name,
            "rows": {split: prepared.splits[split].row_count for split in prepared.splits},
            "test_sha256": judged.test_sha256,
            "config": config,
            "template": prepared.prompt.template if prepared.prompt else None,
            "test": {metric: round(value, 4) for metric, value in judged.metrics.items()},
            "validation": {metric: value for metric, value in trained.metrics.items() if "validation" in metric},
            "best_step": trained.metrics["best_step"],
            "steps": trained.steps,
            "trainable_share": round(trained.trainable_parameters / trained.total_parameters, 5),
            "training_s": round(agents.seconds["training"], 1),
            "training_steps_s": round(trained.metrics["train_s"], 1),
            "tokens_per_s": trained.metrics["tokens_per_s"],
            "evaluation_s": round(agents.seconds["evaluation"], 1),
        },
    )


if __name__ == "__main__":
    main()
