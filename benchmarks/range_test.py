"""Rules that turn a range test into a learning rate, compared by whole trainings with a grid of rates.

    CFMODEL_DATA_DIR=folder/that/holds/ml-100k/and/ml-latest-small python benchmarks/range_test.py

It uses the training file of ML-100K's fold u1, ml-latest-small and generated ratings of several sizes, one of them also
on a scale twenty times as wide. The figure is the RMSE on val after a whole training, as a percentage above the best
rate of the grid.
"""

import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from machine import describe_machine

from cfmodel.config import IngestSettings, SplitSettings, TrainSettings
from cfmodel.data.ingest.ingest import ingest
from cfmodel.data.splitting.parts import RatingArrays, load_part, load_vocabularies
from cfmodel.data.splitting.split import split
from cfmodel.training.fit import fit
from cfmodel.training.planning.plan import TrainingPlan
from cfmodel.training.range_test import RangeTest, range_test, zones_of

GRID = (0.0003, 0.001, 0.002, 0.003, 0.005, 0.008, 0.012, 0.02, 0.05)
SEEDS = (0, 1, 2)
SETS = {
    "ml-100k u1": ("ml-100k/u1.base", 1.0),
    "ml-latest-small": ("ml-latest-small/ratings.csv", 1.0),
    "synthetic, 8 thousand": ("synthetic:users=300,movies=100,ratings=8000", 1.0),
    "synthetic, 100 thousand": ("synthetic:users=1000,movies=500,ratings=100000", 1.0),
    "synthetic, 100 thousand, scale x 20": ("synthetic:users=1000,movies=500,ratings=100000", 20.0),
    "synthetic, 400 thousand": ("synthetic:users=2000,movies=1000,ratings=400000", 1.0),
}


class Ratings:
    """One set of ratings, split and loaded."""

    def __init__(self, source: str, scale: float, folder: Path) -> None:
        made = split(ingest(source, IngestSettings(), folder=folder), SplitSettings(), folder=folder)
        users, movies = load_vocabularies(made)
        self.sizes = {"num_users": len(users), "num_movies": len(movies)}
        self.train, self.val = (
            _scaled(load_part(made, part, users=users, movies=movies), scale) for part in ("train", "val")
        )

    def rmse(self, learning_rate: float) -> float:
        """Return the best RMSE on val of a whole training with this rate."""
        settings = TrainSettings(learning_rate=min(learning_rate, 10.0))
        found = fit(TrainingPlan.of(self.train, self.val, settings=settings, device=torch.device("cpu"), **self.sizes))
        return found.best_val_rmse or 0.0

    def judged(self, seed: int) -> RangeTest:
        """Return the range test with one seed."""
        settings = TrainSettings(seed=seed)
        return zones_of(
            tuple(
                range_test(
                    TrainingPlan.of(self.train, self.val, settings=settings, device=torch.device("cpu"), **self.sizes)
                )
            )
        )


def _scaled(ratings: RatingArrays, scale: float) -> RatingArrays:
    return replace(ratings, rating=ratings.rating * scale)


def report(name: str, ratings: Ratings) -> None:
    """Print the row of one set: the best rate of the grid, and the rates of each rule with their errors."""
    grid = {rate: ratings.rmse(rate) for rate in GRID}
    best = min(grid, key=grid.__getitem__)
    judged = [ratings.judged(seed) for seed in SEEDS]
    rules = {
        "lowest / 10": [test.suggestion for test in judged],
        "steepest": [test.steepest for test in judged],
        "too low": [test.too_low for test in judged],
        "too high": [test.too_high for test in judged],
    }
    cells = [f"{best:.4g} ({grid[best]:.4f})"]
    for rates in rules.values():
        worst = max(ratings.rmse(rate) for rate in (min(rates), max(rates)))
        cells.append(f"{min(rates):.2g} to {max(rates):.2g} ({100 * (worst / grid[best] - 1):+.1f} %)")
    print(f"| {name} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Print the table, as Markdown."""
    folder = Path(os.environ.get("CFMODEL_DATA_DIR", ""))
    if "CFMODEL_DATA_DIR" not in os.environ or not (folder / "ml-100k" / "u1.base").is_file():
        sys.exit("range_test: set CFMODEL_DATA_DIR to the folder that holds ml-100k/ and ml-latest-small/")
    torch.set_num_threads(1)
    print(describe_machine(), end="\n\n", flush=True)
    print("| ratings | best of the grid | lowest / 10 | steepest | too low | too high |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        for name, (source, scale) in SETS.items():
            where = source if source.startswith("synthetic") else str(folder / source)
            report(name, Ratings(where, scale, Path(temporary)))


if __name__ == "__main__":
    main()
