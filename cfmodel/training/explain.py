"""The lesson about one rating of a trained recommender."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cfmodel.config import TrainSettings
from cfmodel.data.splitting.parts import RatingArrays, load_together
from cfmodel.data.vocabulary import Vocabulary
from cfmodel.errors import DataError, VocabularyError
from cfmodel.gradients.lesson.lesson import compute_lesson
from cfmodel.gradients.lesson.lesson_records import Example, Lesson, NextStep
from cfmodel.model import CollaborativeFiltering
from cfmodel.recommending.recommender import Recommender
from cfmodel.refs import SplitRef
from cfmodel.tables import Side, Table
from cfmodel.training.batching.batches import Batches, DeviceRatings
from cfmodel.training.batching.row_counts import RowCounts
from cfmodel.training.engines.step import loss_of
from cfmodel.training.fitting import SCORING_BLOCK
from cfmodel.training.planning.prior import estimate_biases
from cfmodel.training.resuming.adam_state import SavedAdamState

_CPU = torch.device("cpu")


@dataclass(frozen=True, eq=False)
class _Trained:
    """The inputs of a lesson: the model on the CPU, its training ratings, Adam's state."""

    recommender: Recommender
    model: CollaborativeFiltering
    ratings: RatingArrays
    settings: TrainSettings
    adam: SavedAdamState
    penalty: Mapping[str, Tensor]
    counts: RowCounts


def explain(
    recommender: Recommender,
    split: SplitRef,
    settings: TrainSettings,
    *,
    adam: SavedAdamState,
    user_id: str | None = None,
    movie_id: str | None = None,
) -> Lesson:
    """Explain one rating with the model's own numbers.

    The default rating is the one in train whose absolute error is the median, the first of equals on disk. The
    steps of Adam are those that a next epoch of training would do, from the saved weights and moments: each bias
    in the first batch with a rating of it. The popular movie has the most training ratings, the rare one the
    fewest, the first by id of equals.

    Args:
        recommender: The trained model.
        split: Its split.
        settings: Its training settings.
        adam: Adam's state at the end of the same training.
        user_id: User of the rating; give both ids or neither.
        movie_id: Movie of the rating.

    Raises:
        VocabularyError: The model does not know an id.
        DataError: The user has not rated the movie, or only one id is given.
        DigestError: A part has another digest than the ref says.
    """
    if (user_id is None) != (movie_id is None):
        raise DataError("a rating is named by its user and its movie: give both --user and --movie, or neither")
    # The training ratings first, so that they are contiguous.
    names = tuple(dict.fromkeys((*settings.trained_parts, "train", "val", "test")))
    together, parts = load_together(split, names, users=recommender.users, movies=recommender.movies)
    model = copy.deepcopy(recommender.model).to(_CPU).requires_grad_(True)
    trained_on = together[: sum(len(parts[part]) for part in settings.trained_parts)]
    training = trained_on.standardized(model.scale)
    counts = RowCounts.of(training, num_users=len(recommender.users), num_movies=len(recommender.movies))
    penalty = {name: torch.from_numpy(rows) for name, rows in adam.penalty.weights(type(model), counts).items()}
    trained = _Trained(recommender, model, training, settings, adam, penalty, counts)
    if user_id is None or movie_id is None:
        part, place = "train", _median_error(model, parts["train"])
    else:
        part, place = _find(recommender, parts, user_id, movie_id)
    user, movie = int(parts[part].user_idx[place]), int(parts[part].movie_idx[place])
    return compute_lesson(
        example_of(
            model,
            {"user": user, "movie": movie},
            user_id=recommender.users.decode([user])[0],
            movie_id=recommender.movies.decode([movie])[0],
            rating=float(parts[part].rating[place]),
            part=part,
            penalty=penalty,
            start=_start_of(trained, {"user": user, "movie": movie}),
        ),
        _next_steps(trained, user, movie),
        learning_rate=settings.learning_rate,
        last_learning_rate=adam.learning_rate,
        max_grad_norm=settings.max_grad_norm,
    )


