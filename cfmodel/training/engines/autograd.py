"""The reference engine, on any device: the textbook's loss, differentiated by autograd."""

import numpy as np
import torch

from cfmodel.config import TrainSettings
from cfmodel.gradients.measuring.monitor import Monitor
from cfmodel.gradients.measuring.step_scalars import StepScalars
from cfmodel.model import CollaborativeFiltering
from cfmodel.training.batching.batches import Batches, DeviceRatings
from cfmodel.training.engines.protocol import REPORTS_PER_EPOCH, AdamState, OnProgress
from cfmodel.training.engines.step import GradNorms, Loss, update
from cfmodel.training.engines.step_log import NO_STEPS, StepLog
from cfmodel.training.planning.plan import TrainingPlan
from cfmodel.training.planning.schedule import learning_rates


class AutogradEngine:
    """Trains a model in place on its own device; the reference in the tests of the other engines.

    Args:
        model: Untrained or loaded.
        batches: Batches of the training ratings.
        plan: Ratings, Adam, schedule, penalty and clipping.
    """

    name = "autograd"

    def __init__(self, model: CollaborativeFiltering, batches: Batches, plan: TrainingPlan) -> None:
        self.model, self.learning_rate = model, plan.settings.learning_rate
        self._plan, self._batches = plan, batches
        self._ratings = DeviceRatings.of(plan.train, model.global_mean.device)[torch.from_numpy(batches.order())]
        self._penalty = plan.penalty_weights()
        self.optimizer = build_torch_adam(model, plan.settings)
        self._earlier, self._log = NO_STEPS, self._new_log(0)
        self._monitor: Monitor | None = None

    @staticmethod
    def cannot_train(model: type[CollaborativeFiltering]) -> str | None:  # noqa: ARG004 - an engine's signature
        """Return None: autograd differentiates every model."""
        return None

    def run_epoch(
        self,
        epoch: int,
        *,
        on_progress: OnProgress,
        monitor: Monitor | None = None,
        earlier: StepLog = NO_STEPS,
    ) -> StepLog:
        """Update the model once per batch, each rating in exactly one batch, and return the log of the steps."""
        order = [torch.from_numpy(batch).to(self._ratings.rating.device) for batch in self._batches.of(epoch)]
        steps, done = len(order), len(earlier)
        ordered = self._ratings[torch.cat(order[done:])]
        sizes = [len(batch) for batch in order[done:]]
        self._earlier, self._log, self._monitor = earlier, self._new_log(len(sizes)), monitor
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
                penalty=self._penalty,
                max_grad_norm=self._plan.settings.max_grad_norm,
                probe=monitor.probe(self.learning_rate) if monitor is not None else None,
            )
            self._log.add(len(batch), loss, norms)
            if monitor is not None:
                monitor.add_errors(loss.error.detach())
            if (step + 1) * REPORTS_PER_EPOCH // steps > step * REPORTS_PER_EPOCH // steps:
                on_progress((step + 1) / steps)
        log = self.log()
        if monitor is not None:
            monitor.end_steps(**log.columns())
        return log

    def log(self) -> StepLog:
        """Return the log of the epoch's steps so far."""
        scalars = None if self._monitor is None else self._monitor.scalars()
        return self._log.read(scalars).after(self._earlier)

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
        """Continue from a state that `adam` returned; the model's tables must be set already."""
        for name, weight in self.model.weights().items():
            step = torch.tensor(float(state.step)) if isinstance(self.optimizer, torch.optim.Adam) else state.step
            self.optimizer.state[weight] = {
                "step": step,
                "exp_avg": state.first_moments[name].clone(),
                "exp_avg_sq": state.second_moments[name].clone(),
            }

    def close(self) -> None:
        """Do nothing: there are no threads."""

    def _new_log(self, steps: int) -> "_DeviceLog":
        return _DeviceLog(steps, self.model.table_names(), self.model.global_mean.device)


def build_torch_adam(model: CollaborativeFiltering, settings: TrainSettings) -> torch.optim.Optimizer:
    """Return torch's Adam of all rows, or of the rows with a gradient, as the settings say."""
    if settings.adam == "all_rows":
        return torch.optim.Adam(model.parameters(), lr=settings.learning_rate, fused=True)
    return torch.optim.SparseAdam(list(model.parameters()), lr=settings.learning_rate)


class _DeviceLog:
    """The log of an epoch's steps, on the device until `read`.

    One tensor holds the whole epoch: small tensors that outlive their step would fragment the memory that each
    step allocates and frees.

    Args:
        steps: Most steps, S.
        tables: Names of the tables.
        device: Where the steps run.
    """

    def __init__(self, steps: int, tables: tuple[str, ...], device: torch.device) -> None:
        self._sizes: list[int] = []
        self._tables, self._rows = tables, torch.empty(steps, 4 + len(tables), device=device)

    def add(self, size: int, loss: Loss, norms: GradNorms) -> None:
        """Add one step, without waiting for the device."""
        scalars = (loss.total.detach(), loss.mean_squared_error.detach(), norms.total, norms.coefficient)
        torch.cat([*(scalar.view(1) for scalar in scalars), norms.tables], out=self._rows[len(self._sizes)])
        self._sizes.append(size)

    def read(self, scalars: StepScalars | None) -> StepLog:
        """Return the steps so far, with the monitor's scalars."""
        columns = self._rows[: len(self._sizes)].cpu().numpy().astype(np.float64)
        loss, squared_error, total, coefficient = columns[:, :4].T
        sizes, norms = np.array(self._sizes), columns[:, 4:]
        return StepLog(self._tables, sizes, loss, squared_error, total, coefficient, norms, scalars)
