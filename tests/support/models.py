"""Tiny real models for tests: adapters and whole models, and what the agents before would have said of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agents.base.contract import Artifact
from agents.base.objects import ObjectStore
from agents.models import load_classifier_base
from agents.outputs import PreprocessingOutput, Split, TrainingOutput
from agents.tokenizers import load_tokenizer, tokenizer_fingerprint

LABELS = ["ham", "spam"]
TEXTS = [
    *(f"win a prize now call {i} to claim" for i in range(20)),
    *(f"see you at {i} for lunch then" for i in range(20)),
]


def write_xlnet(folder: Path, base: Path) -> Path:
    """Write a whole, tiny XLNet classifier, whose code can't be traced, with the tokenizer of `base`."""
    import torch
    from transformers import XLNetConfig, XLNetForSequenceClassification

    tokenizer = load_tokenizer(base)
    torch.manual_seed(0)
    config = XLNetConfig(vocab_size=len(tokenizer), d_model=32, n_layer=1, n_head=2, d_inner=64, num_labels=len(LABELS))
    XLNetForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_adapter(
    folder: Path, base: Path, *, seed: int = 0, spam_bias: float = 0.0, labels: Sequence[str] = LABELS, **lora: Any
) -> Path:
    """Write a LoRA adapter with random weights; `spam_bias` leans its head towards the second label."""
    import torch
    from peft import LoraConfig, TaskType, get_peft_model

    torch.manual_seed(seed)
    model = load_classifier_base(base, list(labels), "float32", cache_dir=folder)
    settings = {"r": 2, "target_modules": ["query"], "modules_to_save": ["classifier"], **lora}
    adapted = get_peft_model(model, LoraConfig(task_type=TaskType.SEQ_CLS, **settings))
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.02)
            if "modules_to_save" in name and name.endswith("bias"):
                weight.zero_()[1] = spam_bias
    adapted.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    load_tokenizer(base).save_pretrained(folder)
    return folder


def stored(objects: ObjectStore, folder: Path) -> dict[str, Artifact]:
    """Store a folder's files; return them by name."""
    return {file.name: objects.put_artifact_file(file) for file in sorted(folder.iterdir()) if file.is_file()}


def preprocessing_output(objects: ObjectStore, base: Path, folder: Path, **fields: Any) -> PreprocessingOutput:
    """Store TEXTS as all three splits, the first half labelled spam."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    tokenizer = load_tokenizer(base)
    labels = [1] * 20 + [0] * 20
    folder.mkdir(parents=True, exist_ok=True)
    token_ids = tokenizer(TEXTS)["input_ids"]
    table = pa.table({"row": list(range(1, 41)), "text": TEXTS, "label": labels, "input_ids": token_ids})
    pq.write_table(table, folder / "rows.parquet")
    split = Split(
        rows=objects.put_artifact_file(folder / "rows.parquet"),
        row_count=40,
        label_counts={"ham": 20, "spam": 20},
        token_count=sum(map(len, token_ids)),
    )
    values: dict[str, Any] = {
        "splits": {"train": split, "validation": split, "test": split},
        "labels": LABELS,
        "task": "classification",
        "model": str(base),
        "tokenizer_fingerprint": tokenizer_fingerprint(tokenizer),
        "max_tokens": 32,
        "dropped": {},
        "leaked": 0,
    }
    return PreprocessingOutput(**{**values, **fields})


def training_output(objects: ObjectStore, base: Path, adapter: Path, **fields: Any) -> TrainingOutput:
    """Return what a training with this adapter would have given."""
    values: dict[str, Any] = {
        "files": stored(objects, adapter),
        "method": "lora",
        "task": "classification",
        "base_model": str(base),
        "base_model_fingerprint": "0" * 64,
        "tokenizer_fingerprint": tokenizer_fingerprint(load_tokenizer(base)),
        "labels": LABELS,
        "positive_label": "spam",
        "max_tokens": 32,
        "seed": 1,
        "trainable_parameters": 100,
        "total_parameters": 1000,
        "steps": 3,
        "metrics": {"validation_f1": 0.9, "validation_loss": 0.1},
        "curve": objects.put_json([]),
        "resolved": {"epochs": 1, "device": "cpu"},
    }
    return TrainingOutput(**{**values, **fields})
