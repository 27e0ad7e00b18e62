"""The cost of the monitor: seconds of training with it over seconds without it."""

import gc
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

import numpy as np
from speed_race import train
from speed_sets import RatingSet

from cfmodel.config import MonitorSettings, TrainSettings


@dataclass(frozen=True)
class Watching:
    """The cost of the monitor.

    Attributes:
        ratio: Seconds with the monitor over the mean of two trainings without it, median of the rounds.
        noise: Seconds of one training without it over those of another, range of the middle half.
        seconds: Median seconds without it.
        rounds: Number of rounds.
    """

    ratio: float
    noise: tuple[float, float]
    seconds: float
    rounds: int


def watch(ratings: RatingSet, line: TrainSettings, *, rounds: int) -> Watching:
    """Train once with the monitor and twice without, in rotating order, and compare within each round."""
    taken = np.array([list(_round(ratings, line, number)) for number in range(rounds)])
    on, off, again = taken.T
    low, high = np.quantile(again / off, (0.25, 0.75))
    return Watching(float(np.median(2 * on / (off + again))), (float(low), float(high)), median(off), rounds)


def _round(ratings: RatingSet, line: TrainSettings, number: int) -> Iterator[float]:
    seconds = {}
    for which in ((number + place) % 3 for place in range(3)):
        gc.collect()
        _, seconds[which], _ = train(ratings, line, monitor=MonitorSettings(enabled=which == 0))
    yield from (seconds[which] for which in range(3))
