"""The gradients of one step: a pure function of the weights, the plan and the step, for one process's rows."""

import numpy as np
import torch
from transformers import PreTrainedModel

from agents.data.batches import collate, cut, epoch_order, steps_of_like_length
from agents.training.encoder_packing import packs_rows
from agents.training.microbatches import PassCost, pieces
from agents.training.packing import collate_packed
from agents.training.plan import Plan


class Gradients:
    """Adds up gradients of the mean loss over a step's rows; process `rank` of `plan.processes` has its share."""

    def __init__(self, model: PreTrainedModel, plan: Plan, rank: int = 0) -> None:
        self.model, self.plan, self.rank = model, plan, rank
        self._order: tuple[int, np.ndarray] = (-1, plan.train.starts)
        self._lengths = plan.train.lengths
        packs = packs_rows(model, plan.config, plan.placement.device)
        self._cost = PassCost(plan.placement.start_cost_tokens, padded=not packs)

    def add(self, step: int) -> torch.Tensor:
        """Add the gradients of this process's rows; return their part of the step's loss."""
        rows = self.rows(step)
        divisor = self.plan.objective.weight(self.plan.train, [rows])
        return sum((self._backward(part, divisor) for part in self._parts(rows)), torch.tensor(0.0))

    def rows(self, step: int) -> np.ndarray:
        """Return the rows of a step, of all processes."""
        plan = self.plan
        epoch, position = divmod(step, plan.steps_per_epoch)
        if self._order[0] != epoch:
            self._order = (epoch, self._epoch_rows(epoch))
        return self._order[1][position * plan.rows_per_step : (position + 1) * plan.rows_per_step]

    def _epoch_rows(self, epoch: int) -> np.ndarray:
        """Return an epoch's rows in their order."""
        plan, seed = self.plan, self.plan.config.seed
        order = epoch_order(len(plan.train), seed=seed, epoch=epoch)
        together = plan.steps_drawn_together
        if together == 1:
            return order
        return steps_of_like_length(order, self._lengths, plan.rows_per_step, together=together, seed=seed, epoch=epoch)

    def token_count(self, step: int) -> int:
        """Return the tokens of a step, of all processes, without padding."""
        return int(self._lengths[self.rows(step)].sum())

    def _parts(self, rows: np.ndarray) -> list[np.ndarray]:
        """Return this process's rows in the pieces that go through the model at once."""
        plan = self.plan
        if plan.processes > 1:
            # Dealt out by length: every process gets about as much to do.
            rows = rows[np.argsort(self._lengths[rows], kind="stable")][self.rank :: plan.processes]
        if not len(rows):
            return []
        if plan.packing or not plan.config.length_grouping:
            return cut(rows, plan.micro_batch)
        return pieces(rows, self._lengths, at_most=plan.micro_batch, cost=self._cost)

    def _backward(self, indices: np.ndarray, divisor: float) -> torch.Tensor:
        """Add the gradients of some rows; return their part of the step's loss. Nothing here waits for a GPU."""
        placement = self.plan.placement
        laid_out = collate_packed if self.plan.packing else collate
        batch = laid_out(self.plan.train, indices, self.model.config.pad_token_id or 0, placement.device)
        with torch.autocast(placement.device.type, dtype=torch.bfloat16, enabled=placement.autocast):
            loss = self.plan.objective.loss(self.model, batch)
        torch.autograd.backward(loss / divisor)
        return loss.detach() / divisor
