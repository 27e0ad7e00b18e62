"""The readable engine, on any device: the loss as the textbook has it, differentiated by autograd."""

import numpy as np
import torch

from cfmodel.config import TrainSettings
from cfmodel.gradients.measuring.monitor import Monitor
from cfmodel.gradients.measuring.step_scalars import StepScalars
from cfmodel.model import CollaborativeFiltering
from cfmodel.training.batching.batches import Batches, DeviceRatings
from cfmodel.training.engines.base import REPORTS_PER_EPOCH, AdamState, OnProgress
from cfmodel.training.engines.step import GradNorms, Loss, update
from cfmodel.training.planning.plan import TrainingPlan
from cfmodel.training.planning.schedule import learning_rates
from cfmodel.training.step_log import NO_STEPS, StepLog


class AutogradEngine:
    """Trains a model in place on its own device; the truth the other engines are tested against.

    Args:
        model: Untrained, or as it was saved.
        batches: How the training ratings are dealt into batches.
        plan: What is learned from, Adam, schedule, penalty and clipping.
    """

    name = "autograd"

    def __init__(self, model: CollaborativeFiltering, batches: Batches, plan: TrainingPlan) -> None:
        self.model, self.learning_rate = model, plan.settings.learning_rate
        self._plan, self._batches = plan, batches
        self._ratings = DeviceRatings.of(plan.train, model.global_mean.device)[torch.from_numpy(batches.order())]
        self.optimizer = adam_of(model, plan.settings)
        self._after, self._log = NO_STEPS, self._new_log(0)
        self._monitor: Monitor | None = None

    @staticmethod
    def cannot_train(model: type[CollaborativeFiltering]) -> str | None:  # noqa: ARG004 - an engine's signature
        """Return None: whatever predicts can be differentiated."""
        return None

    def run_epoch(
        self,
        epoch: int,
        *,
        on_progress: OnProgress,
        monitor: Monitor | None = None,
        after: StepLog = NO_STEPS,
    ) -> StepLog:
        """Update the model once per batch, each rating in exactly one batch, and return what the steps saw."""
        order = [torch.from_numpy(batch).to(self._ratings.rating.device) for batch in self._batches.of(epoch)]
        steps, done = len(order), len(after)
        ordered = self._ratings[torch.cat(order[done:])]
        sizes = [len(batch) for batch in order[done:]]
        self._after, self._log, self._monitor = after, self._new_log(len(sizes)), monitor
        if monitor is not None:
            monitor.begin_epoch(epoch, len(sizes), {"user": ordered.user_idx, "movie": ordered.movie_idx}, sizes)
        rates = learning_rates(epoch, steps, self._plan.settings)[done:]
        for step, (batch, self.learning_rate) in enumerate(zip(ordered.split(sizes), rates, strict=True), done):
            for group in self.optimizer.param_groups:
                group["lr"] = self.learning_rate
            loss, norms = update(
                self.model,
                self.optimizer,
                batch,
                regularization=self._plan.regularization,
                max_grad_norm=self._plan.settings.max_grad_norm,
                probe=monitor.probe(self.learning_rate) if monitor is not None else None,
            )
            self._log.add(len(batch), loss, norms)
            if monitor is not None:
                monitor.add(loss.error.detach())
            if (step + 1) * REPORTS_PER_EPOCH // steps > step * REPORTS_PER_EPOCH // steps:
                on_progress((step + 1) / steps)
        log = self.log()
        if monitor is not None:
            monitor.end_steps(**log.columns())
        return log

    def log(self) -> StepLog:
        """Return what the epoch's steps saw so far."""
        scalars = None if self._monitor is None else self._monitor.scalars()
        return self._log.read(scalars).after(self._after)

    def adam(self) -> AdamState:
        """Return Adam's state; the tensors are the engine's own."""
        weights = self.model.weights()
        states = {name: self.optimizer.state.get(weight, {}) for name, weight in weights.items()}
        first, second = (
            {name: state[key] if state else torch.zeros_like(weights[name]) for name, state in states.items()}
            for key in ("exp_avg", "exp_avg_sq")
        )
        return AdamState(max(int(state.get("step", 0)) for state in states.values()), first, second)

    def resume(self, state: AdamState) -> None:
        """Go on from a state that `adam` returned; the model's tables are set already."""
        for name, weight in self.model.weights().items():
            step = torch.tensor(float(state.step)) if isinstance(self.optimizer, torch.optim.Adam) else state.step
            self.optimizer.state[weight] = {
                "step": step,
                "exp_avg": state.first_moments[name].clone(),
                "exp_avg_sq": state.second_moments[name].clone(),
            }

    def close(self) -> None:
        """Nothing to let go of."""

    def _new_log(self, steps: int) -> "_DeviceLog":
        return _DeviceLog(steps, self.model.table_names(), self.model.global_mean.device)


def adam_of(model: CollaborativeFiltering, settings: TrainSettings) -> torch.optim.Optimizer:
    """Return torch's Adam over a model's tables: over all rows, or over those with a gradient."""
    if settings.adam == "all_rows":
        return torch.optim.Adam(model.parameters(), lr=settings.learning_rate, fused=True)
    return torch.optim.SparseAdam(list(model.parameters()), lr=settings.learning_rate)


class _DeviceLog:
    """What the steps of an epoch saw, kept on the device until it is asked for.

    In one tensor for the whole epoch: small ones that outlive their step would lie between the large
    ones that each step allocates and frees, and keep that memory from being used again.

    Args:
        steps: Most steps, S.
        tables: Names of the tables.
        device: Where they are done.
    """

    def __init__(self, steps: int, tables: tuple[str, ...], device: torch.device) -> None:
        self._sizes: list[int] = []
        self._tables, self._rows = tables, torch.empty(steps, 4 + len(tables), device=device)

    def add(self, size: int, loss: Loss, norms: GradNorms) -> None:
        """Keep one step's numbers; nothing is read back yet."""
        scalars = (loss.total.detach(), loss.mean_squared_error.detach(), norms.total, norms.coefficient)
        torch.cat([*(scalar.view(1) for scalar in scalars), norms.tables], out=self._rows[len(self._sizes)])
        self._sizes.append(size)

    def read(self, scalars: StepScalars | None) -> StepLog:
        """Read the steps so far back at once; `scalars` are what the monitor makes of them."""
        columns = self._rows[: len(self._sizes)].cpu().numpy().astype(np.float64)
        loss, squared_error, total, coefficient = columns[:, :4].T
        sizes, norms = np.array(self._sizes), columns[:, 4:]
        return StepLog(self._tables, sizes, loss, squared_error, total, coefficient, norms, scalars)
