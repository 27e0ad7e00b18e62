"""A small recommender whose users have seen some movies, for tests of lists and of scoring."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from cfmodel.column_statistics import RatingScale
from cfmodel.config import ScoringSettings
from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.data.vocabulary import Vocabulary
from cfmodel.model import CollaborativeFiltering
from cfmodel.recommending.rated import History
from cfmodel.recommending.recommender import Recommender
from cfmodel.recommending.score import score

Pairs = list[tuple[int, int]]

USERS, MOVIES, K = 23, 40, 5


def ratings_of(pairs: Pairs) -> RatingArrays:
    """Return ratings of 1 by (user row, movie row) pairs."""
    user, movie = (np.array([pair[side] for pair in pairs], np.int32) for side in (0, 1))
    return RatingArrays(user, movie, np.ones(len(pairs), np.float32))


def seen_pairs() -> Pairs:
    """Return what the users have seen: user 0 all but three movies, user 1 all, the others some."""
    rng = np.random.default_rng(0)
    some = {(user, int(movie)) for user in range(2, USERS) for movie in rng.permutation(MOVIES)[: user % 7]}
    return sorted(some | {(0, movie) for movie in range(MOVIES - 3)} | {(1, movie) for movie in range(MOVIES)})


def recommender_with_history() -> Recommender:
    """Return a recommender of users `u00` to `u22` and movies `00` to `39`; half of `seen_pairs` is held out."""
    generator = torch.Generator().manual_seed(0)
    model = CollaborativeFiltering(USERS, MOVIES, 4, scale=RatingScale(3.0), init_std=1.0, generator=generator)
    with torch.no_grad():
        model.movie_biases.weight.normal_(generator=generator)
        model.user_biases.weight.normal_(generator=generator)
    pairs = seen_pairs()
    history = History.of([ratings_of(pairs[::2])], [ratings_of(pairs[1::2])], num_users=USERS)
    ids = Vocabulary.of([f"u{number:02}" for number in range(USERS)]), Vocabulary.of([f"{n:02}" for n in range(MOVIES)])
    return Recommender(model, *ids, 1.0, 5.0, history)


def scored(recommender: Recommender, folder: Path, **settings: object) -> pd.DataFrame:
    """Score all users, `K` movies each, and return the published lists."""
    few = {"k": K, "users_per_file": 10} | settings
    score(recommender, ScoringSettings(**few), folder=folder, model_name="model")  # type: ignore[arg-type]
    return pd.read_parquet(folder / "recommendations" / "latest")
