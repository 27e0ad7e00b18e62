"""The learning-rate schedules."""

import math

from cfmodel.config import TrainSettings


def learning_rate_at(progress: float, settings: TrainSettings) -> float:
    """Return the step size at a point of the training, in weight units a step.

        constant: peak      linear: peak * (1 - progress)      cosine: peak * (1 + cos(pi * progress)) / 2

    Args:
        progress: Share of all planned updates that are done, in [0, 1].
        settings: The schedule and its peak, `learning_rate`.
    """
    if settings.schedule == "linear":
        return settings.learning_rate * (1 - progress)
    if settings.schedule == "cosine":
        return settings.learning_rate * (1 + math.cos(math.pi * progress)) / 2
    return settings.learning_rate


def learning_rates(epoch: int, steps: int, settings: TrainSettings) -> list[float]:
    """Return the step size of each of an epoch's steps.

    Args:
        epoch: Number of the epoch, from 1.
        steps: Steps of the epoch.
        settings: The schedule, its peak and the number of epochs.
    """
    return [learning_rate_at((epoch - 1 + step / steps) / settings.epochs, settings) for step in range(steps)]
