"""The choice of a learning rate: a range test, and whole trainings at a few rates."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.errors import DataError, DivergedError
from cfmodel.model import CollaborativeFiltering
from cfmodel.training.batching.batches import DeviceRatings
from cfmodel.training.engines.autograd import build_torch_adam
from cfmodel.training.engines.step import update
from cfmodel.training.fit import fit
from cfmodel.training.fitting import SCORING_BLOCK
from cfmodel.training.planning.plan import TrainingPlan

#: From a rate without any effect to the highest one that the settings allow, 40 steps for each factor of ten.
LOWEST_RATE, HIGHEST_RATE, STEPS = 1e-5, 10.0, 241
#: Weight of the past in the smoothed loss: small, as the loss is on the same ratings at each step.
_MEMORY = 0.5
#: The test ends once the smoothed loss is this many times the best one, as in Lightning and fastai.
DIVERGED = 4.0
#: Share of the whole fall of the loss below which a rate is too low; see docs/gradients.md.
_TOO_LITTLE = 0.03
#: The suggestion is the rate of the lowest loss divided by this, as in fastai, for a training of so many epochs of so
#: many steps. Fewer of either need a higher rate; the powers were fitted to sweeps, see docs/gradients.md.
_SAFETY, _EPOCHS, _STEPS_PER_EPOCH = 10.0, 15, 256
_POWER_OF_EPOCHS, _POWER_OF_STEPS = 0.9, 0.42
#: Factor between the rates of two trainings, and the share by which the RMSE of two seeds differs.
_TRIAL_FACTOR, _NOISE = 2.0, 0.003


@dataclass(frozen=True)
class RangeStep:
    """One update of a range test.

    Attributes:
        step: Number of the update, from 1.
        learning_rate: Step size, in weight units a step.
        loss: Mean squared error on the validation ratings after it, as a share of the ratings' variance.
        smoothed_loss: Exponential running mean of the losses.
    """

    step: int
    learning_rate: float
    loss: float
    smoothed_loss: float


@dataclass(frozen=True)
class RangeTest:
    """The result of a range test; rates in weight units a step.

    Attributes:
        steps: The updates in order.
        too_low: Below this rate the loss hardly falls.
        suggestion: The rate to train with, for the number of steps planned.
        steepest: The rate at which the loss fell fastest: good for plain gradient descent, too high for Adam.
        too_high: From this rate on the loss rises.
    """

    steps: tuple[RangeStep, ...]
    too_low: float
    suggestion: float
    steepest: float
    too_high: float

    def zone_of(self, learning_rate: float) -> str:
        """Return `too low`, `just right` or `too high`."""
        if learning_rate < self.too_low:
            return "too low"
        return "too high" if learning_rate >= self.too_high else "just right"


def range_test(plan: TrainingPlan) -> Iterator[RangeStep]:
    """Train a new model, its biases from zero, with a learning rate that rises by the same factor at each step.

        learning_rate(step) = 1e-5 * (10 / 1e-5) ** ((step - 1) / 240)

    Biases in closed form would leave next to nothing to learn in so few steps. The loss is on the same ratings at
    every step: a batch's own loss varies more from batch to batch than from rate to rate. The test ends when the loss
    is four times its best.

    Args:
        plan: The plan; its rate, schedule and epochs are not used. The loss is on the first 16,384 warm ratings of
            its val, or on training ratings if there is none.

    Source: Smith, "Cyclical Learning Rates for Training Neural Networks" (2017), section 3.3.
    """
    plan = replace(plan, start={})
    settings, device, model = plan.settings, plan.device, plan.initial_model()
    optimizer, penalty = build_torch_adam(model, settings), plan.penalty_weights()
    ratings, sample = DeviceRatings.of(plan.train, device), _warm(plan.val, device)
    sample = sample if len(sample) else ratings[torch.arange(min(SCORING_BLOCK, len(ratings)), device=device)]
    rates = np.geomspace(LOWEST_RATE, HIGHEST_RATE, STEPS).tolist()
    smoothed, best = 0.0, math.inf
    for step, (learning_rate, batch) in enumerate(zip(rates, _batches(ratings, plan), strict=False), start=1):
        optimizer.param_groups[0]["lr"] = learning_rate
        update(model, optimizer, batch, penalty=penalty, max_grad_norm=settings.max_grad_norm)
        loss = _mean_squared_error(model, sample)
        smoothed = _MEMORY * smoothed + (1 - _MEMORY) * loss
        mean = smoothed / (1 - _MEMORY**step)  # corrects the bias of the start at zero
        if not math.isfinite(mean):
            return
        yield RangeStep(step, learning_rate, loss, mean)
        best = min(best, mean)
        if mean > DIVERGED * best:
            return


def zones_of(steps: tuple[RangeStep, ...], plan: TrainingPlan) -> RangeTest:
    """Return the three zones of a range test and the suggested rate.

        too high:    from the rate of the lowest loss on
        too low:     before the loss has fallen by 3 % of the way to its lowest
        suggestion:  a tenth of the rate of the lowest loss
                         * (15 / epochs)^0.9 * (256 / steps of an epoch)^0.42

    With Adam the best rate for a whole training is well below that of the steepest descent; docs/gradients.md
    compares the rules.

    Args:
        steps: The steps of the test.
        plan: The plan of the training to choose a rate for.

    Raises:
        DataError: The loss falls at no rate, for example because all ratings are equal.
    """
    rates = np.array([step.learning_rate for step in steps])
    losses = np.array([step.smoothed_loss for step in steps])
    lowest = int(losses.argmin()) if len(losses) else 0
    # Equal ratings leave the random start to unlearn, which is no reason for a rate.
    if lowest < 2 or plan.rating_range[0] == plan.rating_range[1]:
        raise DataError("the loss falls at no learning rate, so there is no suggestion; check that ratings differ")
    fall = (losses[0] - losses[: lowest + 1]) / (losses[0] - losses[lowest])
    slope = np.gradient(losses[: lowest + 1], np.log(rates[: lowest + 1]))
    return RangeTest(
        steps=steps,
        too_low=float(rates[np.argmax(fall >= _TOO_LITTLE)]),
        suggestion=min(float(rates[lowest] / _SAFETY) * _for_steps(plan), HIGHEST_RATE),
        steepest=float(rates[slope.argmin()]),
        too_high=float(rates[lowest]),
    )


@dataclass(frozen=True)
class RateTrial:
    """A whole training at one rate.

    Attributes:
        learning_rate: Step size at the start, in weight units a step.
        val_rmse: RMSE on val after the best epoch, in rating units.
        best_epoch: That epoch.
    """

    learning_rate: float
    val_rmse: float
    best_epoch: int


def try_rates(plan: TrainingPlan, first: float, *, most: int) -> Iterator[RateTrial]:
    """Train at a rate, at its double and its half, and on in the better direction until neither side is better.

    Args:
        plan: The plan, with val; its rate is not used.
        first: The rate to begin with.
        most: Most trainings.
    """
    found: dict[int, float] = {}  # RMSE by power of the factor
    while len(found) < most:
        best = min(found, key=found.__getitem__, default=0)
        power = next((at for at in (best, best + 1, best - 1) if at not in found), None)
        if power is None:
            return
        rate = first * _TRIAL_FACTOR**power
        if not LOWEST_RATE <= rate <= HIGHEST_RATE:
            found[power] = math.inf
            continue
        try:
            result = fit(plan.with_rate(rate))
        except DivergedError:
            found[power] = math.inf
            continue
        found[power] = result.best_val_rmse or math.inf
        yield RateTrial(rate, found[power], result.best_epoch)


def best_trial(trials: Sequence[RateTrial]) -> RateTrial:
    """Return the trial nearest to the first one among those that are within noise, 0.3 %, of the lowest RMSE."""
    lowest = min(trial.val_rmse for trial in trials)
    good = [trial for trial in trials if trial.val_rmse <= (1 + _NOISE) * lowest]
    return min(good, key=lambda trial: abs(math.log(trial.learning_rate / trials[0].learning_rate)))


def _for_steps(plan: TrainingPlan) -> float:
    """Return the factor of the rate for a training of other length than the usual one."""
    steps = max(1, len(plan.train) / plan.batch_size)
    factor: float = (_EPOCHS / plan.epochs) ** _POWER_OF_EPOCHS * (_STEPS_PER_EPOCH / steps) ** _POWER_OF_STEPS
    return factor


def _warm(val: RatingArrays | None, device: torch.device) -> DeviceRatings:
    nothing = np.empty(0, np.int32)
    ratings = DeviceRatings.of(val or RatingArrays(nothing, nothing, nothing.astype(np.float32)), device)
    warm = (ratings.user_idx >= 0) & (ratings.movie_idx >= 0)
    return ratings[warm.nonzero().squeeze(1)[:SCORING_BLOCK]]


def _batches(ratings: DeviceRatings, plan: TrainingPlan) -> Iterator[DeviceRatings]:
    """Yield the batches of training, epoch after epoch."""
    planned = plan.batches()
    order = torch.from_numpy(planned.order())
    for epoch in itertools.count(1):
        for places in planned.of(epoch):
            yield ratings[order[torch.from_numpy(places)].to(ratings.rating.device)]


@torch.no_grad()
def _mean_squared_error(model: CollaborativeFiltering, ratings: DeviceRatings) -> float:
    return float((ratings.rating - model.score(ratings.user_idx, ratings.movie_idx)).square().mean())
