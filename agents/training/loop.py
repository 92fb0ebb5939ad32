"""The steps: loss, backward, update; and between them progress, validation, checkpoints and stops."""

import math
import time
from dataclasses import asdict
from typing import Any

import torch
from transformers import PreTrainedModel

from agents.base.agent import Context
from agents.base.errors import Diverged, StopRequested
from agents.metrics.ranking import rank
from agents.training.checkpoint import Checkpoint, Checkpoints
from agents.training.gradients import Gradients
from agents.training.memory import memory_faults, used_bytes
from agents.training.optimizer import (
    make_optimizer,
    make_schedule,
    optimizer_tensors,
    set_optimizer_tensors,
    set_schedule_state,
    trained_parameters,
)
from agents.training.packing import check_packable
from agents.training.plan import Plan, TrainState
from agents.training.ranks import Leader
from agents.training.rng import generator_states, set_generator_states
from agents.training.tracking import Trackers

STEADIER = (
    "Lower learning_rate or max_grad_norm, or use precision: fp32; "
    "where that changes nothing, look for weights of the base model that are not numbers."
)
#: The key of the training's state in a checkpoint, as every release has written it.
TRAIN_STATE = "course"


class Fit:
    """One training from its newest checkpoint, or its start, to its end."""

    def __init__(
        self,
        model: PreTrainedModel,
        plan: Plan,
        context: Context,
        checkpoints: Checkpoints,
        trackers: Trackers,
        leader: Leader,
    ) -> None:
        self.model, self.plan, self.context, self.checkpoints = model, plan, context, checkpoints
        self.trackers, self.leader, self.gradients = trackers, leader, Gradients(model, plan)
        self.parameters = trained_parameters(model)
        self.optimizer = make_optimizer(self.parameters, plan.config)
        self.schedule = make_schedule(self.optimizer, plan.config, plan.total_steps)
        self.train_state = TrainState()
        self._best: dict[str, torch.Tensor] | None = None
        self._loss_sum: torch.Tensor | None = None
        self._rate = 0.0
        self._unchecked: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._window_tokens, self._window_started_at = 0, time.perf_counter()

    def run(self) -> TrainState:
        """Train to the end, with the best weights in the model at the end of it.

        Raises:
            StopRequested: after a cancel or a pause; a checkpoint was saved.
            OutOfMemory: a step needs more memory than there is.
            Diverged: a loss, a gradient or a weight is no longer a number.
        """
        if self.plan.packing:
            check_packable(self.model)
        self._resume()
        with memory_faults(self.plan.micro_batch):
            while self.train_state.step < self.plan.total_steps and not self.train_state.stopped_early:
                self._step()
                self._after_step()
        if self.plan.config.keep == "last":
            self.train_state.keep_last()
        elif self._best is not None:
            self._load_weights(self._best)
        return self.train_state

    # -- one step ------------------------------------------------------------------------------

    def _step(self) -> None:
        """One optimizer step: gradients of the mean loss over its rows, in as many pieces as memory asks for."""
        step, weights = self.train_state.step, self.parameters.values()
        self.leader.send(step, weights)
        loss = self.leader.collect(weights, self.gradients.add(step))
        token_count = self.gradients.token_count(step)
        self.train_state.tokens += token_count
        self._window_tokens += token_count
        norm = torch.nn.utils.clip_grad_norm_(self.parameters.values(), self.plan.config.max_grad_norm)
        self._rate = float(self.schedule.get_last_lr()[0])
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.train_state.step += 1
        self._unchecked.append((loss, norm))
        self._loss_sum = loss.double() if self._loss_sum is None else self._loss_sum + loss.double()

    # -- between steps -------------------------------------------------------------------------

    def _after_step(self) -> None:
        step, config = self.train_state.step, self.plan.config
        last = step == self.plan.total_steps
        if step % config.log_steps == 0 or last:
            self._report()
        epoch_ended = step % self.plan.steps_per_epoch == 0 or last
        if epoch_ended:
            self._validate()
        stop = self.context.stop_requested()
        if stop or epoch_ended or step % config.save_steps == 0:
            self._save()
        if stop:
            raise StopRequested(stop)

    def _report(self) -> None:
        """Stream the newest metrics and keep them for the curve; here the CPU waits for the GPU."""
        loss, norm = self._checked()
        elapsed_s = self._lap()
        metrics = {
            "loss": loss,
            "learning_rate": self._rate,
            "grad_norm": norm,
            "epoch": round(self.train_state.step / self.plan.steps_per_epoch, 4),
            "tokens_per_s": round(self._window_tokens / elapsed_s, 1),
            "memory_mib": used_bytes(self.plan.placement.device) >> 20,
        }
        steps_left = self.plan.total_steps - self.train_state.step
        eta_s = round(self.train_state.train_s / self.train_state.step * steps_left, 1)
        self.trackers.send(self.train_state.step, {**metrics, "eta_s": eta_s})
        self._window_tokens = 0
        self.train_state.curve.append({"step": self.train_state.step, **metrics})
        self.context.progress(self.train_state.step, self.plan.total_steps, **metrics)

    def _checked(self) -> tuple[float, float]:
        """Return loss and gradient norm of the newest step, once those of all steps since the last look are numbers:
        behind one that is not, the weights are none either, and are neither kept nor saved.

        Raises:
            Diverged: one is not.
        """
        step = self.train_state.step - len(self._unchecked)
        loss = norm = math.nan
        for one in self._unchecked:
            step += 1
            loss, norm = float(one[0]), float(one[1])
            if not (math.isfinite(loss) and math.isfinite(norm)):
                what = "gradient" if math.isfinite(loss) else "loss"
                raise Diverged(f"The {what} is not a number at step {step}.", cure=STEADIER)
        # The newest stays: a report after a validation is of it.
        del self._unchecked[:-1]
        return loss, norm

    def _validate(self) -> None:
        """Score the validation split; keep the weights where they are the best so far."""
        if not len(self.plan.validation):
            return
        self._checked()
        self._lap()
        plan, train_state = self.plan, self.train_state
        metrics = plan.objective.score(
            self.model, plan.validation, batch_size=4 * plan.micro_batch, autocast=plan.placement.autocast
        )
        if wrong := [name for name, value in metrics.items() if not math.isfinite(value)]:
            raise Diverged(
                f"The {wrong[0]} of the validation split is not a number at step {train_state.step}.", cure=STEADIER
            )
        train_state.last_figures = metrics
        self._judge(metrics)
        named: dict[str, Any] = {f"validation_{name}": value for name, value in metrics.items()}
        train_state.curve.append({"step": train_state.step, **named})
        self.trackers.send(train_state.step, named)
        self.context.log("validated", step=train_state.step, best=train_state.best_step == train_state.step, **named)
        self.context.progress(train_state.step, plan.total_steps, **named)
        self._window_started_at = time.perf_counter()

    def _judge(self, metrics: dict[str, float]) -> None:
        train_state, patience = self.train_state, self.plan.config.early_stopping_patience
        reached = rank(metrics, self.plan.config.metric)
        if train_state.best_rank is None or reached > train_state.best_rank:
            train_state.best_rank, train_state.best_step, train_state.best_figures = reached, train_state.step, metrics
            train_state.validations_without_gain = 0
            self._best = self._weights()
            return
        train_state.validations_without_gain += 1
        if patience and train_state.validations_without_gain >= patience:
            train_state.stopped_early = True
            self.context.log("stopped_early", step=train_state.step, best_step=train_state.best_step)

    def _lap(self) -> float:
        """Add the time since the last look at the clock to that spent in steps, and return it in seconds."""
        now = time.perf_counter()
        elapsed_s = max(now - self._window_started_at, 1e-9)
        self._window_started_at = now
        self.train_state.train_s += elapsed_s
        return elapsed_s

    # -- out and in ----------------------------------------------------------------------------

    def _save(self) -> None:
        self._lap()
        self._checked()
        if self._loss_sum is not None:
            self.train_state.loss_sum += float(self._loss_sum)
            self._loss_sum = None
        random_tensors, random_numbers = generator_states()
        tensors = {
            "model": self._weights(),
            "optimizer": optimizer_tensors(self.optimizer, self.parameters),
            "random": random_tensors,
        }
        if self._best is not None and self.train_state.best_step != self.train_state.step:
            tensors["best"] = self._best
        state = {
            TRAIN_STATE: asdict(self.train_state),
            "schedule": self.schedule.state_dict(),
            "random": random_numbers,
        }
        key = self.checkpoints.save(Checkpoint(self.train_state.step, tensors, state))
        self.context.log("checkpoint_saved", step=self.train_state.step, key=key)
        self._window_started_at = time.perf_counter()

    def _resume(self) -> None:
        """Go back to the newest checkpoint, if there is one."""
        checkpoint = self.checkpoints.newest()
        if checkpoint is None:
            return
        tensors, state = checkpoint.tensors, checkpoint.state
        self._load_weights(dict(tensors["model"]))
        set_optimizer_tensors(self.optimizer, self.parameters, dict(tensors["optimizer"]))
        set_schedule_state(self.schedule, state["schedule"])
        self.train_state = TrainState(**state[TRAIN_STATE])
        for entry in self.train_state.curve:
            self.trackers.send(int(entry["step"]), {name: value for name, value in entry.items() if name != "step"})
        if self.train_state.best_rank is not None:
            self._best = dict(tensors.get("best", tensors["model"]))
        set_generator_states(dict(tensors["random"]), state["random"])
        self.context.log("resumed", step=self.train_state.step, total=self.plan.total_steps)
        self._window_started_at = time.perf_counter()

    def _weights(self) -> dict[str, torch.Tensor]:
        """Return a copy of the trained weights on the CPU. Raises Diverged: one holds a value that is not a number."""
        weights = {name: weight.detach().cpu().clone() for name, weight in self.parameters.items()}
        for name, weight in weights.items():
            if not bool(torch.isfinite(weight).all()):
                raise Diverged(
                    f"The weight '{name}' holds values that are not numbers at step {self.train_state.step}.",
                    cure=STEADIER,
                )
        return weights

    def _load_weights(self, weights: dict[str, torch.Tensor]) -> None:
        with torch.no_grad():
            for name, weight in self.parameters.items():
                weight.copy_(weights[name])
