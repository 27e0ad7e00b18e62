"""What lists must be before anybody sees them, asked of the files as they were written."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from cfmodel.config import ScoringSettings
from cfmodel.errors import PublishError
from cfmodel.recommending.rated import SeenMovies
from cfmodel.recommending.recommender import Recommender
from cfmodel.schema import MOVIE_ID, USER_ID


@dataclass(frozen=True)
class Checked:
    """What was found in lists that are fit.

    Attributes:
        rows: Movies recommended, over all users.
        coverage_fraction: Share of the catalogue that is in somebody's list.
    """

    rows: int
    coverage_fraction: float


def check(
    folder: Path,
    recommender: Recommender,
    users: npt.NDArray[np.int64],
    settings: ScoringSettings,
    *,
    complete: bool,
) -> Checked:
    """Read lists back and hold them against what they must be.

    Every user asked for who has not seen everything has a list, and nobody else; it is as long as
    asked, or holds every movie the user has not seen; ranks rise from 1 and scores fall; no movie is
    in it twice, and none is seen.

    Args:
        folder: The files.
        recommender: The model that made them.
        users: Rows of the users asked for, rising, shape (N,).
        settings: Length of the lists, least coverage.
        complete: Whether every user was scored: coverage is held against its least only then.

    Raises:
        PublishError: Something is wrong; the message says what, with the first user it is wrong for.
    """
    wrong = _Wrong(recommender)
    recommended = np.zeros(len(recommender.movies), bool)
    seen = recommender.history.seen if recommender.history else None
    present, rows = [np.empty(0, np.int64)], 0
    for path in sorted(folder.glob("part-*.parquet")):
        table = pq.read_table(path, page_checksum_verification=True)
        user, movie = recommender.users.encode(table[USER_ID]), recommender.movies.encode(table[MOVIE_ID])
        wrong.unless((user >= 0) & (movie >= 0), user, "holds an id the model does not know")
        _check_lists(wrong, user, movie, table["score"].to_numpy(), table["rank"].to_numpy(), seen=seen)
        present.append(_in_order(user))
        _check_lengths(wrong, user, settings.k, len(recommender.movies), seen=seen)
        recommended[movie] = True
        rows += len(user)
    _check_users(wrong, np.concatenate(present), users, len(recommender.movies), seen=seen)
    coverage = float(recommended.mean())
    if complete and coverage < settings.min_coverage:
        raise PublishError(
            f"recommendations are not published: {int(recommended.sum()):,} of {len(recommended):,} movies "
            f"({coverage:.2%}) are in anybody's list, less than scoring.min_coverage ({settings.min_coverage:.2%}); "
            "the model seems to have collapsed: look at its report, or lower the setting"
        )
    return Checked(rows, coverage)


class _Wrong:
    """Turns what is not so into a refusal that names the first user."""

    def __init__(self, recommender: Recommender) -> None:
        self._users = recommender.users

    def unless(self, fine: npt.NDArray[np.bool_], user: npt.NDArray[np.integer], what: str) -> None:
        bad = np.flatnonzero(~fine)
        if not len(bad):
            return
        row = int(user[bad[0]])
        named = f"user {self._users.decode([row])[0]!r}" if row >= 0 else "a user"
        raise PublishError(
            f"recommendations are not published: the list of {named} {what} ({len(bad):,} such places); those "
            "published before stay"
        )


def _in_order(user: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """Return the users in the order of their lists, each once for each stretch of rows."""
    starts = np.flatnonzero(np.diff(user, prepend=-1))
    return user[starts].astype(np.int64)


def _check_lists(
    wrong: _Wrong,
    user: npt.NDArray[np.int32],
    movie: npt.NDArray[np.int32],
    score: npt.NDArray[np.float32],
    rank: npt.NDArray[np.int32],
    *,
    seen: SeenMovies | None,
) -> None:
    first = np.diff(user, prepend=-1) != 0
    wrong.unless(rank == np.where(first, 1, np.roll(rank, 1) + 1), user, "has ranks that do not rise by one from 1")
    wrong.unless(np.isfinite(score), user, "has a score that is not finite")
    wrong.unless(first | (score <= np.roll(score, 1)), user, "is not ordered by score")
    order = np.lexsort((movie, user))
    again = (np.diff(user[order], prepend=-1) == 0) & (np.diff(movie[order], prepend=-1) == 0)
    wrong.unless(~again, user[order], "holds a movie twice")
    if seen is not None:
        wrong.unless(~seen.contains(user, movie), user, "holds a movie the user has seen")


def _check_lengths(
    wrong: _Wrong, user: npt.NDArray[np.int32], k: int, num_movies: int, *, seen: SeenMovies | None
) -> None:
    present = _in_order(user)
    lengths = np.diff(np.flatnonzero(np.diff(user, prepend=-1, append=-1)))
    wrong.unless(lengths == np.minimum(k, _left(present, num_movies, seen)), present, f"has not {k} movies")


def _check_users(
    wrong: _Wrong,
    present: npt.NDArray[np.int64],
    asked: npt.NDArray[np.int64],
    num_movies: int,
    *,
    seen: SeenMovies | None,
) -> None:
    expected = asked[_left(asked, num_movies, seen) > 0]
    wrong.unless(np.isin(expected, present), expected, "is missing")
    wrong.unless(np.isin(present, expected), present, "was not asked for")
    wrong.unless(np.diff(present, prepend=-1) > 0, present, "is in two places, or not in the order of the users")


def _left(users: npt.NDArray[np.int64], num_movies: int, seen: SeenMovies | None) -> npt.NDArray[np.int64]:
    """Return how many movies each user has not seen."""
    return num_movies - (np.zeros(len(users), np.int64) if seen is None else seen.counts(users))
