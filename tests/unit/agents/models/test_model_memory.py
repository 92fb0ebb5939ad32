"""What answering needs of a GPU: worked out from a model's files, in numbers."""

from dataclasses import replace

import pytest

from agents.model_memory import Asked, Shape, answering_bytes, reserved_mib
from tests.support.prepared import MINILM_FOLDER

SMOLLM2 = Shape(134_515_008, layers=30, width=576, heads=9, inner_width=1536, vocabulary=49_152, key_value_width=192)
WEIGHTS = 6 * SMOLLM2.parameters


def test_a_small_classifier_leaves_room_for_others() -> None:
    minilm = Shape.read(MINILM_FOLDER)

    # 130 MiB of weights; 192 MiB of activations and 96 of scores; CUDA's own 1,024; a ninth on top.
    assert answering_bytes(minilm, Asked(64, 128)) >> 20 == 417
    assert reserved_mib(answering_bytes(minilm, Asked(64, 128))) == 417 * 10 // 9 + 1024 + 1


@pytest.mark.parametrize(
    ("rows", "tokens", "written", "measured_mib"), [(8, 128, 32, 81), (16, 256, 32, 299), (32, 96, 64, 274)]
)
def test_a_decoder_that_writes_needs_what_was_measured(rows: int, tokens: int, written: int, measured_mib: int) -> None:
    # Without a vocabulary there is no loss to work out: what was measured is the writing alone.
    counted = answering_bytes(replace(SMOLLM2, vocabulary=0), Asked(rows, tokens, written)) - WEIGHTS

    assert measured_mib <= counted >> 20 <= measured_mib * 1.13


@pytest.mark.parametrize(
    ("rows", "tokens", "learned", "measured_mib"), [(8, 128, 16, 53), (16, 256, 16, 109), (32, 96, 32, 389)]
)
def test_a_decoders_loss_fits_too(rows: int, tokens: int, learned: int, measured_mib: int) -> None:
    # The longest answer is half as long as one may get.
    assert (answering_bytes(SMOLLM2, Asked(rows, tokens, 2 * learned)) - WEIGHTS) >> 20 >= measured_mib


def test_shared_heads_keep_a_smaller_cache() -> None:
    one = replace(SMOLLM2, vocabulary=0)
    shared, own = (answering_bytes(shape, Asked(32, 512, 128)) for shape in (one, replace(one, key_value_width=None)))

    # 30 layers, keys and values of 192 or 576 float32, 640 tokens of 32 rows.
    assert own - shared == 30 * 2 * (576 - 192) * 4 * 640 * 32


def test_shared_heads_are_read_from_the_config() -> None:
    llama = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 99}

    assert Shape.of(llama, 1).key_value_width == 64
    assert Shape.of({**llama, "num_key_value_heads": 2}, 1).key_value_width == 32
    assert Shape.of({**llama, "num_key_value_heads": 2, "head_dim": 24}, 1).key_value_width == 48
