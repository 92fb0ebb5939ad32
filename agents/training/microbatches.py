"""How the rows of one step go through the model: in pieces of like length, at the least cost."""

from dataclasses import dataclass

import numpy as np

from agents.data.batches import padded

#: A CPU's matrix library compiles a kernel for every new number of tokens, so rows come in multiples too.
ROW_MULTIPLE = 8
#: How long sequences are where attention costs an encoder as much as all else: see `docs/benchmarks.md`.
ATTENTION_WIDTH = 650


@dataclass(frozen=True)
class PassCost:
    """What a pass through the model costs, in tokens that go through its layers.

    `start`: before the first token. `padded`: padding goes through as tokens do; else rows share sequences, as long as
    the longest of them, which shows in attention.
    """

    start: int
    padded: bool = True

    def of(self, lengths: np.ndarray) -> float:
        """`lengths`: tokens of the rows, from short to long."""
        width = int(padded(lengths[-1:])[0])
        if self.padded:
            return self.start + len(lengths) * width
        return self.start + int(lengths.sum()) * (1 + width / ATTENTION_WIDTH)


def pieces(indices: np.ndarray, lengths: np.ndarray, *, at_most: int, cost: PassCost) -> list[np.ndarray]:
    """Cut the rows of one step into pieces of like length, at the least cost, by dynamic programming.

    `lengths` are those of all rows; `at_most` rows go into a piece. The step's gradient is the sum over its pieces, so
    that cutting changes nothing about what is learned; batches drawn by length would: where length tells of the label
    (spam is long) such batches hold one label only.
    """
    order = indices[np.argsort(lengths[indices], kind="stable")]
    sorted_lengths = lengths[order]
    grain = min(ROW_MULTIPLE, at_most)
    ends = [*range(grain, len(order), grain), len(order)]
    # best[i]: least cost of the first i rows, and where the last piece of that cut begins.
    best: dict[int, tuple[float, int]] = {0: (0.0, 0)}
    for end in ends:
        begins = [begin for begin in (0, *ends) if max(0, end - at_most) <= begin < end]
        costs = [best[begin][0] + cost.of(sorted_lengths[begin:end]) for begin in begins]
        cheapest = int(np.argmin(costs))
        best[end] = (costs[cheapest], begins[cheapest])
    cuts, end = [], len(order)
    while end:
        begin = best[end][1]
        cuts.append(order[begin:end])
        end = begin
    return cuts[::-1]
