"""One training of the health benchmark as a value: ratings, settings and faults.

Faults come from the data, the settings, or thin wrappers around functions that training calls, so the library itself
has no code for them.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from cfmodel.column_statistics import RatingScale
from cfmodel.config import TrainSettings
from cfmodel.data.sources.synthetic import SyntheticSource
from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.errors import DivergedError
from cfmodel.gradients.recording.gradient_history import GradientHistory
from cfmodel.model import CollaborativeFiltering
from cfmodel.training.engines import step
from cfmodel.training.fit import fit
from cfmodel.training.planning.plan import TrainingPlan

#: Sources: those for choosing thresholds, and those for the report.
DEVELOPMENT = {
    "plain": "synthetic:users=400,movies=250,ratings=25000",
    "wide": "synthetic:users=1500,movies=300,ratings=40000",
    "ml-100k u1": "ml-100k/u1.base",
    "ml-100k u2": "ml-100k/u2.base",
}
REPORTING = {
    "tall": "synthetic:users=300,movies=900,ratings=30000,noise=0.8",
    "rich": "synthetic:users=800,movies=500,ratings=50000,signal=0.8,factors=6",
    "ml-100k u3": "ml-100k/u3.base",
    "ml-100k u4": "ml-100k/u4.base",
    "ml-latest-small": "ml-latest-small/ratings.csv",
}


@dataclass(frozen=True, eq=False)
class Training:
    """Ratings and settings of one run, faults included.

    Attributes:
        train: Training ratings.
        val: Validation ratings.
        num_users: Rows of the user tables.
        num_movies: Rows of the movie tables.
        settings: Settings of the training.
        seed: Seed for everything random in a fault.
        prepare: Changes the untrained model.
        adam: More arguments of the optimiser, such as `weight_decay`.
        frozen: Table that the optimiser does not move, and the share of the steps after which it stops.
        loss_scale: Factor on the loss.
        spike: Factor on the ratings of one batch, after half of the steps.
        scale: Scale by which the ratings are standardized; None: their own.
    """

    train: RatingArrays
    val: RatingArrays
    num_users: int
    num_movies: int
    settings: TrainSettings
    seed: int
    prepare: Callable[[CollaborativeFiltering], None] | None = None
    adam: tuple[tuple[str, Any], ...] = ()
    frozen: tuple[str, float] | None = None
    loss_scale: float = 1.0
    spike: float = 1.0
    scale: RatingScale | None = None

    def with_settings(self, **changes: Any) -> "Training":
        """Return a copy with some settings changed."""
        return replace(self, settings=self.settings.model_copy(update=changes))

    def with_ratings(self, change: Callable[[RatingArrays, np.random.Generator], RatingArrays]) -> "Training":
        """Return a copy with the ratings of both parts changed, each with its own random stream."""
        streams = (np.random.default_rng((self.seed, part)) for part in (0, 1))
        train, val = (change(part, rng) for part, rng in zip((self.train, self.val), streams, strict=True))
        return replace(self, train=train, val=val)

    @property
    def engine(self) -> str:
        """The engine: autograd if a fault wraps functions of torch."""
        wrapped = self.prepare or self.adam or self.frozen or self.loss_scale != 1 or self.spike != 1
        return "autograd" if wrapped else "auto"

    @property
    def steps(self) -> int:
        """Number of planned steps."""
        from cfmodel.training.batching.batches import default_batch_size

        size = self.settings.batch_size or default_batch_size(len(self.train))
        return max(1, round(len(self.train) / size)) * self.settings.epochs


def training_on(source: str, *, seed: int, **settings: Any) -> Training:
    """Return a sound training with a random tenth of the ratings in val, and 4 epochs by default."""
    user, movie, rating = ratings_of(source if "synthetic" not in source else f"{source},seed={seed}")
    order = np.random.default_rng(seed).permutation(len(rating))
    return of_arrays(user[order], movie[order], rating[order], seed=seed, **settings)


def of_arrays(user: np.ndarray, movie: np.ndarray, rating: np.ndarray, *, seed: int, **settings: Any) -> Training:
    """Return a training on ratings in the given order; the first tenth is val."""
    held_out = len(rating) // 10
    users, movies = np.unique(user[held_out:]), np.unique(movie[held_out:])
    encoded = _rows(users, user), _rows(movies, movie), rating.astype(np.float64)
    val, train = (
        RatingArrays(*(column[part] for column in encoded)) for part in (slice(held_out), slice(held_out, None))
    )
    chosen = TrainSettings(**{"epochs": 4, "seed": seed, **settings})
    return Training(train, val, len(users), len(movies), chosen, seed)


def observe(training: Training) -> GradientHistory:
    """Train with the faults and return the records of the monitor."""
    records: list[Any] = []
    # If training diverges, the records up to that point are judged.
    with _faulty(training), suppress(DivergedError):
        fit(
            TrainingPlan.of(
                training.train,
                training.val,
                num_users=training.num_users,
                num_movies=training.num_movies,
                settings=training.settings.model_copy(update={"engine": training.engine}),
                device=torch.device("cpu"),
                scale=training.scale,
            ),
            on_record=records.append,
        )
    return GradientHistory.of(records)


@contextmanager
def _faulty(training: Training) -> Iterator[None]:
    """Install the wrappers around functions that training calls."""
    adam, initial_model, loss_of = torch.optim.Adam, TrainingPlan.initial_model, step.loss_of
    calls = iter(range(10**9))

    class Adam(adam):  # type: ignore[misc, valid-type]
        """Adam that does not move one table."""

        def __init__(self, params: Any, **how: Any) -> None:
            self.tables = list(params)
            self.steps = 0
            super().__init__(self.tables, **how, **dict(training.adam))

        def step(self, *args: Any, **how: Any) -> Any:
            table = self._frozen()
            before = None if table is None else table.detach().clone()
            result = super().step(*args, **how)
            if table is not None:
                with torch.no_grad():
                    table.copy_(before)
            self.steps += 1
            return result

        def _frozen(self) -> Any:
            if training.frozen is None or self.steps < training.frozen[1] * training.steps:
                return None
            names = ("user_embeddings", "user_biases", "movie_embeddings", "movie_biases")
            return self.tables[names.index(training.frozen[0])]

    def prepared(plan: TrainingPlan) -> CollaborativeFiltering:
        model = initial_model(plan)
        if training.prepare is not None:
            training.prepare(model)
        return model

    def changed(model: Any, batch: Any, **how: Any) -> Any:
        if next(calls) == training.steps // 2 and training.spike != 1:
            batch = replace(batch, rating=batch.rating * training.spike)
        loss = loss_of(model, batch, **how)
        return replace(loss, total=loss.total * training.loss_scale) if training.loss_scale != 1 else loss

    with (
        patch("torch.optim.Adam", Adam),
        patch.object(TrainingPlan, "initial_model", prepared),
        patch.object(step, "loss_of", changed),
    ):
        yield


@cache
def ratings_of(source: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return user ids, movie ids and ratings as whole numbers and floats."""
    if source.startswith("synthetic"):
        batches = list(SyntheticSource.parse(source).batches())
        user, movie = (
            np.concatenate([batch[name].cast("int64").to_numpy() for batch in batches])
            for name in ("user_id", "movie_id")
        )
        return user, movie, np.concatenate([batch["rating"].to_numpy() for batch in batches])
    path = Path(os.environ["CFMODEL_DATA_DIR"], source)
    csv = path.suffix == ".csv"
    table = np.loadtxt(path, delimiter="," if csv else None, skiprows=int(csv), usecols=(0, 1, 2))
    return table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2]


def _rows(known: np.ndarray, ids: np.ndarray) -> np.ndarray:
    row = np.searchsorted(known, ids).clip(max=len(known) - 1)
    return np.where(known[row] == ids, row, -1).astype(np.int32)
