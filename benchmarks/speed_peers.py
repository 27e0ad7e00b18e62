"""The other systems: name, settings, training, and our target against each.

cfmodel needs none of them. LIBMF, Cornac and Surprise are the extra `peers`; docs/speed.md describes how to compile
LIBMF with the vector instructions its authors use, and how to install LensKit.
"""

import contextlib
import io
import time
import warnings
from collections.abc import Iterator
from statistics import median
from typing import Any

import numpy as np
import torch
from speed_sets import Predict, RatingSet
from speed_system import Factors, Goal, Peer, Point

DIM = 50


def libmf_data(ratings: RatingSet) -> np.ndarray:
    """Return rows of user, movie and rating for LIBMF's Python package, shape (N, 3)."""
    train = ratings.train
    return np.stack([train.user_idx, train.movie_idx, train.rating], axis=1).astype(np.float32)


def libmf_train(data: np.ndarray, epochs: int | None) -> Iterator[Point]:
    """Train with `-l2 0.05 -k 50 -r 0.1 -s 2 -t 10`."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore", SyntaxWarning)
        from libmf import mf

    epochs = epochs or 10
    how = {"lambda_p1": 0.0, "lambda_q1": 0.0, "lambda_p2": 0.05, "lambda_q2": 0.05, "eta": 0.1}
    # LIBMF's own command uses 20 bins; the Python wrapper would use 26.
    solver = mf.MF(k=DIM, nr_threads=2, nr_iters=epochs, nr_bins=20, quiet=True, **how)
    started = time.perf_counter()
    solver.fit(data)
    seconds = time.perf_counter() - started
    # Its own `predict` reads the rows as columns.
    yield Point(epochs, seconds, Factors(solver.p_factors(), solver.q_factors()).predict)


def cornac_data(ratings: RatingSet) -> Any:
    """Return Cornac's own data set."""
    from cornac.data import Dataset

    train = ratings.train
    rows = (train.user_idx.astype(np.int64), train.movie_idx.astype(np.int64), train.rating)
    users, movies = ({row: row for row in range(count)} for count in (ratings.num_users, ratings.num_movies))
    return Dataset(ratings.num_users, ratings.num_movies, users, movies, rows)


def cornac_train(data: Any, epochs: int | None) -> Iterator[Point]:
    """Train by SGD on two threads without locks."""
    from cornac.models import MF

    epochs = epochs or 20
    how = {"learning_rate": 0.01, "lambda_reg": 0.04, "use_bias": True, "num_threads": 2}
    model = MF(k=DIM, max_iter=epochs, verbose=False, **how)
    started = time.perf_counter()
    model.fit(data)
    seconds = time.perf_counter() - started
    factors = Factors(model.u_factors, model.i_factors, model.u_biases, model.i_biases, float(model.global_mean))
    yield Point(epochs, seconds, factors.predict)


def surprise_data(ratings: RatingSet) -> Any:
    """Return Surprise's own training set: lists of movies and ratings by user, and of users and ratings by movie."""
    from surprise import Trainset

    train = ratings.train
    by_user, by_movie = (
        _lists(rows, others, train.rating)
        for rows, others in ((train.user_idx, train.movie_idx), (train.movie_idx, train.user_idx))
    )
    users, movies = ({row: row for row in range(count)} for count in (ratings.num_users, ratings.num_movies))
    scale = float(train.rating.min()), float(train.rating.max())
    return Trainset(by_user, by_movie, len(users), len(movies), len(train), scale, users, movies)


def surprise_train(data: Any, epochs: int | None) -> Iterator[Point]:
    """Train from the start for each number of epochs, because a training cannot be continued."""
    from surprise import SVD

    for number in (10, 20, 30, 45, 60, 90) if epochs is None else (epochs,):
        solver = SVD(n_factors=DIM, n_epochs=number, reg_all=0.04, random_state=0)
        started = time.perf_counter()
        solver.fit(data)
        seconds = time.perf_counter() - started
        yield Point(number, seconds, Factors(solver.pu, solver.qi, solver.bu, solver.bi, data.global_mean).predict)


def lenskit_data(ratings: RatingSet) -> Any:
    """Return LensKit's own data set; its rows equal ours, because ids are sorted whole numbers."""
    import pandas as pd
    from lenskit.data import from_interactions_df

    train = ratings.train
    return from_interactions_df(
        pd.DataFrame({"user_id": train.user_idx, "item_id": train.movie_idx, "rating": train.rating})
    )


def lenskit_train(data: Any, epochs: int | None) -> Iterator[Point]:
    """Train with the defaults except the dimension, on as many threads as torch has; compiling is not timed."""
    from lenskit.flexmf import FlexMFExplicitScorer
    from lenskit.training import TrainingOptions

    threads = torch.get_num_threads()
    scorer = FlexMFExplicitScorer(embedding_size=DIM)
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = scorer.create_trainer(data, TrainingOptions(rng=0, device="cpu"))
        torch.set_num_threads(threads)  # LensKit sets it to one
        made, taken, epoch = time.perf_counter() - started, [], 0
        # The first epoch compiles, and the second may; the median epoch gives the pace.
        while epochs is None or epoch < epochs:
            started, epoch = time.perf_counter(), epoch + 1
            trainer.train_epoch()
            taken.append(time.perf_counter() - started)
            yield Point(epoch, made + epoch * median(taken), _flexmf(scorer, trainer.model))


def _flexmf(scorer: Any, model: Any) -> Predict:
    def predict(user: np.ndarray, movie: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            found: np.ndarray = (model(torch.tensor(user), torch.tensor(movie)) + scorer.global_bias).numpy()
        return found

    return predict


def _lists(rows: np.ndarray, others: np.ndarray, rating: np.ndarray) -> dict[int, list[tuple[int, float]]]:
    order = np.argsort(rows, kind="stable")
    pairs = list(zip(others[order].tolist(), rating[order].tolist(), strict=True))
    ends = np.cumsum(np.bincount(rows)).tolist()
    return {row: pairs[start:end] for row, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True))}


LIBMF = Peer(
    "libmf",
    f"-l2 0.05 -k {DIM} -r 0.1 -s 2 -t 10",
    Goal(2.5, 1.0),
    libmf_data,
    libmf_train,
    package="libmf",
    module="libmf",
)
CORNAC = Peer(
    "cornac",
    f"MF, k {DIM}, 20 epochs, rate 0.01, reg 0.04, bias, 2 threads",
    Goal(1.0, 0.5),
    cornac_data,
    cornac_train,
    package="cornac",
    module="cornac",
)
SURPRISE = Peer(
    "surprise",
    f"SVD, {DIM} factors, reg 0.04, best of 10 to 90 epochs",
    Goal(0.1),
    surprise_data,
    surprise_train,
    package="scikit-surprise",
    module="surprise",
    patience=1,
)
LENSKIT = Peer(
    "lenskit",
    f"FlexMF, dimension {DIM}, its defaults, best epoch",
    Goal(0.1),
    lenskit_data,
    lenskit_train,
    package="lenskit",
    module="lenskit",
)
