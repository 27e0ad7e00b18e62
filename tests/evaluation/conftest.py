"""Splits and recommenders small enough to work out by hand."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from small_ratings import TEST, TRAIN, VAL

from cfmodel.column_statistics import RatingScale
from cfmodel.config import EvaluationSettings
from cfmodel.data.storage import digest_of_parts
from cfmodel.data.vocabulary import Vocabulary
from cfmodel.evaluation.evaluate import Evaluation, evaluate
from cfmodel.model import CollaborativeFiltering
from cfmodel.recommending.recommender import Recommender
from cfmodel.refs import SplitRef
from cfmodel.schema import RATINGS

Row = tuple[str, str, float]


@pytest.fixture
def make_split(tmp_path: Path) -> Callable[..., SplitRef]:
    """Write three parts, given as (user, movie, rating) rows, and return the ref to them."""

    def make(
        train: Sequence[Row], val: Sequence[Row], test: Sequence[Row], *, strategy: str = "random", **known: Any
    ) -> SplitRef:
        path = tmp_path / f"split-{len(list(tmp_path.iterdir()))}"
        path.mkdir()
        for part, rows in {"train": train, "val": val, "test": test}.items():
            columns = [list(column) for column in zip(*rows, strict=True)] or [[], [], []]
            pq.write_table(pa.table([*columns, [None] * len(rows)], schema=RATINGS), path / f"{part}.parquet")
        users, movies = (Vocabulary.of([row[side] for row in train]) for side in (0, 1))
        users.write(path / "users.parquet")
        movies.write(path / "movies.parquet")
        ratings = [row[2] for row in train]
        return SplitRef(
            path=path,
            digest=digest_of_parts(path),
            data_digest="0" * 64,
            source="by hand",
            strategy=strategy,
            train_rows=len(train),
            val_rows=len(val),
            test_rows=len(test),
            dropped_rows=0,
            users=len(users),
            movies=len(movies),
            global_mean=sum(ratings) / len(ratings),
            rating_min=min(ratings),
            rating_max=max(ratings),
            seconds=0.0,
            **known,
        )

    return make


@pytest.fixture
def make_recommender() -> Callable[..., Recommender]:
    """Return a recommender with the biases given and embeddings of one dimension, all zero unless given."""

    def make(
        users: dict[str, float],
        movies: dict[str, float],
        *,
        global_mean: float = 3.0,
        embeddings: tuple[Sequence[float], Sequence[float]] | None = None,
        rating_range: tuple[float, float] = (1.0, 5.0),
    ) -> Recommender:
        model = CollaborativeFiltering(len(users), len(movies), 1, scale=RatingScale(global_mean), init_std=0.0)
        with torch.no_grad():
            model.user_biases.weight[:, 0] = torch.tensor([users[id] for id in sorted(users)])
            model.movie_biases.weight[:, 0] = torch.tensor([movies[id] for id in sorted(movies)])
            if embeddings is not None:
                model.user_embeddings.weight[:, 0] = torch.tensor(embeddings[0])
                model.movie_embeddings.weight[:, 0] = torch.tensor(embeddings[1])
        return Recommender(model, Vocabulary.of(list(users)), Vocabulary.of(list(movies)), *rating_range)

    return make


@pytest.fixture
def split(make_split: Callable[..., Any]) -> SplitRef:
    return make_split(TRAIN, VAL, TEST)


@pytest.fixture
def recommender(make_recommender: Callable[..., Any]) -> Recommender:
    return make_recommender({"a": 0.5, "b": -0.25}, {"x": 0.75, "y": -1.0, "z": 0.25})


@pytest.fixture
def evaluation(recommender: Recommender, split: SplitRef) -> Evaluation:
    return evaluate(recommender, split, EvaluationSettings(k=(1, 2)))
