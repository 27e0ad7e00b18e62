"""The training loop of the textbook: a DataLoader, autograd over whole tables, clipping, dense Adam."""

import time
from collections.abc import Iterator

import torch
from speed_sets import RatingSet
from speed_system import Goal, Peer, Point
from torch.utils.data import DataLoader, TensorDataset

from cfmodel.model import CollaborativeFiltering

BATCH_SIZE, LEARNING_RATE, MAX_NORM = 256, 0.001, 1.0
SETTINGS = f"batch {BATCH_SIZE}, Adam at {LEARNING_RATE}, clipped at {MAX_NORM}"


def prepare(ratings: RatingSet) -> tuple[RatingSet, TensorDataset]:
    """Return the ratings as tensors."""
    train = ratings.train
    columns = (torch.tensor(column) for column in (train.user_idx, train.movie_idx, train.rating))
    return ratings, TensorDataset(*columns)


def train(data: tuple[RatingSet, TensorDataset], epochs: int | None) -> Iterator[Point]:
    """Train epoch by epoch, for this many epochs, or without end for None."""
    ratings, rows = data
    started = time.perf_counter()
    generator = torch.Generator().manual_seed(0)
    model = CollaborativeFiltering(
        ratings.num_users, ratings.num_movies, global_mean=float(ratings.train.rating.mean()), generator=generator
    )
    loader = DataLoader(rows, batch_size=BATCH_SIZE, shuffle=True, generator=generator)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    criterion = torch.nn.MSELoss()
    seconds, epoch = time.perf_counter() - started, 0
    while epochs is None or epoch < epochs:
        started, epoch = time.perf_counter(), epoch + 1
        for user_idx, movie_idx, rating in loader:
            optimizer.zero_grad()
            loss = criterion(model(user_idx, movie_idx), rating)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=MAX_NORM)
            optimizer.step()
        seconds += time.perf_counter() - started
        yield Point(epoch, seconds, lambda user, movie: model.score(torch.tensor(user), torch.tensor(movie)).numpy())


TEXTBOOK = Peer("textbook", SETTINGS, Goal(0.02), prepare, train)
