"""Seconds of training with each CPU engine, for several sizes, dimensions and both kinds of Adam.

    python benchmarks/engines.py [--repeats 3]

This is the evidence for `train.engine = "auto"`: is there a size or a model for which the readable engine is faster?
Ratings are made up, with users and movies of uneven popularity. Each figure is the best of the repeats of two epochs
with the monitor on, after both engines have run once. The first training on a machine compiles for about 20 seconds
before that.
"""

import os

# As the `cfmodel` command does: idle threads soon sleep.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

import argparse
import time
from itertools import product
from typing import Literal, get_args

import torch
from machine import describe_machine, use_cores
from monitor import Size, generated

from cfmodel.config import TrainSettings
from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.training.fit import fit
from cfmodel.training.planning.plan import TrainingPlan

SIZES = (
    Size(300, 20, 20, epochs=2, rounds=1, refit=False),
    Size(3_000, 200, 100, epochs=2, rounds=1, refit=False),
    Size(30_000, 1_000, 500, epochs=2, rounds=1, refit=False),
    Size(300_000, 5_000, 3_000, epochs=2, rounds=1, refit=False),
)
DIMENSIONS = (1, 8, 50, 256)
Adam = Literal["all_rows", "touched_rows"]
Engine = Literal["fused", "autograd"]


def seconds(ratings: RatingArrays, size: Size, *, engine: Engine, dim: int, adam: Adam) -> float:
    """Return the seconds of one training."""
    started = time.perf_counter()
    fit(
        TrainingPlan.of(
            ratings,
            None,
            num_users=size.users,
            num_movies=size.movies,
            settings=TrainSettings(engine=engine, embedding_dim=dim, epochs=size.epochs, adam=adam),
            device=torch.device("cpu"),
        ),
        on_record=[].append,
    )
    return time.perf_counter() - started


def main() -> None:
    """Print a line for each size, dimension and Adam."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    use_cores(2)
    print(f"{describe_machine()}\n")
    print("| ratings | dimension | Adam | fused, s | autograd, s | times as fast |\n|---|---|---|---|---|---|")
    for size in SIZES:
        ratings = generated(size)
        for dim, adam in product(DIMENSIONS, get_args(Adam)):
            taken = {
                engine: min(seconds(ratings, size, engine=engine, dim=dim, adam=adam) for _ in range(given.repeats + 1))
                for engine in get_args(Engine)
            }
            print(
                f"| {size.ratings:,} | {dim} | {adam} | {taken['fused']:.3f} | {taken['autograd']:.3f} | "
                f"{taken['autograd'] / taken['fused']:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
