"""Packed rows: laid end to end in one sequence, with the losses they have alone."""

from pathlib import Path

import numpy as np
import pytest

from agents.base.errors import InvalidModel
from agents.decoder import NOT_LEARNED, learned_logits
from agents.training.data import Rows, collate
from agents.training.packing import check_packable, collate_packed, packed


@pytest.fixture(scope="module")
def rows() -> Rows:
    """20 rows of 1 to 40 tokens, of which about half are learned."""
    draw = np.random.default_rng(3)
    lengths = draw.integers(1, 41, 20)
    tokens = draw.integers(5, 900, int(lengths.sum()))
    targets = np.where(draw.random(len(tokens)) < 0.5, draw.integers(5, 900, len(tokens)), NOT_LEARNED)
    return Rows(tokens, np.concatenate([[0], np.cumsum(lengths)]), targets, per_token=True)


def test_every_row_is_packed_once_and_no_sequence_is_longer_than_the_longest_row(rows: Rows) -> None:
    indices = np.random.default_rng(1).permutation(20)[:15]
    longest = -(-int(rows.lengths[indices].max()) // 8) * 8
    sequences = packed(indices, rows.lengths, longest)
    assert sorted(row for sequence in sequences for row in sequence) == sorted(indices.tolist())
    assert all(sum(rows.lengths[sequence]) <= longest for sequence in sequences)
    assert len(sequences) < 15
    assert packed(indices, rows.lengths, longest) == sequences


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_packed_tokens_have_the_losses_they_have_in_rows_of_their_own(
    rows: Rows, tiny_decoder: Path, attention: str
) -> None:
    import torch
    from torch.nn.functional import cross_entropy
    from transformers import AutoModelForCausalLM

    options = {"attn_implementation": attention, "dtype": torch.float32}
    model = AutoModelForCausalLM.from_pretrained(tiny_decoder, **options).eval()
    indices, device = np.arange(20), torch.device("cpu")

    def losses(batch_of: object) -> dict[int, torch.Tensor]:
        """Losses by row of the packed or plain batch."""
        batch = batch_of(rows, indices, 0, device)  # type: ignore[operator]
        with torch.inference_mode():
            logits = learned_logits(model, batch.input_ids, batch.attention_mask, batch.targets, batch.position_ids)
        found = cross_entropy(logits, batch.targets[batch.targets != NOT_LEARNED], reduction="none")
        counts = [int((rows.targets[rows.starts[row] : rows.starts[row + 1]] != NOT_LEARNED).sum()) for row in indices]
        order = (
            [row for sequence in packed(indices, rows.lengths, batch.input_ids.shape[1]) for row in sequence]
            if batch_of is collate_packed
            else indices.tolist()
        )
        return dict(zip(order, found.split([counts[row] for row in order]), strict=True))

    plain, together = losses(collate), losses(collate_packed)
    for row, expected in plain.items():
        torch.testing.assert_close(together[row], expected, rtol=1e-5, atol=1e-5)


def test_a_model_with_a_state_is_not_packed() -> None:
    from transformers import MambaConfig, MambaForCausalLM

    model = MambaForCausalLM(MambaConfig(vocab_size=16, hidden_size=8, num_hidden_layers=1, state_size=4))
    with pytest.raises(InvalidModel, match="packing: false"):
        check_packable(model)
