"""The training loop of the textbook: a DataLoader, autograd over whole tables, clipping, dense Adam."""

import time
from collections.abc import Iterator

import torch
from speed_sets import Predict, RatingSet
from speed_system import Goal, Peer, Point
from torch.utils.data import DataLoader, TensorDataset

from cfmodel.column_statistics import RatingScale
from cfmodel.model import CollaborativeFiltering

BATCH_SIZE, LEARNING_RATE, MAX_NORM = 256, 0.001, 1.0
SETTINGS = f"batch {BATCH_SIZE}, Adam at {LEARNING_RATE}, clipped at {MAX_NORM}"


def prepare(ratings: RatingSet) -> tuple[RatingSet, TensorDataset]:
    """Return the ratings as tensors."""
    train = ratings.train
    standardized = RatingScale.of(train.rating).standardized(train.rating)
    columns = (torch.tensor(column) for column in (train.user_idx, train.movie_idx, standardized))
    return ratings, TensorDataset(*columns)


def train(data: tuple[RatingSet, TensorDataset], epochs: int | None) -> Iterator[Point]:
    """Train epoch by epoch, for this many epochs, or without end for None."""
    ratings, rows = data
    started = time.perf_counter()
    generator = torch.Generator().manual_seed(0)
    model = CollaborativeFiltering(
        ratings.num_users, ratings.num_movies, scale=RatingScale.of(ratings.train.rating), generator=generator
    )
    loader = DataLoader(rows, batch_size=BATCH_SIZE, shuffle=True, generator=generator)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    criterion = torch.nn.MSELoss()
    seconds, epoch = time.perf_counter() - started, 0
    while epochs is None or epoch < epochs:
        started, epoch = time.perf_counter(), epoch + 1
        for user_idx, movie_idx, rating in loader:
            optimizer.zero_grad()
            loss = criterion(model.combine(model.look_up(user_idx, movie_idx)), rating)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=MAX_NORM)
            optimizer.step()
        seconds += time.perf_counter() - started
        yield Point(epoch, seconds, predict_of(model))


def predict_of(model: CollaborativeFiltering) -> Predict:
    """Return the predictor of a model of ours, in rating units."""
    return lambda user, movie: model.in_rating_units(model.score(torch.tensor(user), torch.tensor(movie))).numpy()


TEXTBOOK = Peer("textbook", SETTINGS, Goal(0.02), prepare, train)
