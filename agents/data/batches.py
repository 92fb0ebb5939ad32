"""Rows for training: a split read from Parquet, in a seeded order, cut into pieces of like length, hardly padded."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as arrow
import torch
from pyarrow import parquet

from agents.base.errors import InvalidData
from agents.base.object_store import ObjectStore
from agents.data.types import Split

#: The target of tokens that are not learned.
NOT_LEARNED = -100
#: Lengths are rounded up to this: matrix kernels are fastest on full vectors.
PAD_MULTIPLE = 8


@dataclass(frozen=True)
class Rows:
    """A split in memory: `tokens` holds all rows end to end; row i is `tokens[starts[i]:starts[i + 1]]`.

    `targets`: what is to be learned. Of each row: a label, int64 of shape (rows,), or which of the labels it has,
    float32 of shape (rows, labels), or a number, float32 of shape (rows,). Or `per_token`, int64: the next token for
    each token, -100 where it carries no loss.
    """

    tokens: np.ndarray
    starts: np.ndarray
    targets: np.ndarray
    per_token: bool = False

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Tokens per row, int64 of shape (rows,)."""
        lengths: np.ndarray = self.starts[1:] - self.starts[:-1]
        return lengths


@dataclass(frozen=True)
class Batch:
    """`input_ids` and `attention_mask`: int64 of shape (rows, longest row); `targets`: as in `Rows`, per token
    of the shape of `input_ids`. Packed rows have `position_ids` of that shape instead of a mask."""

    input_ids: torch.Tensor
    attention_mask: torch.Tensor | None
    targets: torch.Tensor
    token_count: int
    """Without padding."""
    position_ids: torch.Tensor | None = None


def read_rows(objects: ObjectStore, split: Split, work_dir: Path, *, target: str = "label") -> Rows:
    """Return a split's token ids, and what is to be learned. `target`: the column of it, as `Task` names it.

    Raises:
        InvalidData: the file lacks the columns, or a row has no tokens.
        CorruptArtifact: the bytes don't match their digest.
    """
    path = objects.get_artifact_file(split.rows, work_dir / f"{split.rows.sha256}.parquet")
    per_token = target == "loss_mask"
    try:
        table = parquet.read_table(path, columns=["input_ids", target]).combine_chunks()
    except (arrow.ArrowInvalid, KeyError) as fault:
        raise InvalidData(f"A split can't be read: {str(fault).partition(chr(10))[0]}") from fault
    if table.num_rows == 0:
        return Rows(np.zeros(0, np.int64), np.zeros(1, np.int64), np.zeros(0, np.int64), per_token)
    lists = table.column("input_ids").chunk(0)
    lengths = lists.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)
    if not lengths.all():
        raise InvalidData(f"Row {int(np.argmin(lengths))} of a split has no tokens.", cure="Run preprocessing again.")
    starts = np.concatenate([[0], np.cumsum(lengths)])
    tokens = lists.flatten().to_numpy().astype(np.int64)
    column = table.column(target).chunk(0)
    if per_token:
        learned = column.flatten().to_numpy(zero_copy_only=False)
        return Rows(tokens, starts, next_tokens(tokens, starts, learned), per_token=True)
    if arrow.types.is_list(column.type):
        return Rows(tokens, starts, _matrix(column))
    kind = np.float32 if arrow.types.is_floating(column.type) else np.int64
    return Rows(tokens, starts, column.to_numpy(zero_copy_only=False).astype(kind))


def _matrix(column: arrow.ListArray) -> np.ndarray:
    """Return lists of equal length as float32 of shape (rows, values of a list)."""
    values: np.ndarray = column.flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    return values.reshape(len(column), -1)


def next_tokens(tokens: np.ndarray, starts: np.ndarray, learned: np.ndarray) -> np.ndarray:
    """Return for each token the one after it in its row where that is learned, else -100; int64 like `tokens`."""
    chosen = np.append(learned[1:], False)
    chosen[starts[1:] - 1] = False
    return np.where(chosen, np.append(tokens[1:], 0), NOT_LEARNED)


def epoch_order(row_count: int, *, seed: int, epoch: int) -> np.ndarray:
    """Return the rows of an epoch in their order: a pure function of its arguments, so that resuming needs no more."""
    return np.random.default_rng([seed, epoch]).permutation(row_count)


def steps_of_like_length(
    order: np.ndarray, lengths: np.ndarray, rows_per_step: int, *, together: int, seed: int, epoch: int
) -> np.ndarray:
    """Return an epoch's rows so that those of a step are of like length.

    The rows of `together` steps at a time are sorted by length, cut into steps and these put in random order; with many
    together it is what `LengthGroupedSampler` of transformers does. `order`: a random one; a last step that is not full
    stays last. Pure, like `epoch_order`.
    """
    draw = np.random.default_rng([seed, epoch, 1])
    found = []
    for rows in cut(order, together * rows_per_step):
        steps = cut(rows[np.argsort(lengths[rows], kind="stable")[::-1]], rows_per_step)
        full = sum(len(step) == rows_per_step for step in steps)
        found += [*(steps[at] for at in draw.permutation(full)), *steps[full:]]
    return np.concatenate(found)


def padded(lengths: np.ndarray) -> np.ndarray:
    """Return lengths rounded up to a multiple of 8."""
    return -(-lengths // PAD_MULTIPLE) * PAD_MULTIPLE


def length_batches(lengths: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Return all rows in batches from short to long: the least padding, for scoring."""
    return cut(np.argsort(lengths, kind="stable"), batch_size)


def collate(rows: Rows, indices: np.ndarray, pad_token_id: int, device: torch.device) -> Batch:
    """Return rows as tensors, padded on the right to the longest of them, rounded up to a multiple of 8."""
    starts, lengths = rows.starts[indices], rows.lengths[indices]
    width = int(padded(lengths).max())
    mask = np.arange(width) < lengths[:, None]

    def spread(values: np.ndarray, filler: int) -> np.ndarray:
        found = np.full(mask.shape, filler, np.int64)
        found[mask] = np.concatenate(
            [values[start : start + length] for start, length in zip(starts, lengths, strict=True)]
        )
        return found

    targets = spread(rows.targets, NOT_LEARNED) if rows.per_token else rows.targets[indices]
    return Batch(
        torch.from_numpy(spread(rows.tokens, pad_token_id)).to(device, non_blocking=True),
        torch.from_numpy(mask.astype(np.int64)).to(device, non_blocking=True),
        torch.from_numpy(targets).to(device, non_blocking=True),
        int(lengths.sum()),
    )


def cut(order: np.ndarray, size: int) -> list[np.ndarray]:
    """Return `order` in pieces of `size`, the last one perhaps shorter."""
    return [order[start : start + size] for start in range(0, len(order), size)]
