"""How often to look closely: chosen once, from what looking costs and what it may cost."""

from dataclasses import dataclass

from cfmodel.config import MonitorSettings
from cfmodel.gradients.grid import CALIBRATION_STEPS, choose_every, on_grid

#: Ratings from which a share of the training time is the budget, and below which a fixed time is.
LARGE = 1_000_000
#: Share of the budget that is planned for; the rest is for a machine that is busier later.
PLANNED = 0.7
#: Share of what the steps leave that the epochs' looks may take.
EPOCHS_SHARE = 0.5


@dataclass(frozen=True)
class Plan:
    """What a phase of training is about to do.

    Attributes:
        phase: `fit` or `refit`.
        epochs: Most passes over the ratings.
        batch_size: Ratings in a step.
        learning_rate: Step size at the start.
        max_grad_norm: Norm above which gradients are scaled down.
        regularization: Weight of the penalty on the embeddings.
        phases: Trainings in the run, which share a fixed budget.
    """

    phase: str
    epochs: int
    batch_size: int
    learning_rate: float
    max_grad_norm: float
    regularization: float
    phases: int = 1


@dataclass(frozen=True)
class Costs:
    """Seconds, as measured in the first steps.

    Attributes:
        spent: On recording so far.
        step: To record one step's scalars.
        rows: To count one step's rows.
        sample: To look at one step closely.
        epoch: To look at the tables once.
        training: On one step's update, recording not included.
    """

    spent: float
    step: float
    rows: float
    sample: float
    epoch: float
    training: float


class Pace:
    """Says which steps and epochs are looked at closely.

    Args:
        num_ratings: Training ratings.
        plan: What the phase is about to do.
        settings: The budget, or an interval that is set.
    """

    def __init__(self, num_ratings: int, plan: Plan, settings: MonitorSettings) -> None:
        self._large, self._plan, self._settings = num_ratings >= LARGE, plan, settings
        self.steps_per_epoch = -(-num_ratings // plan.batch_size)
        self.planned_steps = self.steps_per_epoch * plan.epochs
        self.sample_every = settings.sample_every
        self.epoch_every = 1

    def samples(self, step: int) -> bool:
        """Say whether a step is looked at closely."""
        return on_grid(step, self.sample_every)

    def looks_after(self, epoch: int) -> bool:
        """Say whether the tables are looked at, and rows counted, in an epoch."""
        return on_grid(epoch, self.epoch_every)

    def is_open(self, step: int) -> bool:
        """Say whether the interval is to be chosen after this step."""
        return self.sample_every is None and step >= CALIBRATION_STEPS

    def choose(self, costs: Costs) -> None:
        """Choose both intervals, for good: first the epochs', then the steps' with what is left."""
        left = PLANNED * self.budget(costs) - costs.spent - self.planned_steps * costs.step
        epoch = costs.epoch + self.steps_per_epoch * costs.rows
        self.epoch_every = choose_every(self._plan.epochs, cost=epoch, budget=EPOCHS_SHARE * left)
        left -= sum(self.looks_after(number) for number in range(1, self._plan.epochs + 1)) * epoch
        self.sample_every = choose_every(
            self.planned_steps, cost=costs.sample, budget=left, smallest=CALIBRATION_STEPS
        )

    def budget(self, costs: Costs) -> float:
        """Return the seconds that recording this phase may take."""
        if self._large:
            return self._settings.budget_fraction * self.planned_steps * costs.training
        return self._settings.budget_seconds / self._plan.phases
