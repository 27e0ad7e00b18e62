"""Ratings with a planted truth, and training with little to write."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from cfmodel.config import TrainSettings
from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.training.fit import FitResult, fit
from cfmodel.training.planning.plan import TrainingPlan

NOISE = 0.5


@dataclass(frozen=True)
class Planted:
    """Train and val ratings of 200 users and 100 movies, and the noise in them."""

    train: RatingArrays
    val: RatingArrays
    num_users: int = 200
    num_movies: int = 100
    noise: float = NOISE


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Train on one thread: tensors are small here, and threads would only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def planted() -> Planted:
    """Biases, two tastes and noise: 13,500 ratings to learn from, 1,500 to watch."""
    rng = np.random.default_rng(0)
    pairs = rng.permutation(200 * 100)[:15_000]
    user, movie = pairs // 100, pairs % 100
    bias = 0.4 * rng.standard_normal(200)[user] + 0.4 * rng.standard_normal(100)[movie]
    taste = (rng.standard_normal((200, 2))[user] * rng.standard_normal((100, 2))[movie]).sum(1)
    rating = 3.5 + bias + 0.5 * taste + NOISE * rng.standard_normal(15_000)

    def part(rows: slice) -> RatingArrays:
        return RatingArrays(user[rows].astype(np.int32), movie[rows].astype(np.int32), rating[rows].astype(np.float32))

    return Planted(part(slice(13_500)), part(slice(13_500, None)))


@pytest.fixture
def fitted(planted: Planted) -> Callable[..., FitResult]:
    """Fit to the planted ratings on the CPU, with some settings changed."""

    def run(*, val: bool = True, on_record: Any = None, epochs: int | None = None, **settings: Any) -> FitResult:
        return fit(
            TrainingPlan.of(
                planted.train,
                planted.val if val else None,
                num_users=planted.num_users,
                num_movies=planted.num_movies,
                settings=TrainSettings(**settings),
                device=torch.device("cpu"),
                epochs=epochs,
            ),
            on_record=on_record,
        )

    return run
