"""One tiny pipeline per task, run in this process, and the figures that a later version must give again."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agents import AGENTS, load_agent
from agents.base.records import Output
from tests.conftest import AgentBench
from tests.golden.figures import Figures, figures
from tests.support.decoders import color_rows
from tests.support.prepared import HAM, SPAM

FIGURES = Path(__file__).parent / "figures"
ROWS = "golden-rows.jsonl"
#: What a GPU, or a CPU with bfloat16, would do otherwise is not asked here.
TRAINING = {"epochs": 3, "batch_size": 8, "learning_rate": 0.005, "log_steps": 1, "precision": "fp32"}


class Line:
    """Nodes that run one after another, each with the outputs of those before it."""

    def __init__(self, bench: AgentBench) -> None:
        self.bench = bench
        self.outputs: dict[str, Output] = {}
        self.figures: Figures = {}

    def run(
        self,
        agent: str,
        config: Mapping[str, Any],
        name: str | None = None,
        instead: Mapping[str, Output] | None = None,
        **fields: Any,
    ) -> Output:
        """Run an agent and return its output; one with a `name` of its own is on a side track.

        Nothing on the line goes on from a side track; `instead` are outputs that it gets instead of the line's.
        """
        kind = load_agent(AGENTS[agent].path)
        wanted = (*kind.consumes, *kind.consumes_if_present)
        inputs = {given: output for given, output in {**self.outputs, **(instead or {})}.items() if given in wanted}
        own = {
            "job_id": "job_golden",
            "checkpoint_prefixes": (f"checkpoints/job_golden/{name or agent}",),
            "work_path": self.bench.work_dir / "nodes" / (name or agent),
        }
        context = self.bench.context(agent, inputs, **own, **fields)
        self.bench.records.clear()
        output = kind().run(kind.config_type.model_validate(config), context)
        self.figures[name or agent] = {
            "events": self.bench.events(),
            "output": figures(output.model_dump(mode="json"), self.bench.objects),
        }
        if name is None:
            self.outputs[agent] = output
        return output

    def add_manifest(self) -> None:
        """Take in the manifest that the export wrote."""
        key = self.outputs["export"].model_dump()["manifest_key"]
        self.figures["manifest"] = figures(self.bench.objects.get_manifest(key), self.bench.objects)


def classification(bench: AgentBench, model: str) -> Figures:
    """Rows of a sample, all the way to a version; beside it `full` and `dedup: near`."""
    write_rows(bench, [*sample(100), *near_duplicates(20)])
    line = Line(bench)
    training = {**TRAINING, "model": model, "epochs": 4, "lora": {"r": 4, "train_modules": ["word_embeddings"]}}
    splits = {"model": model, "split": {"train": 0.6, "validation": 0.2, "test": 0.2}}
    line.run("dataset", {"source": ROWS})
    line.run("validation", {"model": model, "pii": "mask"})
    line.run("preprocessing", splits, "preprocessing_near")
    line.run("preprocessing", {**splits, "dedup": "exact"})
    line.run("training", training)
    line.run("training", {**training, "method": "full", "epochs": 1, "learning_rate": 0.001}, "training_full")
    line.run("evaluation", {"minimum": 0.0})
    line.run("comparison", {})
    line.run("export", {"formats": ["adapter", "merged", "onnx"]}, version=1)
    line.add_manifest()
    return line.figures


def sft(bench: AgentBench, model: str) -> Figures:
    """Requests with their answers as JSON, all the way to a version; beside it `qlora` and `full`."""
    write_rows(bench, [json.dumps(row) for row in color_rows(80)])
    line = Line(bench)
    training = {**TRAINING, "task": "sft", "model": model, "epochs": 2, "lora": {"r": 8}}
    line.run("dataset", {"source": ROWS, "shape": "input_output"})
    line.run("validation", {})
    line.run("preprocessing", {"task": "sft", "model": model, "dedup": "exact"})
    line.run("training", training)
    line.run("training", {**training, "method": "qlora", "epochs": 1}, "training_qlora")
    learned = line.run("training", {**training, "method": "full", "epochs": 9, "learning_rate": 0.01}, "training_full")
    line.run("evaluation", {"minimum": 0.0}, "evaluation_full", {"training": learned})
    line.run("evaluation", {"minimum": 0.0})
    line.run("export", {"formats": ["adapter", "merged"]}, version=1)
    line.add_manifest()
    return line.figures


def sample(count: int) -> list[str]:
    """Return the first rows of a sample of its own: figures stay what they are when the shipped one changes."""
    return (Path(__file__).parent / "sample.jsonl").read_text("utf-8").splitlines()[:count]


def near_duplicates(count: int) -> list[str]:
    """Return rows of two templates, with a number in each."""
    pairs = ((SPAM, "spam") if i % 2 else (HAM, "ham") for i in range(count))
    return [json.dumps({"text": text.format(i=i), "label": label}) for i, (text, label) in enumerate(pairs)]


def write_rows(bench: AgentBench, lines: list[str]) -> None:
    bench.work_dir.mkdir(parents=True, exist_ok=True)
    (bench.work_dir / ROWS).write_text("\n".join(lines), "utf-8")


def file_of(task: str) -> Path:
    """Return where the recorded figures of a task lie."""
    return FIGURES / f"{task}.json"


@contextmanager
def one_cpu_thread() -> Iterator[None]:
    """Have torch calculate in one thread on the CPU, whatever this machine has."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch.cuda, "is_available", lambda: False)
            yield
    finally:
        torch.set_num_threads(threads)
