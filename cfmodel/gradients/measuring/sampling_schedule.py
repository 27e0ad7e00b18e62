"""The sampling schedule: intervals between measurements, chosen once to fit a time budget."""

from dataclasses import dataclass

from cfmodel.config import MonitorSettings
from cfmodel.gradients.measuring.sampled_steps import (
    CALIBRATION_STEPS,
    choose_interval,
    is_milestone,
    next_sampled,
    on_grid,
)

#: Training ratings (a set of a million less the held-out ones) from which the budget is a share of the training
#: time; below, it is a fixed time.
LARGE = 800_000
#: Share of the budget that is spent by plan after the first steps, and after the first epochs; the rest is a reserve.
_PLANNED, _PLANNED_LATER = 0.75, 0.85
#: Epochs after which the tables are always measured, which shows the cost of measuring them.
FIRST_EPOCHS = 2
#: The fit's share of a fixed budget if a refit follows.
_FIT_SHARE = 0.6
#: The sampled steps' share of what the cost of all steps leaves of the budget; the tables have the rest.
_SAMPLES_SHARE = 0.35


@dataclass(frozen=True)
class MonitorPlan:
    """The monitor's view of a phase of training.

    Attributes:
        phase: `fit` or `refit`.
        epochs: Most epochs.
        batch_size: Ratings in a step.
        steps: Steps of an epoch.
        learning_rate: Step size at the start.
        max_grad_norm: Norm above which gradients are scaled down.
        regularization: Weight of the penalty.
        phases: Phases of the run, which share a fixed budget.
        all_rows: Whether a step also moves rows that are not in its batch.
    """

    phase: str
    epochs: int
    batch_size: int
    steps: int
    learning_rate: float
    max_grad_norm: float
    regularization: float
    phases: int = 1
    all_rows: bool = True


@dataclass
class MeasuredCosts:
    """Seconds as measured so far; the names are those in checkpoints.

    Attributes:
        step: Per step, to record its scalars.
        sample: Per sampled step.
        epoch: Per epoch, to measure the tables and to count the rows of its steps.
        training: Per step, for the update without recording.
    """

    step: float = 0.0
    sample: float = 0.0
    epoch: float = 0.0
    training: float = 0.0


class SamplingSchedule:
    """Decides which steps are sampled, and after which epochs the tables are measured.

    Args:
        num_ratings: Training ratings.
        plan: The phase of training.
        settings: The budget, or a fixed interval.
    """

    def __init__(self, num_ratings: int, plan: MonitorPlan, settings: MonitorSettings) -> None:
        self._large, self._plan, self._settings = num_ratings >= LARGE, plan, settings
        self.planned_steps = plan.steps * plan.epochs
        self.costs = MeasuredCosts()
        self.sample_every = settings.sample_every
        self.epoch_every = 1 if settings.sample_every else None

    def next_sample(self, step: int, *, end: int | None = None) -> int | None:
        """Return the first sampled step after this one; None: there is none yet.

        Args:
            step: Number of a step, from 1; 0: before the first step.
            end: Last step of the epoch, if `samples_end_of` the epoch.
        """
        return next_sampled(step, self.sample_every, end=end)

    def samples_end_of(self, epoch: int) -> bool:
        """Return whether the last step of an epoch is sampled: in epochs 1, 2, 4, 8, ... and the last.

        Runs of any batch size and interval have these samples in common.
        """
        return is_milestone(epoch) or epoch == self._plan.epochs

    def measures_tables(self, epoch: int) -> bool:
        """Return whether the tables are measured after an epoch, and the rows of its steps counted."""
        return epoch <= FIRST_EPOCHS or on_grid(epoch, self.epoch_every)

    def must_choose_after(self, step: int) -> bool:
        """Return whether the interval between samples must be chosen after this step."""
        return self.sample_every is None and step >= CALIBRATION_STEPS

    def choose_sample_interval(self, *, spent: float) -> None:
        """Choose the interval between sampled steps for the rest of the phase.

        Args:
            spent: Seconds spent on recording so far.
        """
        left = _PLANNED * self._budget() - spent - self.planned_steps * self.costs.step
        self.sample_every = choose_interval(
            self.planned_steps,
            cost=self.costs.sample,
            budget=_SAMPLES_SHARE * left - self._ends_after(0) * self.costs.sample,
            smallest=CALIBRATION_STEPS,
        )

    def choose_epoch_interval(self, *, spent: float, step: int) -> None:
        """Choose the interval between measurements of the tables, from what the samples leave of the budget.

        Args:
            spent: Seconds spent on recording so far.
            step: Updates done.
        """
        steps = self.planned_steps - step
        samples = self._ends_after(FIRST_EPOCHS) + (steps // self.sample_every if self.sample_every else 0)
        left = _PLANNED_LATER * self._budget() - spent - steps * self.costs.step - samples * self.costs.sample
        self.epoch_every = choose_interval(self._plan.epochs - FIRST_EPOCHS, cost=self.costs.epoch, budget=left)

    def _ends_after(self, epoch: int) -> int:
        return sum(self.samples_end_of(later) for later in range(epoch + 1, self._plan.epochs + 1))

    def _budget(self) -> float:
        """Return the seconds allowed for recording this phase."""
        if self._large:
            return self._settings.budget_fraction * self.planned_steps * self.costs.training
        shares = {"fit": _FIT_SHARE, "refit": 1 - _FIT_SHARE}
        return self._settings.budget_seconds * (shares[self._plan.phase] if self._plan.phases > 1 else 1.0)
