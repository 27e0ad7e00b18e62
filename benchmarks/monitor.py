"""The cost of the monitor: training with and without it, in turn.

    python benchmarks/monitor.py [SIZE ...] [--threads N] [--rounds N]

A run is a fit, for some sizes with a refit. Each round has one run with the monitor and two without, in rotating order,
so that a busy phase of the machine slows all of them. `on` is with over without. `noise` is without over without: the
range of the middle half of the differences between two equal trainings. Both compare the processor time of the training
thread, which excludes other programs. With several threads, where that thread waits for others, they compare wall time.
Seconds are wall time. `own` is the cost that the monitor itself records, over all phases.
"""

import argparse
import gc
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np
import torch
from machine import describe_machine

from cfmodel.config import MonitorSettings, TrainSettings
from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.gradients.recording.gradient_records import MonitorCost
from cfmodel.training.epoch_records import Phase
from cfmodel.training.fit import fit
from cfmodel.training.planning.plan import TrainingPlan


@dataclass(frozen=True)
class Size:
    """A size of generated ratings, and the number of epochs and rounds."""

    ratings: int
    users: int
    movies: int
    epochs: int
    rounds: int
    refit: bool


SIZES = {
    "100k": Size(100_000, 943, 1_682, epochs=15, rounds=21, refit=True),
    "1m": Size(1_000_000, 6_040, 3_706, epochs=15, rounds=21, refit=False),
    "25m": Size(25_000_000, 162_541, 59_047, epochs=15, rounds=3, refit=False),
}


#: Ratings in the warm-up training.
WARM_UP = 100_000
COLUMNS = ("user_idx", "movie_idx", "rating")


@dataclass(frozen=True)
class Run:
    """Wall seconds of one run, the seconds to compare, and the monitor's own cost of each phase."""

    wall: float
    compared: float
    costs: tuple[MonitorCost, ...]

    @property
    def own(self) -> float:
        """Seconds of recording, over all phases."""
        return sum(cost.seconds for cost in self.costs)


def generated(size: Size) -> RatingArrays:
    """Return ratings with users and movies of uneven popularity, as in real data."""
    rng = np.random.default_rng(0)
    user = (rng.random(size.ratings) ** 2 * size.users).astype(np.int32)
    movie = (rng.random(size.ratings) ** 3 * size.movies).astype(np.int32)
    return RatingArrays(user, movie, rng.integers(1, 11, size.ratings).astype(np.float32) / 2)


def run(ratings: RatingArrays, size: Size, *, watched: bool) -> Run:
    """Train once and measure."""
    phases: Sequence[Phase] = ("fit", "refit") if size.refit else ("fit",)
    settings = TrainSettings(epochs=size.epochs, refit=size.refit)
    records: list[object] = []
    gc.collect()
    clock = time.thread_time if torch.get_num_threads() == 1 else time.perf_counter
    wall, began = time.perf_counter(), clock()
    for phase in phases:
        fit(
            TrainingPlan.of(
                ratings,
                None,
                num_users=size.users,
                num_movies=size.movies,
                settings=settings,
                device=torch.device("cpu"),
                phase=phase,
                monitor=MonitorSettings(enabled=watched),
            ),
            on_record=records.append,
        )
    costs = tuple(record for record in records if isinstance(record, MonitorCost))
    return Run(time.perf_counter() - wall, clock() - began, costs)


def round_of(ratings: RatingArrays, size: Size, number: int) -> tuple[Run, Run, Run]:
    """Measure one run with the monitor and two without, in an order that rotates with the round."""
    order = [(number + place) % 3 for place in range(3)]
    runs = {which: run(ratings, size, watched=which == 0) for which in order}
    return runs[0], runs[1], runs[2]


def measure(name: str, size: Size) -> str:
    """Return one size's line."""
    ratings = generated(size)
    # The first training of a process allocates memory, so it is not compared.
    run(replace(ratings, **{column: getattr(ratings, column)[:WARM_UP] for column in COLUMNS}), size, watched=True)
    on, off, again = zip(*(round_of(ratings, size, number) for number in range(size.rounds)), strict=True)
    ratios = [2 * a.compared / (b.compared + c.compared) - 1 for a, b, c in zip(on, off, again, strict=True)]
    low, high = np.quantile([c.compared / b.compared - 1 for b, c in zip(off, again, strict=True)], (0.25, 0.75))
    fraction = median(each.own / sum(cost.training_seconds for cost in each.costs) for each in on)
    fitted = [each.costs[0] for each in on]
    return (
        f"{name:>5} {size.epochs:>6} {size.rounds:>6} {median(each.wall for each in off):>9.2f} "
        f"{median(each.wall for each in on):>9.2f} {median(ratios):>+7.2%} {low:>+7.2%}..{high:<+7.2%} "
        f"{fraction:>7.2%} "
        f"{median(each.own for each in on) * 1e3:>8.1f} {_few(cost.sample_every for cost in fitted):>11} "
        f"{_few(cost.epoch_every for cost in fitted):>6} {_few(cost.samples for cost in fitted):>8}"
    )


def _few(values: object) -> str:
    return "/".join(str(value) for value in sorted(set(values)))  # type: ignore[call-overload]


def main() -> None:
    """Print a line per size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", nargs="*", metavar="SIZE", help=f"any of {', '.join(SIZES)}; default: all")
    parser.add_argument("--threads", type=int, default=1, help="threads to train with")
    parser.add_argument("--rounds", type=int, help="rounds of three trainings; default: by size")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print(describe_machine())
    print(
        f"{'size':>5} {'epochs':>6} {'rounds':>6} {'off (s)':>9} {'on (s)':>9} {'on':>7} {'noise':>16} {'own':>7} "
        f"{'own (ms)':>8} {'every':>11} {'epochs':>6} {'samples':>8}"
    )
    for name in given.sizes or SIZES:
        size = SIZES[name]
        print(measure(name, replace(size, rounds=given.rounds or size.rounds)), flush=True)


if __name__ == "__main__":
    main()
