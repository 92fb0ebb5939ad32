"""Memory that trainings take beside what `agents/training/estimate.py` says beforehand; Linux, on CPUs.

Each training is the agent's own, in a process of its own. `peak` is the most that the process held beyond what it held
with its libraries loaded, validation and saving included; the estimate is the one that the agent logs.

    python -m benchmarks.training_memory [--small] [--only minilm-lora ...]
"""

import argparse
from pathlib import Path
from typing import Any

from agents.models.loading import model_folder
from agents.preprocessing.types import PreprocessingOutput
from benchmarks import sft_training, training
from benchmarks._apart import Peak, apart
from benchmarks._local import LocalAgents, local_agents
from benchmarks._report import finish, print_table

#: Name -> the training's task, method and rows at once.
CASES = {
    "minilm-lora": ("classification", "lora", 32),
    "minilm-full": ("classification", "full", 32),
    "smollm2-lora": ("sft", "lora", 16),
    "smollm2-qlora": ("sft", "qlora", 16),
}


def measure(agents: LocalAgents, prepared: PreprocessingOutput, method: str, batch_size: int) -> dict[str, Any]:
    """Train for one epoch; return peak and estimate with its parts, in MiB."""
    peak = Peak()
    config = {"task": prepared.task, "model": prepared.model, "method": method, "batch_size": batch_size}
    config |= {"epochs": 1, "learning_rate": 1e-4}
    agents.run("training", config, {"preprocessing": prepared})
    said = next(record["fields"] for record in agents.records if record.get("event") == "memory_estimate")
    return {"peak MiB": peak.mib(), **{name.removesuffix("_mib"): said[name] for name in said if name != "level"}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--small", action="store_true", help="100 rows")
    options = parser.parse_args()
    limit = 100 if options.small else None
    table = []
    with local_agents(training.SAMPLE.parent) as agents:
        for name in options.only:
            task, method, batch_size = CASES[name]
            of_task = sft_training if task == "sft" else training
            prepared = of_task.prepare(agents, Path(of_task.SAMPLE), limit)
            # A GGUF file is converted once on a host: not part of what a training takes.
            model_folder(agents.model_path(prepared.model), agents.folder / "cache")
            found = apart(agents, measure, prepared, method, batch_size)
            table.append({"training": name, **found, "peak/estimate": found["peak MiB"] / found["total"]})
            print_table(table[-1:])
    print_table(table)
    finish("training_memory", {"trainings": table})


if __name__ == "__main__":
    main()
