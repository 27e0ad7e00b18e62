"""Checks of scored lists before they are published, on the files as written."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from cfmodel.config import ScoringSettings
from cfmodel.errors import PublishError
from cfmodel.recommending.recommender import Recommender
from cfmodel.schema import MOVIE_ID, USER_ID


@dataclass(frozen=True)
class CheckedLists:
    """Size and coverage of lists that passed.

    Attributes:
        rows: Movies recommended, over all users.
        coverage_fraction: Share of the catalogue that is in at least one list.
    """

    rows: int
    coverage_fraction: float


def check_lists(
    folder: Path,
    recommender: Recommender,
    users: npt.NDArray[np.int64],
    settings: ScoringSettings,
    *,
    complete: bool,
) -> CheckedLists:
    """Read lists back and check them.

    Every user asked for has a list, unless the user has seen all movies, and no other user has one. It has k
    movies, or all that the user has not seen. Ranks rise by one from 1, scores do not rise, no movie is in a
    list twice, and none has been seen.

    Args:
        users: Rows of the users asked for, ascending, shape (N,).
        complete: Whether all users of the model were scored; coverage is checked only then.

    Raises:
        PublishError: A check failed; the message says which, and for which user first.
    """
    checks = _ListChecks(recommender, settings.k)
    recommended = np.zeros(len(recommender.movies), bool)
    present, rows = [np.empty(0, np.int64)], 0
    for path in sorted(folder.glob("part-*.parquet")):
        table = pq.read_table(path, page_checksum_verification=True)
        user, movie = recommender.users.encode(table[USER_ID]), recommender.movies.encode(table[MOVIE_ID])
        checks.require((user >= 0) & (movie >= 0), user, "has an id that the model does not know")
        checks.check_rows(user, movie, table["score"].to_numpy(), table["rank"].to_numpy())
        present.append(checks.check_lengths(user))
        recommended[movie] = True
        rows += len(user)
    checks.check_users(np.concatenate(present), users)
    coverage = float(recommended.mean())
    if complete and coverage < settings.min_coverage:
        raise PublishError(
            f"recommendations are not published: only {int(recommended.sum()):,} of {len(recommended):,} movies "
            f"({coverage:.2%}) are in any list, below scoring.min_coverage ({settings.min_coverage:.2%}); "
            "the model may have collapsed: check its report, or lower the setting"
        )
    return CheckedLists(rows, coverage)


class _ListChecks:
    """The checks of a model's lists, given as columns with one row per movie recommended."""

    def __init__(self, recommender: Recommender, k: int) -> None:
        self._users, self._num_movies, self._k = recommender.users, len(recommender.movies), k
        self._seen = None if recommender.history is None else recommender.history.seen

    def require(self, ok: npt.NDArray[np.bool_], user: npt.NDArray[np.integer], problem: str) -> None:
        """Raise PublishError with the first user for whom `ok` is false."""
        bad = np.flatnonzero(~ok)
        if not len(bad):
            return
        row = int(user[bad[0]])
        named = f"user {self._users.decode([row])[0]!r}" if row >= 0 else "an unknown user"
        raise PublishError(
            f"recommendations are not published: the list of {named} {problem} ({len(bad):,} cases in all); "
            "the lists published before stay; check the report of the model, then score again"
        )

    def check_rows(
        self,
        user: npt.NDArray[np.int32],
        movie: npt.NDArray[np.int32],
        score: npt.NDArray[np.float64],
        rank: npt.NDArray[np.int32],
    ) -> None:
        """Check ranks, scores and movies."""
        first = np.diff(user, prepend=-1) != 0
        self.require(rank == np.where(first, 1, np.roll(rank, 1) + 1), user, "has ranks that do not rise by one from 1")
        self.require(np.isfinite(score), user, "has a score that is not finite")
        self.require(first | (score <= np.roll(score, 1)), user, "is not ordered by score")
        order = np.lexsort((movie, user))
        again = (np.diff(user[order], prepend=-1) == 0) & (np.diff(movie[order], prepend=-1) == 0)
        self.require(~again, user[order], "has a movie twice")
        if self._seen is not None:
            self.require(~self._seen.contains(user, movie), user, "has a movie the user has seen")

    def check_lengths(self, user: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
        """Check the length of each list; return its user, in the order of the lists."""
        starts = np.flatnonzero(np.diff(user, prepend=-1))
        present = user[starts].astype(np.int64)
        lengths = np.diff(starts, append=len(user))
        expected = np.minimum(self._k, self._unseen_counts(present))
        self.require(lengths == expected, present, f"does not have {self._k} movies")
        return present

    def check_users(self, present: npt.NDArray[np.int64], asked: npt.NDArray[np.int64]) -> None:
        """Check that there is one list for each user asked for, in their order."""
        expected = asked[self._unseen_counts(asked) > 0]
        self.require(np.isin(expected, present), expected, "is missing")
        self.require(np.isin(present, expected), present, "was not asked for")
        self.require(np.diff(present, prepend=-1) > 0, present, "is split, or not in the order of the users")

    def _unseen_counts(self, users: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        seen = 0 if self._seen is None else self._seen.counts(users)
        return np.full(len(users), self._num_movies, np.int64) - seen
