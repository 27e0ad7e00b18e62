"""How the learning rate falls."""

import math

from cfmodel.config import TrainSettings


def learning_rate_at(progress: float, settings: TrainSettings) -> float:
    """Return the step size at a point of the training, in weight units a step.

        constant: peak      linear: peak * (1 - progress)      cosine: peak * (1 + cos(pi * progress)) / 2

    Args:
        progress: Share of all planned updates already done, in [0, 1].
        settings: Name the schedule and its peak, `learning_rate`.
    """
    if settings.schedule == "linear":
        return settings.learning_rate * (1 - progress)
    if settings.schedule == "cosine":
        return settings.learning_rate * (1 + math.cos(math.pi * progress)) / 2
    return settings.learning_rate
