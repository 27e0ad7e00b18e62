"""How often to look closely: chosen once, from what looking costs and what it may cost."""

from dataclasses import dataclass

from cfmodel.config import MonitorSettings
from cfmodel.gradients.measuring.sampled_steps import CALIBRATION_STEPS, choose_every, is_mark, next_sampled, on_grid

#: Ratings to learn from, those of a set of a million less what is held out, from which a share of the training
#: time is the budget, and below which a fixed time is.
LARGE = 800_000
#: Share of the budget that is planned for when the first steps are done, and when the first epochs are; the rest
#: is for what those did not show.
PLANNED, PLANNED_LATER = 0.75, 0.85
#: Epochs whose tables are looked at whatever the interval; they say what a look costs.
FIRST_EPOCHS = 2
#: The fit's share of a fixed budget where a refit, over the same ground, takes the rest.
FIT_SHARE = 0.6
#: Share for samples of what the steps leave; the epochs' looks have the rest.
SAMPLES_SHARE = 0.35


@dataclass(frozen=True)
class MonitorPlan:
    """What a phase of training is about to do.

    Attributes:
        phase: `fit` or `refit`.
        epochs: Most passes over the ratings.
        batch_size: Ratings in a step.
        steps: Steps of an epoch.
        learning_rate: Step size at the start.
        max_grad_norm: Norm above which gradients are scaled down.
        regularization: Weight of the penalty on the embeddings.
        phases: Trainings in the run, which share a fixed budget.
        all_rows: Whether a step moves rows that its batch did not look up, too.
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
class Costs:
    """Seconds, as measured on the way.

    Attributes:
        step: To record one step's scalars.
        sample: To look at one step closely.
        epoch: To look at the tables once and to count the rows of an epoch's steps.
        training: On one step's update, recording not included.
    """

    step: float = 0.0
    sample: float = 0.0
    epoch: float = 0.0
    training: float = 0.0


class Pace:
    """Says which steps and epochs are looked at closely.

    Args:
        num_ratings: Training ratings.
        plan: What the phase is about to do.
        settings: The budget, or an interval that is set.
    """

    def __init__(self, num_ratings: int, plan: MonitorPlan, settings: MonitorSettings) -> None:
        self._large, self._plan, self._settings = num_ratings >= LARGE, plan, settings
        self.planned_steps = plan.steps * plan.epochs
        self.costs = Costs()
        self.sample_every = settings.sample_every
        self.epoch_every = 1 if settings.sample_every else None

    def next_sample(self, step: int, *, end: int | None = None) -> int | None:
        """Return the first step after this one that is looked at closely; None: there is none yet.

        Args:
            step: Number of a step, from 1; 0: none was done.
            end: Last step of the epoch, where `ends` says that it is looked at.
        """
        return next_sampled(step, self.sample_every, end=end)

    def ends(self, epoch: int) -> bool:
        """Say whether the last step of an epoch is looked at, whatever the interval: 1, 2, 4, 8, ... and the last.

        Runs of any batch size, and so of any interval, have those in common.
        """
        return is_mark(epoch) or epoch == self._plan.epochs

    def looks_after(self, epoch: int) -> bool:
        """Say whether the tables are looked at, and rows counted, in an epoch."""
        return epoch <= FIRST_EPOCHS or on_grid(epoch, self.epoch_every)

    def is_open(self, step: int) -> bool:
        """Say whether the interval between samples is to be chosen after this step."""
        return self.sample_every is None and step >= CALIBRATION_STEPS

    def choose_samples(self, *, spent: float) -> None:
        """Choose the interval between samples, for good, leaving the epochs' looks their share.

        Args:
            spent: Seconds spent on recording so far.
        """
        left = PLANNED * self._budget() - spent - self.planned_steps * self.costs.step
        self.sample_every = choose_every(
            self.planned_steps,
            cost=self.costs.sample,
            budget=SAMPLES_SHARE * left - self._ends_after(0) * self.costs.sample,
            smallest=CALIBRATION_STEPS,
        )

    def choose_epochs(self, *, spent: float, step: int) -> None:
        """Choose the interval between looks at the tables, for good, from what the samples leave.

        Args:
            spent: Seconds spent on recording so far.
            step: Updates done.
        """
        steps = self.planned_steps - step
        samples = self._ends_after(FIRST_EPOCHS) + (steps // self.sample_every if self.sample_every else 0)
        left = PLANNED_LATER * self._budget() - spent - steps * self.costs.step - samples * self.costs.sample
        self.epoch_every = choose_every(self._plan.epochs - FIRST_EPOCHS, cost=self.costs.epoch, budget=left)

    def _ends_after(self, epoch: int) -> int:
        return sum(self.ends(later) for later in range(epoch + 1, self._plan.epochs + 1))

    def _budget(self) -> float:
        """Return the seconds that recording this phase may take."""
        if self._large:
            return self._settings.budget_fraction * self.planned_steps * self.costs.training
        shares = {"fit": FIT_SHARE, "refit": 1 - FIT_SHARE}
        return self._settings.budget_seconds * (shares[self._plan.phase] if self._plan.phases > 1 else 1.0)
