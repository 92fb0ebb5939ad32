"""Sizes in a model's files: real models pass, and what nobody could build is refused before anything is built."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.base.errors import InvalidModel
from agents.models.memory import ModelShape
from agents.models.sizes import check_folder, check_sizes, least_weights, read_config, weight_count
from agents.models.tokenizers import load_tokenizer
from tests.support.prepared import MINILM_FOLDER

LLAMA = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 99,
}
#: Sizes of published models, the largest of their kinds.
PUBLISHED: dict[str, dict[str, Any]] = {
    "Llama 3.1 405B": {
        "hidden_size": 16384,
        "intermediate_size": 53248,
        "num_hidden_layers": 126,
        "vocab_size": 128256,
    },
    "Llama 4 Scout": {"text_config": {"max_position_embeddings": 10485760, "num_local_experts": 16}},
    "Kimi K2": {"num_hidden_layers": 61, "n_routed_experts": 384, "hidden_size": 7168, "vocab_size": 163840},
    "Qwen3-Next": {"num_hidden_layers": 48, "num_experts": 512, "rope_theta": 10000000, "num_experts_per_tok": 10},
    "Gemma 3n": {"text_config": {"intermediate_size": [16384] * 35, "vocab_size": 262400}},
    "BLOOM": {"hidden_size": 14336, "n_layer": 70, "num_attention_heads": 112, "vocab_size": 250880},
    "ImageNet-21k": {"num_labels": 21841, "hidden_size": 1024, "image_size": 384},
}


def written(folder: Path, config: Any, weights: int = 1000) -> Path:
    (folder / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    header = json.dumps({"w": {"dtype": "F32", "shape": [weights], "data_offsets": [0, 4 * weights]}}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(4 * weights))
    return folder


@pytest.mark.parametrize("name", PUBLISHED)
def test_sizes_of_published_models_are_possible(name: str) -> None:
    check_sizes(PUBLISHED[name], name)


def test_a_real_model_passes() -> None:
    check_folder(MINILM_FOLDER)
    assert 0.5 < least_weights(read_config(MINILM_FOLDER)) / ModelShape.read(MINILM_FOLDER).parameters <= 1


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ({"num_hidden_layers": 100_000}, "num_hidden_layers: 100,000; at most 1,024"),
        ({"n_layer": 10**9}, "n_layer: 1,000,000,000; at most 1,024"),
        ({"text_config": {"num_layers": 5000}}, "num_layers: 5,000"),
        ({"block_sizes": [1], "decoder_layers": [[2, 4096]]}, "decoder_layers: 4,096"),
        ({"vocab_size": 2**40}, "vocab_size: 1,099,511,627,776; at most 134,217,728"),
        ({"hidden_size": 10**12}, "hidden_size"),
        ({"intermediate_size": 1e300}, "intermediate_size"),
        ({"hidden_size": float("inf")}, "hidden_size: inf"),
        ({"num_local_experts": 100_000}, "num_local_experts"),
        ({"num_hidden_layers": 1000, "num_experts": 4000}, "1,000 layers of 4,000 experts"),
        ({"num_labels": 10**9}, "num_labels"),
        ({"max_position_embeddings": 10**12}, "max_position_embeddings"),
        ({"num_attention_heads": 10**7}, "num_attention_heads"),
        ({"hidden_size": 10**4000}, "hidden_size: 5,334 digits"),
    ],
)
def test_sizes_beyond_all_models_are_refused_wherever_a_config_is_read(
    tmp_path: Path, sizes: dict[str, Any], said: str
) -> None:
    folder = written(tmp_path, {**LLAMA, **sizes})
    for read in (read_config, check_folder, ModelShape.read):
        with pytest.raises(InvalidModel, match=r"config\.json.*Check that config.json") as found:
            read(folder)
        assert said in str(found.value)
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(InvalidModel, match=r"at most|layers of"):
        load_tokenizer(folder)


NO_CONFIGS = {
    "empty": "",
    "a list": "[]",
    "null": "null",
    "a text": '"x"',
    "deep": "[" * 100_000,
    "nested": '{"a":' * 900 + "1" + "}" * 900,
    "large": "{" + " " * (17 << 20) + "}",
    "digits": '{"a": ' + "9" * 5000 + "}",
}


@pytest.mark.parametrize("config", NO_CONFIGS.values(), ids=list(NO_CONFIGS))
def test_what_is_no_config_is_refused(tmp_path: Path, config: str) -> None:
    written(tmp_path, config)
    with pytest.raises(InvalidModel, match=r"config\.json"):
        ModelShape.read(tmp_path)


@pytest.mark.parametrize(
    "sizes",
    [
        {"hidden_size": 65_536, "num_hidden_layers": 1000},
        {"vocab_size": 100_000_000},
        {"intermediate_size": 10_000_000},
        {"max_position_embeddings": 10_000_000},
        {"hidden_size": 8192, "num_hidden_layers": 8},
        {"text_config": {"hidden_size": 65_536, "num_hidden_layers": 100}},
    ],
)
def test_a_config_that_stands_for_far_more_weights_than_there_are_is_refused(
    tmp_path: Path, sizes: dict[str, Any]
) -> None:
    with pytest.raises(InvalidModel, match=r"stands for at least [\d,]+ weights; the files hold 1,000"):
        check_folder(written(tmp_path, {**LLAMA, **sizes}))


def test_layers_that_share_their_weights_are_no_fault(tmp_path: Path) -> None:
    # ALBERT, xxlarge: twelve layers of the same weights.
    albert = {"hidden_size": 4096, "intermediate_size": 16384, "num_hidden_layers": 12, "embedding_size": 128}
    config = {**LLAMA, **albert, "vocab_size": 30_000, "max_position_embeddings": 512}
    assert least_weights(config) < 64 * 223_000_000
    check_folder(written(tmp_path, {**LLAMA, "rope_theta": 1e6, "max_position_embeddings": 1 << 20}))


@pytest.mark.parametrize("content", [b"", b"x" * 8, struct.pack("<Q", 1 << 62) + b"{}", struct.pack("<Q", 2) + b"[]"])
def test_damaged_weights_are_refused(tmp_path: Path, content: bytes) -> None:
    folder = written(tmp_path, LLAMA)
    (folder / "model.safetensors").write_bytes(content)
    for read in (check_folder, ModelShape.read):
        with pytest.raises(InvalidModel):
            read(folder)


def test_weights_are_counted_by_their_header(tmp_path: Path) -> None:
    assert weight_count(written(tmp_path, LLAMA, 1234) / "model.safetensors") == 1234


NUMBERS = st.integers() | st.floats() | st.none() | st.text(max_size=3)
SIZES = st.sampled_from([*LLAMA, "num_experts", "head_dim", "num_key_value_heads", "text_config", "id2label"])


@given(st.dictionaries(SIZES, NUMBERS | st.lists(NUMBERS) | st.dictionaries(SIZES, NUMBERS)))
def test_no_config_breaks_its_reader(tmp_path_factory: pytest.TempPathFactory, config: dict[str, Any]) -> None:
    folder = tmp_path_factory.getbasetemp() / "fuzzed-model"
    folder.mkdir(exist_ok=True)
    written(folder, config)
    for read in (check_folder, ModelShape.read):
        try:
            read(folder)
        except InvalidModel as fault:
            said = str(fault)
        else:
            said = "config.json"
        assert "config.json" in said
