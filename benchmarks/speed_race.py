"""Races: seconds of training to another system's test RMSE, theirs and ours in turn in one process."""

import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import numpy as np
import torch
from speed_sets import RatingSet
from speed_system import Peer, Point
from speed_textbook import predict_of

from cfmodel.config import MonitorSettings, TrainSettings
from cfmodel.training.fit import FitResult, fit
from cfmodel.training.planning.plan import TrainingPlan

#: Seconds above which a system is timed once.
LONG = 8.0
#: Limit on the search for a system's best number of epochs, in seconds of its training.
LONGEST = 600.0


@dataclass(frozen=True)
class Reached:
    """The result of a training.

    Attributes:
        epochs: Passes over the training ratings.
        seconds: Seconds, the median of `times` trainings.
        rmse: Test RMSE, the median if trainings differ.
        times: Number of trainings.
    """

    epochs: int
    seconds: float
    rmse: float
    times: int = 1


@dataclass(frozen=True)
class Race:
    """Their training and ours to the same test RMSE.

    Attributes:
        peer: The other system.
        theirs: Their result.
        ours: Our result with `line`.
        line: Our settings.
    """

    peer: Peer
    theirs: Reached
    ours: Reached
    line: TrainSettings

    @property
    def ratio(self) -> float:
        """Our seconds over theirs; infinite where our test RMSE is above theirs."""
        return self.ours.seconds / self.theirs.seconds if self.ours.rmse <= self.theirs.rmse else float("inf")


def train(
    ratings: RatingSet, line: TrainSettings, *, monitor: MonitorSettings = MonitorSettings()
) -> tuple[FitResult, float, list[Any]]:
    """Train ours from arrays in memory; return the result, the seconds and every record."""
    records: list[Any] = []
    gc.collect()
    started = time.perf_counter()
    result = fit(
        TrainingPlan.of(
            ratings.train,
            None,
            num_users=ratings.num_users,
            num_movies=ratings.num_movies,
            settings=line,
            device=torch.device("cpu"),
            monitor=monitor,
        ),
        on_record=records.append,
    )
    return result, time.perf_counter() - started, records


def ours(ratings: RatingSet, line: TrainSettings) -> Reached:
    """Train ours once with the monitor on."""
    result, seconds, _ = train(ratings, line)
    return Reached(result.epochs, seconds, ratings.rmse(predict_of(result.model)))


def best_of(peer: Peer, data: Any, ratings: RatingSet) -> Reached:
    """Train a system until its test RMSE stops falling, and return the lowest."""
    best: Reached | None = None
    worse = 0
    for reached in _reached(peer.train(data, None), ratings):
        worse = 0 if best is None or reached.rmse < best.rmse else worse + 1
        best = reached if worse == 0 else best
        if worse == peer.patience or reached.seconds > LONGEST:
            break
    assert best is not None
    return best


def races(
    ratings: RatingSet,
    entries: dict[Peer, TrainSettings],
    *,
    repeats: int,
    tell: Callable[[str], None],
) -> list[Race]:
    """Race against several systems: each repeat trains every system, and after each of them ours.

    Args:
        ratings: Training and test ratings of all.
        entries: The systems, each with our settings against it.
        repeats: Trainings of each; slow systems train once.
        tell: Receives progress lines.
    """
    data = {peer: peer.prepare(ratings) for peer in entries}
    best = {}
    for peer in entries:
        best[peer] = best_of(peer, data[peer], ratings)
        tell(f"{peer.name}: {best[peer].rmse:.4f} after {best[peer].epochs} epochs, {best[peer].seconds:.2f} s")
    # The first training is a warm-up, unless it takes long.
    theirs: dict[Peer, list[Reached]] = {peer: [best[peer]] if best[peer].seconds > LONG else [] for peer in entries}
    mine: dict[Peer, list[Reached]] = {peer: [] for peer in entries}
    for _ in range(repeats):
        for peer, line in entries.items():
            if best[peer].seconds <= LONG:
                gc.collect()
                *_, last = _reached(peer.train(data[peer], best[peer].epochs), ratings, last=best[peer].epochs)
                theirs[peer].append(last)
            mine[peer].append(ours(ratings, line))
    return [Race(peer, _median(theirs[peer]), _median(mine[peer]), line) for peer, line in entries.items()]


def warm_up(ratings: RatingSet, lines: list[TrainSettings]) -> None:
    """Compile the code for these settings on the first few ratings."""
    few = {name: getattr(ratings.train, name)[:10_000] for name in ("user_idx", "movie_idx", "rating")}
    for line in lines:
        train(replace(ratings, train=replace(ratings.train, **few)), line.model_copy(update={"epochs": 1}))


def _reached(points: Iterator[Point], ratings: RatingSet, *, last: int | None = None) -> Iterator[Reached]:
    """Score each point, or only the one after `last` epochs."""
    for point in points:
        if last is None or point.epochs == last:
            yield Reached(point.epochs, point.seconds, ratings.rmse(point.predict))


def _median(runs: list[Reached]) -> Reached:
    rmse = float(np.median([run.rmse for run in runs]))
    return Reached(runs[0].epochs, median(run.seconds for run in runs), rmse, len(runs))
