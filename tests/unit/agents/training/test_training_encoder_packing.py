"""Encoders whose rows share sequences give the very answers and gradients of padded rows."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from agents.base.errors import InvalidSpec
from agents.training.config import TrainingConfig
from agents.training.encoder_packing import LAYERS, Layout, pack_rows, packs_rows

SIZE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
SETTINGS: dict[str, dict[str, Any]] = {"distilbert": {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64}}
LENGTHS = (3, 17, 40, 8, 1)
WIDTH = 48


def model_of(kind: str) -> PreTrainedModel:
    config = AutoConfig.for_model(kind, vocab_size=50, pad_token_id=0, **SETTINGS.get(kind, SIZE))
    torch.manual_seed(1)
    model: PreTrainedModel = AutoModelForSequenceClassification.from_config(config, attn_implementation="eager")
    return model.eval()


def rows(lengths: tuple[int, ...] = LENGTHS, width: int = WIDTH) -> dict[str, torch.Tensor]:
    mask = torch.arange(width)[None] < torch.tensor(lengths)[:, None]
    tokens = torch.randint(1, 50, mask.shape, generator=torch.Generator().manual_seed(2))
    return {"input_ids": tokens * mask, "attention_mask": mask.long()}


def answers_and_gradients(model: PreTrainedModel, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    model.zero_grad()
    logits = model(**batch).logits
    torch.nn.functional.cross_entropy(logits, torch.arange(len(logits)) % 2).backward()
    gradients = [parameter.grad.reshape(-1) for parameter in model.parameters() if parameter.grad is not None]
    return logits.detach(), torch.cat(gradients)


@pytest.mark.parametrize("kind", sorted(LAYERS))
def test_answers_and_gradients_are_those_of_padded_rows(kind: str) -> None:
    model = model_of(kind)
    expected = answers_and_gradients(model, rows())
    pack_rows(model)
    found = answers_and_gradients(model, rows())
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", sorted(LAYERS))
def test_layers_see_the_rows_in_shared_sequences(kind: str) -> None:
    model = model_of(kind)
    pack_rows(model)
    seen: list[torch.Size] = []
    inner = next(module for name, module in model.named_modules() if name.endswith(("intermediate.dense", "ffn.lin1")))
    inner.register_forward_hook(lambda _module, args, _answer: seen.append(args[0].shape))
    model(**rows())
    # 40 + 17 + 3 + 1 tokens, and 8.
    assert [tuple(shape[:2]) for shape in seen] == [(2, 64)]


@given(st.lists(st.integers(1, 40), min_size=1, max_size=20), st.booleans(), st.integers(0, 9))
def test_a_layout_and_its_way_back_lose_no_token_and_keep_rows_apart(lengths: list[int], left: bool, more: int) -> None:
    width = max(lengths) + more
    tokens = torch.arange(width)[None] < torch.tensor(lengths)[:, None]
    tokens = tokens.flip(1) if left else tokens
    values = torch.arange(1, tokens.numel() + 1).view_as(tokens) * tokens
    layout = Layout.of(tokens)
    sequences = values.flatten()[layout.there] * (layout.segments > 0)
    assert torch.equal(sequences.flatten()[layout.back] * tokens, values)
    for number, row in enumerate(values, start=1):
        assert sequences[layout.segments == number].tolist() == row[row > 0].tolist()
    mask = layout.attention_mask(torch.float32)[:, 0]
    assert torch.equal(mask == 0, layout.segments[:, :, None] == layout.segments[:, None, :])


def test_dropout_of_the_base_still_works_where_padding_is_left_out() -> None:
    model = model_of("bert")
    pack_rows(model)
    model.train()
    torch.manual_seed(3)
    first = model(**rows()).logits
    torch.manual_seed(3)
    again, other = model(**rows()).logits, model(**rows()).logits
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_rows_of_one_length_are_answered_alike() -> None:
    model, batch = model_of("bert"), rows((WIDTH, WIDTH))
    expected = model(**batch).logits
    pack_rows(model)
    torch.testing.assert_close(model(**batch).logits, expected)
    torch.testing.assert_close(model(input_ids=batch["input_ids"]).logits, expected)


def test_rows_share_sequences_where_it_was_measured_and_wherever_it_is_asked_for() -> None:
    cpu, gpu, bert = torch.device("cpu"), torch.device("cuda"), model_of("bert")
    unset, on, off = (TrainingConfig(model="m", packing=packing) for packing in (None, True, False))
    answers = TrainingConfig(model="m", task="sft", packing=True)
    assert [packs_rows(bert, config, cpu) for config in (unset, on, off, answers)] == [True, True, False, False]
    assert [packs_rows(bert, config, gpu) for config in (unset, on, off)] == [False, True, False]
    assert not packs_rows(model_of("llama"), unset, cpu)
    with pytest.raises(InvalidSpec, match="this one is llama"):
        packs_rows(model_of("llama"), on, cpu)