def _median_error(model: CollaborativeFiltering, ratings: RatingArrays) -> int:
    """Return the place of the rating whose absolute error is the median, the lower of two."""
    blocks = DeviceRatings.of(ratings.standardized(model.scale), _CPU).batches(SCORING_BLOCK)
    errors = torch.cat([(block.rating - model.score(block.user_idx, block.movie_idx)).abs() for block in blocks])
    return int(torch.argsort(errors, stable=True)[(len(errors) - 1) // 2])


def _find(recommender: Recommender, parts: dict[str, RatingArrays], user_id: str, movie_id: str) -> tuple[str, int]:
    """Return the part and the place of a user's rating of a movie; the first if there are several."""
    user, movie = _row(recommender.users, user_id, "user"), _row(recommender.movies, movie_id, "movie")
    for part, ratings in parts.items():
        places = np.flatnonzero((ratings.user_idx == user) & (ratings.movie_idx == movie))
        if len(places):
            return part, int(places[0])
    rated = np.concatenate([ratings.movie_idx[ratings.user_idx == user] for ratings in parts.values()])
    known = recommender.movies.decode(np.unique(rated[rated >= 0])[:5])
    raise DataError(
        f"user {user_id!r} has not rated movie {movie_id!r}, and a lesson needs the true rating; "
        f"movies this user did rate: {', '.join(map(repr, known))}"
    )


def _row(vocabulary: Vocabulary, id: str, who: str) -> int:
    try:
        return vocabulary.row_of(id)
    except VocabularyError as refusal:
        raise VocabularyError(f"{who} {refusal}") from None


def example_of(
    model: CollaborativeFiltering,
    rows: Mapping[Side, int],
    *,
    user_id: str,
    movie_id: str,
    rating: float,
    part: str,
    penalty: Mapping[str, Tensor],
    start: Mapping[str, float] | None = None,
) -> Example:
    """Return one rating with the rows that predict it.

    Args:
        model: A model on the CPU.
        rows: The user's row and the movie's row.
        user_id: The user's id.
        movie_id: The movie's id.
        rating: The true rating, in rating units.
        part: Part of the split.
        penalty: The penalty's weight for each rating of a row, by table, shape (rows,).
        start: Biases of the two that started in closed form, by table, in standard deviations.
    """
    weights = model.weights()
    return Example(
        user_id=user_id,
        movie_id=movie_id,
        rating=rating,
        part=part,
        scale=model.scale,
        rows={table.name: weights[table.name].detach()[rows[table.side]] for table in model.TABLES},
        names={table.name: table.row for table in model.TABLES},
        vectors=tuple(table.name for table in model.TABLES if table.width is None),
        penalty={table.name: float(penalty[table.name][rows[table.side]]) for table in model.TABLES},
        start=start or {},
        score=lambda rows: model.combine(_as_batch(rows))[0],
        terms=lambda rows: {name: value[0] for name, value in model.terms(_as_batch(rows)).items()},
    )


def _start_of(trained: _Trained, rows: Mapping[Side, int]) -> dict[str, float]:
    """Return where the biases of two rows started, by table; empty if they started at zero."""
    if trained.settings.bias_start == "zero" or trained.adam.penalty.is_constant:
        return {}
    biases = estimate_biases(trained.ratings, trained.counts).biases
    return {_bias_of(trained.model, side).name: float(biases[side][row]) for side, row in rows.items()}


def _as_batch(rows: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: row.unsqueeze(0) for name, row in rows.items()}


def _next_steps(trained: _Trained, user: int, movie: int) -> list[NextStep]:
    """Return the next step of the user's bias and of three movies' biases."""
    counts = np.bincount(trained.ratings.movie_idx, minlength=len(trained.recommender.movies))
    popular, rare = int(counts.argmax()), int(np.where(counts > 0, counts, counts.max() + 1).argmin())
    planned = Batches(
        trained.ratings,
        num_users=len(trained.recommender.users),
        num_movies=len(trained.recommender.movies),
        batch_size=trained.adam.batch_size,
        seed=trained.settings.seed,
        blocks=trained.adam.blocks,
    )
    order = planned.order()
    batches = [order[places] for places in planned.of(trained.adam.epoch + 1)]
    return [
        _next_step(trained, batches, who="the user", side="user", row=user),
        _next_step(trained, batches, who="the movie", side="movie", row=movie),
        _next_step(trained, batches, who="a popular movie", side="movie", row=popular),
        _next_step(trained, batches, who="a rare movie", side="movie", row=rare),
    ]


def _next_step(trained: _Trained, batches: list[npt.NDArray[np.int32]], *, who: str, side: Side, row: int) -> NextStep:
    rows = trained.ratings.user_idx if side == "user" else trained.ratings.movie_idx
    places = next((places for places in batches if (rows[places] == row).any()), batches[0])
    batch = DeviceRatings.of(trained.ratings[places], _CPU)
    gradients = _gradients(trained, batch)
    table = _bias_of(trained.model, side)
    vocabulary = trained.recommender.users if side == "user" else trained.recommender.movies
    return NextStep(
        who=who,
        name=table.row,
        id=vocabulary.decode([row])[0],
        ratings=int((rows == row).sum()),
        in_batch=int((rows[places] == row).sum()),
        batch_size=len(batch),
        value=float(trained.model.weights()[table.name].detach()[row, 0]),
        gradient=float(gradients[table.name][row, 0]),
        norm=float(torch.stack([gradient.norm() for gradient in gradients.values()]).norm()),
        first_moment=float(trained.adam.first_moments[table.name][row, 0]),
        second_moment=float(trained.adam.second_moments[table.name][row, 0]),
        step=trained.adam.step,
    )


def _bias_of(model: CollaborativeFiltering, side: Side) -> Table:
    table = model.bias_table(side)
    assert table is not None
    return table


def _gradients(trained: _Trained, batch: DeviceRatings) -> dict[str, Tensor]:
    loss = loss_of(trained.model, batch, penalty=trained.penalty)
    weights = trained.model.weights()
    return dict(zip(weights, torch.autograd.grad(loss.total, list(weights.values())), strict=True))
