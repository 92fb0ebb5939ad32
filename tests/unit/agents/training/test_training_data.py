"""Order, pieces and padding of training rows."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from agents.data.batches import (
    NOT_LEARNED,
    Rows,
    collate,
    cut,
    epoch_order,
    length_batches,
    next_tokens,
    steps_of_like_length,
)
from agents.training.microbatches import PassCost, pieces

LENGTHS = st.lists(st.integers(1, 128), min_size=1, max_size=40)


def rows_of(lengths: list[int]) -> Rows:
    starts = np.concatenate([[0], np.cumsum(lengths)])
    return Rows(np.arange(1, starts[-1] + 1), starts, np.arange(len(lengths)) % 2)


def cost(parts: list[np.ndarray], lengths: np.ndarray, start: int) -> int:
    return sum(start + len(part) * -(-int(lengths[part].max()) // 8) * 8 for part in parts)


def test_an_epochs_order_depends_on_seed_and_epoch_alone() -> None:
    first = epoch_order(100, seed=3, epoch=0)
    assert sorted(first) == list(range(100))
    assert list(first) == list(epoch_order(100, seed=3, epoch=0))
    assert list(first) != list(epoch_order(100, seed=3, epoch=1))
    assert list(first) != list(epoch_order(100, seed=4, epoch=0))


@given(lengths=st.lists(st.integers(1, 128), min_size=1, max_size=400), rows=st.integers(1, 5), seed=st.integers(0, 9))
def test_steps_of_like_length_hold_every_row_once_and_differ_by_epoch(lengths: list[int], rows: int, seed: int) -> None:
    array = np.array(lengths)
    first, again, second = (
        steps_of_like_length(
            epoch_order(len(array), seed=seed, epoch=epoch), array, rows, together=50, seed=seed, epoch=epoch
        )
        for epoch in (0, 0, 1)
    )
    assert sorted(first) == sorted(second) == list(range(len(array)))
    assert list(first) == list(again)
    assert len(array) < 20 or list(first) != list(second)


def test_steps_of_like_length_are_those_of_sorted_rows_in_another_order() -> None:
    lengths = np.random.default_rng(1).permutation(np.arange(1, 84))
    order = epoch_order(len(lengths), seed=1, epoch=0)
    steps = cut(steps_of_like_length(order, lengths, 8, together=50, seed=1, epoch=0), 8)
    spans = [(int(lengths[step].min()), int(lengths[step].max())) for step in steps]
    assert spans != sorted(spans)
    assert sorted(spans) == [(1, 3), *((low, low + 7) for low in range(4, 84, 8))]
    assert spans[-1] == (1, 3)


@given(lengths=LENGTHS, at_most=st.integers(1, 20), start=st.integers(0, 500))
def test_pieces_hold_every_row_once_and_never_more_than_fit(lengths: list[int], at_most: int, start: int) -> None:
    parts = pieces(np.arange(len(lengths)), np.array(lengths), at_most=at_most, cost=PassCost(start))
    assert sorted(np.concatenate(parts)) == list(range(len(lengths)))
    assert all(0 < len(part) <= at_most for part in parts)


@given(lengths=LENGTHS, at_most=st.sampled_from([1, 2, 5, 8, 16, 24]), start=st.integers(0, 500))
def test_pieces_never_cost_more_than_equal_cuts_of_the_sorted_rows(
    lengths: list[int], at_most: int, start: int
) -> None:
    array = np.array(lengths)
    parts = pieces(np.arange(len(lengths)), array, at_most=at_most, cost=PassCost(start))
    by_length = np.argsort(array, kind="stable")
    assert cost(parts, array, start) <= cost(cut(by_length, at_most), array, start)


def test_pieces_stay_whole_where_starting_a_pass_costs_more_than_padding() -> None:
    lengths = np.array([4, 100] * 8)
    assert len(pieces(np.arange(16), lengths, at_most=16, cost=PassCost(10_000))) == 1
    short, long = pieces(np.arange(16), lengths, at_most=16, cost=PassCost(20))
    assert (set(lengths[short]), set(lengths[long])) == ({4}, {100})


@given(lengths=LENGTHS, start=st.integers(0, 500))
def test_pieces_but_the_last_have_whole_multiples_of_eight_rows(lengths: list[int], start: int) -> None:
    parts = pieces(np.arange(len(lengths)), np.array(lengths), at_most=16, cost=PassCost(start))
    assert all(len(part) % 8 == 0 for part in parts[:-1])


@given(lengths=LENGTHS, start=st.integers(0, 500))
def test_pieces_of_shared_sequences_never_cost_more_than_one_and_part_where_length_costs_more(
    lengths: list[int], start: int
) -> None:
    array, shared = np.sort(np.array(lengths)), PassCost(start, padded=False)
    parts = pieces(np.arange(len(array)), array, at_most=len(array), cost=shared)
    assert sorted(np.concatenate(parts)) == list(range(len(array)))
    assert sum(shared.of(array[part]) for part in parts) <= shared.of(array) + 1e-6
    assert len(pieces(np.arange(16), np.array([4] * 8 + [512] * 8), at_most=16, cost=PassCost(1, padded=False))) == 2
    assert len(pieces(np.arange(16), np.array([4] * 8 + [512] * 8), at_most=16, cost=PassCost(500, padded=False))) == 1


def test_collate_pads_to_the_longest_row_rounded_up_to_eight() -> None:
    rows = rows_of([3, 9, 1])
    batch = collate(rows, np.array([1, 0]), 0, torch.device("cpu"))
    assert batch.input_ids.shape == (2, 16)
    assert batch.input_ids[1].tolist() == [1, 2, 3] + [0] * 13
    assert batch.attention_mask.sum(dim=1).tolist() == [9, 3]
    assert batch.targets.tolist() == [1, 0]
    assert batch.token_count == 12


@given(st.lists(st.integers(2, 12), min_size=1, max_size=6), st.integers(0, 9))
def test_the_token_that_ends_answers_is_learned_also_where_it_is_the_padding_token(
    lengths: list[int], end: int
) -> None:
    starts = np.concatenate([[0], np.cumsum(lengths)])
    tokens = np.arange(100, 100 + starts[-1])
    tokens[starts[1:] - 1] = end
    learned = np.ones(len(tokens), dtype=bool)
    learned[starts[:-1]] = False
    rows = Rows(tokens, starts, next_tokens(tokens, starts, learned), per_token=True)
    batch = collate(rows, np.arange(len(rows)), end, torch.device("cpu"))

    assert (batch.targets == end).sum(dim=1).tolist() == [1] * len(lengths)
    assert (batch.targets != NOT_LEARNED).sum(dim=1).tolist() == [length - 1 for length in lengths]
    assert batch.attention_mask is not None
    assert batch.attention_mask.sum(dim=1).tolist() == lengths


@pytest.mark.parametrize("size", [1, 2, 7])
def test_scoring_batches_go_from_short_to_long(size: int) -> None:
    lengths = np.array([5, 1, 4, 2, 3])
    assert list(np.concatenate(length_batches(lengths, size))) == [1, 3, 4, 2, 0]
