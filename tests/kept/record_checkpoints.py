"""A training of each task, paused in the middle: its checkpoint, its rows, and what it gave without the pause."""

import json
from pathlib import Path
from typing import Any

from agents.base.errors import StopRequested
from agents.base.object_store import ObjectStore
from agents.dataset import DatasetAgent, DatasetConfig
from agents.preprocessing import PreprocessingAgent
from agents.preprocessing.types import PreprocessingConfig, PreprocessingOutput
from agents.training import TrainingAgent, TrainingConfig
from agents.training.types import TrainingOutput
from tests.conftest import AgentBench
from tests.golden.pipelines import one_cpu_thread, sample
from tests.kept.dumps import objects_in, write_json, write_tar
from tests.support.decoders import color_rows

PAUSED_AT = 5
TRAINING = {"epochs": 2, "batch_size": 8, "learning_rate": 0.005, "log_steps": 1, "precision": "fp32"}
LORA = {"r": 2, "dropout": 0.1}


def record_checkpoints(objects: ObjectStore, roots: Path) -> None:
    """Keep a checkpoint of each task."""
    rows = {"classification": sample(60), "sft": [json.dumps(row) for row in color_rows(50)]}
    shapes = {"classification": {}, "sft": {"shape": "input_output"}}
    settings = {
        "classification": {"model": "encoder", "max_tokens": 48},
        "sft": {"task": "sft", "model": "decoder", "template": "chatml", "max_tokens": 256},
    }
    for task, lines in rows.items():
        bench = AgentBench(objects, roots.parent / f"work-{task}", (roots,))
        (roots / f"{task}.jsonl").write_text("\n".join(lines), "utf-8")
        dataset = DatasetAgent().run(DatasetConfig(source=f"{task}.jsonl", **shapes[task]), bench.context("dataset"))
        preparing = PreprocessingConfig(dedup="exact", **settings[task])
        data = PreprocessingAgent().run(preparing, bench.context("preprocessing", {"dataset": dataset}))
        config = {**TRAINING, "task": task, "model": settings[task]["model"], "lora": LORA}
        with one_cpu_thread():
            record_checkpoint(bench, task, data, config)


def record_checkpoint(bench: AgentBench, task: str, data: PreprocessingOutput, config: dict[str, Any]) -> None:
    whole = train(bench, data, config, "whole")
    bench.records.clear()

    def wanted() -> str | None:
        return "pause" if any(record.get("done") == PAUSED_AT for record in bench.records) else None

    try:
        train(bench, data, config, "paused", wanted_stop=wanted, stops_at_once=False)
    except StopRequested:
        (manifest,) = [key for key in bench.objects.keys("checkpoints/kept/paused/") if f"{PAUSED_AT:08d}" in key][:1]
    folder = manifest.rpartition("/")[0] + "/"
    splits = [bench.objects.artifact_key(split.rows.sha256) for split in data.splits.values()]
    write_tar(f"checkpoints/{task}.tar.gz", objects_in(bench.objects, [*bench.objects.keys(folder), *splits]))
    curve = [[entry["step"], entry["loss"]] for entry in bench.objects.get_json(whole.curve) if "loss" in entry]
    record = {
        "config": config,
        "preprocessing": data.model_dump(mode="json"),
        "paused_at": PAUSED_AT,
        "prefix": "checkpoints/kept/paused",
        "losses": curve,
        "validation_loss": whole.metrics["validation_loss"],
    }
    write_json(f"checkpoints/{task}.json", record)


def train(
    bench: AgentBench, data: PreprocessingOutput, config: dict[str, Any], name: str, **fields: Any
) -> TrainingOutput:
    context = bench.context(
        "training",
        {"preprocessing": data},
        checkpoint_prefixes=(f"checkpoints/kept/{name}",),
        work_path=bench.work_dir / name,
        **fields,
    )
    return TrainingAgent().run(TrainingConfig(**config), context)
