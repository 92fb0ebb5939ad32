"""GGUF with fewer bits: which type each tensor gets is llama.cpp's own choice for Q8_0 and Q4_K_M, rows are libgguf's.

Source of the choice: llama.cpp, `llama-quant.cpp`. Q4_K_M keeps the output layer, and the value and down projections of
about half of the layers, in Q6_K. K-quants hold 256 weights a block: where a row is not a multiple of that, as with
SmolLM2-135M's width of 576, Q4_K becomes Q5_0 and Q6_K becomes Q8_0; where it is none of 32, the weights stay float16.
"""

import re
from pathlib import Path
from typing import Any

import libgguf
import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter, LlamaFileType

from agents.base.errors import InvalidModel

BLOCK, SUPER_BLOCK = 32, 256
FALLBACKS = {"Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}
FILE_TYPES = {"q8_0": "MOSTLY_Q8_0", "q4_k_m": "MOSTLY_Q4_K_M"}
#: Norms, routers of experts, tables looked up by position or type, convolutions: small, and not to be rounded.
KEPT = re.compile(r"_norm\.weight$|ffn_gate_inp|position_embd|token_types|ssm_conv1d")


def quantise(source: Path, file: Path, kind: str) -> dict[str, int]:
    """Write a float16 GGUF again as `q8_0` or `q4_k_m`, tensor by tensor; return type name -> number of tensors.

    Raises:
        InvalidModel: the rows of a tensor can't be quantised.
    """
    reader = GGUFReader(source)
    architecture = str(reader.fields["general.architecture"].contents())
    layers = int(reader.fields[f"{architecture}.block_count"].contents())
    names = {tensor.name for tensor in reader.tensors}
    types = {
        tensor.name: tensor_type(
            kind, tensor.name, list(map(int, tensor.shape)), layers, names, tensor.tensor_type.name
        )
        for tensor in reader.tensors
    }
    writer = GGUFWriter(file, architecture)
    _copy_fields(reader, writer)
    writer.add_file_type(LlamaFileType[FILE_TYPES[kind]])
    for tensor in reader.tensors:
        found = GGMLQuantizationType[types[tensor.name]]
        shape, size_bytes = _stored(tensor, found)
        writer.add_tensor_info(tensor.name, shape, _dtype(tensor, found), size_bytes, raw_dtype=found)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for tensor in reader.tensors:
        writer.write_tensor_data(_rows(tensor, GGMLQuantizationType[types[tensor.name]]))
    writer.close()
    return {name: list(types.values()).count(name) for name in sorted(set(types.values()))}


def tensor_type(kind: str, name: str, shape: list[int], layers: int, names: set[str], present: str) -> str:
    """Return a tensor's type. `shape` begins with the length of a row; `names`: all of the model's tensors."""
    if len(shape) < 2 or not name.endswith(".weight") or KEPT.search(name):
        return present
    wanted = "Q8_0" if kind == "q8_0" else _mixed(name, layers, names)
    if wanted in FALLBACKS and shape[0] % SUPER_BLOCK:
        wanted = FALLBACKS[wanted]
    return present if shape[0] % BLOCK else wanted


def _mixed(name: str, layers: int, names: set[str]) -> str:
    output = "output.weight" if "output.weight" in names else "token_embd.weight"
    if name == output:
        return "Q6_K"
    if "attn_qkv" in name:
        return "Q5_K"
    found = re.match(r"blk\.(\d+)\.(attn_v|ffn_down)", name)
    return "Q6_K" if found and _more_bits(int(found[1]), layers) else "Q4_K"


def _more_bits(layer: int, layers: int) -> bool:
    """The first and last eighth of the layers, and every third between."""
    eighth = layers // 8
    return layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2


def _copy_fields(reader: Any, writer: Any) -> None:
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name in {"general.architecture", "general.file_type"}:
            continue
        array = field.types[0] == GGUFValueType.ARRAY
        writer.add_key_value(name, field.contents(), field.types[0], sub_type=field.types[-1] if array else None)


def _stored(tensor: Any, found: Any) -> tuple[tuple[int, ...], int]:
    """Return the shape and the size in bytes of a tensor's data once it is of the type `found`."""
    if found == tensor.tensor_type:
        return tensor.data.shape, int(tensor.data.nbytes)
    row_bytes = libgguf.row_size(found, int(tensor.shape[0]))
    shape = (*tensor.data.shape[:-1], row_bytes)
    return shape, row_bytes * (tensor.data.size // int(tensor.shape[0]))


def _dtype(tensor: Any, found: Any) -> Any:
    return tensor.data.dtype if found == tensor.tensor_type else np.dtype(np.uint8)


def _rows(tensor: Any, found: Any) -> Any:
    if found == tensor.tensor_type:
        return tensor.data
    try:
        return libgguf.quantize_rows(tensor.data.astype(np.float32), found)
    except ValueError as fault:
        raise InvalidModel(f"The tensor '{tensor.name}' can't be quantised as {found.name}: {fault}") from fault
