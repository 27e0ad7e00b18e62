"""Seconds per epoch of 1,000,000 ratings with the default settings.

    python benchmarks/epoch.py

The ratings are made up (6,040 users, 3,706 movies of uneven popularity). The time of an epoch includes its permutation,
val, monitoring and its record. The median excludes the first epoch.
"""

import os

# As the `cfmodel` command does: idle threads soon sleep.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

import numpy as np
import torch
from machine import describe_machine

from cfmodel.config import TrainSettings
from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.training.batching.batches import default_batch_size
from cfmodel.training.epoch_records import EpochRecord
from cfmodel.training.fit import fit
from cfmodel.training.planning.plan import TrainingPlan

USERS, MOVIES, RATINGS = 6_040, 3_706, 1_000_000
EPOCHS = 8


def drawn(count: int, rng: np.random.Generator) -> RatingArrays:
    """Return made-up ratings; rows with low numbers are drawn more often."""
    skew = rng.random((2, count)) ** 2
    return RatingArrays(
        user_idx=(skew[0] * USERS).astype(np.int32),
        movie_idx=(skew[1] * MOVIES).astype(np.int32),
        rating=rng.integers(1, 6, count).astype(np.float32),
    )


def main() -> None:
    """Print the table."""
    rng = np.random.default_rng(0)
    records: list[object] = []
    fit(
        TrainingPlan.of(
            drawn(RATINGS, rng),
            drawn(RATINGS // 10, rng),
            num_users=USERS,
            num_movies=MOVIES,
            settings=TrainSettings(epochs=EPOCHS, patience=EPOCHS),
            device=torch.device("cpu"),
        ),
        on_record=records.append,
    )
    seconds = [record.seconds for record in records if isinstance(record, EpochRecord)][1:]
    print(describe_machine())
    print(f"batch     {default_batch_size(RATINGS):,} ratings, dimension {TrainSettings().embedding_dim}")
    print(f"epoch     median {np.median(seconds):.2f} s, {min(seconds):.2f} to {max(seconds):.2f}, n = {len(seconds)}")


if __name__ == "__main__":
    main()
