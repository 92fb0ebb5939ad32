"""ONNX: a classifier's whole model as a graph with free rows and tokens, and the same with 8-bit weights."""

import shutil
from pathlib import Path
from typing import Any

import onnx
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import nn

from agents.base.errors import InvalidModel
from agents.formats.base import Writing
from agents.models.classifiers.onnx import MODEL_FILE
from agents.models.classifiers.torch import LoadedClassifier
from agents.models.quiet import quiet_exporters, root_cause

#: One protocol buffer, which an ONNX file is, holds no more.
LARGEST_BYTES = (2 << 30) - (64 << 20)
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")
LEAVE_OUT = "Leave 'onnx' and 'onnx_int8' out of the export's formats; 'merged' can be served too."


def write(writing: Writing) -> None:
    """Write a merged model as ONNX. Raises: as `write_onnx`."""
    write_onnx(writing.model(), writing.source, writing.folder)


def write_int8(writing: Writing) -> None:
    """Write the ONNX model with 8-bit weights. Raises: as `quantise_onnx`."""
    quantise_onnx(writing.source, writing.folder)


def write_onnx(model: LoadedClassifier, merged: Path, folder: Path) -> None:
    """Write a merged model, which must be on the CPU, as ONNX with its config and tokenizer into a new folder.

    Raises:
        InvalidModel: its architecture can't be exported, or it is too large for one file.
    """
    size_bytes = sum(weight.numel() * weight.element_size() for weight in model.model.parameters())
    if size_bytes > LARGEST_BYTES:
        raise InvalidModel(f"The model has {size_bytes >> 20} MiB; an ONNX file holds 2 GiB at most.", cure=LEAVE_OUT)
    _write_tokenizer(merged, folder)
    try:
        _export(model, folder / MODEL_FILE)
    except Exception as fault:
        # The exporter raises whatever its tracing met in the model's code.
        raise InvalidModel(
            f"A {model.model.config.model_type} model can't be written as ONNX: {root_cause(fault)}", cure=LEAVE_OUT
        ) from fault


def quantise_onnx(onnx_folder: Path, folder: Path) -> None:
    """Write the ONNX model again with 8-bit weights; activations are quantised as they come, by ONNX Runtime.

    Raises:
        InvalidModel: the graph can't be quantised.
    """
    _write_tokenizer(onnx_folder, folder)
    graph = onnx.load(onnx_folder / MODEL_FILE)
    # The exporter's notes of inner shapes no longer fit once weights are transposed; they are inferred anew.
    del graph.graph.value_info[:]
    try:
        # Weights use 7 of the 8 bits: processors without VNNI add pairs of products in 16 bits, which would
        # overflow, and the parity measured here would not hold there.
        with quiet_exporters():
            quantize_dynamic(
                graph, folder / MODEL_FILE, weight_type=QuantType.QInt8, per_channel=True, reduce_range=True
            )
    except Exception as fault:
        raise InvalidModel(f"The ONNX model can't be quantised: {root_cause(fault)}", cure=LEAVE_OUT) from fault


def _write_tokenizer(source: Path, folder: Path) -> None:
    folder.mkdir()
    for name in ("config.json", *TOKENIZER_FILES):
        shutil.copy(source / name, folder / name)


def _export(model: LoadedClassifier, path: Path) -> None:
    # Two rows of unlike length: from rows alike the exporter would conclude that they always are.
    example = model.tokenizer(["one text", "another, longer text"], padding=True, return_tensors="pt")
    sizes = {0: torch.export.Dim("rows"), 1: torch.export.Dim("tokens", max=model.max_tokens)}
    names = ["input_ids", "attention_mask"]
    with quiet_exporters():
        torch.onnx.export(
            _logits_only(model.model),
            tuple(example[name] for name in names),
            path,
            input_names=names,
            output_names=["logits"],
            dynamic_shapes=(sizes, sizes),
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def _logits_only(model: Any) -> nn.Module:
    class Logits(nn.Module):
        """The classifier with a tensor as its only output, as ONNX knows no model outputs and no caches."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask).logits
            return logits

    return Logits().eval()
