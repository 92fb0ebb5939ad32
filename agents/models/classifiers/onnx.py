"""A classifier run by ONNX Runtime on the CPU: no torch and no transformers are imported to answer with it."""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime
from onnxruntime import InferenceSession
from tokenizers import Tokenizer

from agents.base.errors import InvalidModel, first_line
from agents.data.cleaning import clean_text
from agents.models.classifiers.base import Prediction, Runs, predict_in_batches
from agents.models.classifiers.scores import scores_of
from agents.models.files import ModelFiles
from agents.models.heads import ONE_LABEL, Head

MODEL_FILE = "model.onnx"
#: On a CPU small batches of like lengths cost least per text: see `docs/benchmarks.md`.
BATCH_ROWS = 8
#: Only Linux knows of fewer cores than there are.
CORES = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
Side = Literal["left", "right"]


@dataclass(frozen=True)
class OnnxClassifier:
    """A session with the inputs `input_ids` and `attention_mask`, int64 of shape (rows, tokens), and the output
    `logits`, float32 of shape (rows, labels). `tokenizer` truncates; padding is done here, after sorting."""

    session: InferenceSession
    tokenizer: Tokenizer
    labels: list[str]
    max_tokens: int
    pad_token_id: int
    padding_side: Side
    head: Head = ONE_LABEL

    @property
    def runs(self) -> Runs:
        """One run a core, each of two small batches: a second core for one batch saves next to nothing."""
        return Runs(at_once=CORES, texts_most=2 * BATCH_ROWS)

    def predict(self, texts: Sequence[str], batch_size: int = BATCH_ROWS) -> list[Prediction]:
        """Return a prediction for each text, in order. Texts are cleaned and cut to `max_tokens` as in training."""
        encoded = self.tokenizer.encode_batch_fast([clean_text(text) for text in texts])
        return predict_in_batches(self.labels, self.head, [row.ids for row in encoded], batch_size, self._scores)

    def _scores(self, token_ids: list[list[int]]) -> list[list[float]]:
        longest = max(map(len, token_ids))
        ids = np.full((len(token_ids), longest), self.pad_token_id, dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, found in enumerate(token_ids):
            span = slice(longest - len(found), longest) if self.padding_side == "left" else slice(len(found))
            ids[row, span] = found
            mask[row, span] = 1
        (logits,) = self.session.run(["logits"], {"input_ids": ids, "attention_mask": mask})
        return scores_of(self.head.outputs, logits)


def load(files: ModelFiles) -> OnnxClassifier:
    """Load an exported model. Raises: as `load_onnx`."""
    return load_onnx(files.folder, files.labels, files.max_tokens, files.head)


def load_onnx(folder: Path, labels: list[str], max_tokens: int, head: Head) -> OnnxClassifier:
    """Load `model.onnx` with the `config.json`, `tokenizer.json` and `tokenizer_config.json` beside it.

    Raises:
        InvalidModel: a file is missing or can't be read, or the model has other labels.
    """
    try:
        session = _session(folder / MODEL_FILE)
        config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        written: dict[str, Any] = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        tokenizer = _tokenizer(folder / "tokenizer.json", max_tokens, written.get("truncation_side", "right"))
        outputs = session.get_outputs()[0].shape[-1]
    except Exception as fault:
        # ONNX Runtime and tokenizers raise many types of their own for files they can't read.
        raise InvalidModel(f"The ONNX model can't be loaded: {first_line(fault)}", cure="Export it again.") from fault
    if outputs != len(labels):
        raise InvalidModel(f"The ONNX model gives {outputs} scores for {len(labels)} labels.", cure="Export it again.")
    pad_token_id, padding_side = config.get("pad_token_id") or 0, written.get("padding_side", "right")
    return OnnxClassifier(session, tokenizer, labels, max_tokens, pad_token_id, padding_side, head)


def _session(path: Path) -> InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _tokenizer(path: Path, max_tokens: int, truncation_side: Side) -> Tokenizer:
    tokenizer: Tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens, direction=truncation_side)
    return tokenizer
