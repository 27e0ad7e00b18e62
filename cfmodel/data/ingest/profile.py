"""What a data set looks like: counts, curves and spans, small enough to read and to compare."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from cfmodel.data.ingest.duplicates import row_groups
from cfmodel.errors import DigestError
from cfmodel.refs import Accounts
from cfmodel.schema import RATING, TIMESTAMP

#: More distinct ratings than this are drawn as a histogram of bins.
_MOST_LEVELS = 1_000
_BINS = 60
_CURVE_POINTS = 100
_DAY_SECONDS = 86_400

Counts = npt.NDArray[np.int64]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Histogram(_Part):
    """How many values lie in each bin.

    Attributes:
        edges: Borders of the bins, one more than these; or the values themselves, as many.
        counts: How many.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]


class RatingProfile(_Part):
    """The ratings, in rating units.

    Attributes:
        low: Lowest rating; with `high` the scale as it is inferred.
        high: Highest rating.
        step: Smallest distance of two ratings that occur; None where there are too many or one.
        mean: Their mean.
        std: Their standard deviation.
        histogram: How many there are of each, or in each of 60 bins.
    """

    low: float
    high: float
    step: float | None
    mean: float
    std: float
    histogram: Histogram


class CountProfile(_Part):
    """How many ratings each user gave, or each movie got.

    Attributes:
        number: Users, or movies.
        quantiles: Ratings of one at 0, 25, 50, 75, 99 and 100 % of them.
        top_share: Share of all ratings that the most active or popular 1 % have.
        curve: Pairs of rank, 1 for the first, and ratings at that rank.
    """

    number: int
    quantiles: tuple[float, ...]
    top_share: float
    curve: tuple[tuple[int, int], ...]


class TimeProfile(_Part):
    """When the ratings were given, in seconds since 1970-01-01 UTC.

    Attributes:
        first: The oldest rating.
        last: The newest rating.
        missing: Ratings without a timestamp.
        histogram: How many there are in each of up to 60 spans of whole days.
    """

    first: int
    last: int
    missing: int
    histogram: Histogram


class Profile(_Part):
    """A data set at a glance.

    Attributes:
        accounts: What became of the source's rows.
        quarantined_by_reason: How many rows were set aside for each reason.
        density: Share of all pairs of a user and a movie that are rated.
        ratings: The ratings.
        users: Their activity.
        movies: Their popularity.
        times: When the ratings were given; None where no rating says.
    """

    accounts: Accounts
    quarantined_by_reason: dict[str, int]
    density: float
    ratings: RatingProfile
    users: CountProfile
    movies: CountProfile
    times: TimeProfile | None


def read_profile(folder: Path) -> Profile:
    """Return the profile of a data set's folder.

    Raises:
        DigestError: There is none that can be read.
    """
    path = folder / "profile.json"
    try:
        return Profile.model_validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DigestError(f"{path}: cannot be read ({str(error).splitlines()[0]}); ingest the source again") from None


def profile_of(path: Path, users: Counts, movies: Counts, accounts: Accounts, by_reason: Mapping[str, int]) -> Profile:
    """Look at a data set once more, rating and timestamp alone.

    Args:
        path: The file of ratings.
        users: Ratings of each user.
        movies: Ratings of each movie.
        accounts: What became of the source's rows.
        by_reason: How many rows were set aside for each reason.
    """
    levels, moments = _Levels(), _Moments()
    for _, group in row_groups(path, [RATING, TIMESTAMP]):
        levels.add(group[RATING].to_numpy())
        moments.add(group[TIMESTAMP])
    return Profile(
        accounts=accounts,
        quarantined_by_reason=dict(by_reason),
        density=accounts.kept / (len(users) * len(movies)),
        ratings=levels.profile(path),
        users=_counts(users),
        movies=_counts(movies),
        times=moments.profile(),
    )


class _Levels:
    """Adds up ratings."""

    def __init__(self) -> None:
        self._counts: Counter[float] | None = Counter()
        self._rows, self._sum, self._squares, self._origin = 0, 0.0, 0.0, 0.0
        self._low, self._high = float("inf"), float("-inf")

    def add(self, ratings: npt.NDArray[np.float64]) -> None:
        """Add ratings."""
        self._origin = self._origin if self._rows else float(ratings[0])
        centred = ratings - self._origin  # so that squares of large numbers do not swallow small differences
        self._rows += len(ratings)
        self._sum += float(centred.sum())
        self._squares += float(np.square(centred).sum())
        self._low, self._high = min(self._low, float(ratings.min())), max(self._high, float(ratings.max()))
        if self._counts is not None:
            for value, count in _value_counts(ratings):
                self._counts[value] += count
            self._counts = self._counts if len(self._counts) <= _MOST_LEVELS else None

    def profile(self, path: Path) -> RatingProfile:
        """Return what the ratings look like; where there are too many levels the file is read again."""
        offset = self._sum / self._rows
        variance = max(self._squares / self._rows - offset**2, 0.0)
        levels = None if self._counts is None else np.array(sorted(self._counts))
        step = None if levels is None or len(levels) < 2 else float(np.diff(levels).min())
        return RatingProfile(
            low=self._low,
            high=self._high,
            step=step,
            mean=self._origin + offset,
            std=float(np.sqrt(variance)),
            histogram=self._histogram(path, levels),
        )

    def _histogram(self, path: Path, levels: npt.NDArray[np.float64] | None) -> Histogram:
        if levels is not None and self._counts is not None:
            return Histogram(
                edges=tuple(levels.tolist()), counts=tuple(self._counts[value] for value in levels.tolist())
            )
        edges = np.linspace(self._low, self._high, _BINS + 1)
        counts = np.zeros(_BINS, np.int64)
        for _, group in row_groups(path, [RATING]):
            counts += np.histogram(group[RATING].to_numpy(), edges)[0]
        return Histogram(edges=tuple(edges.tolist()), counts=tuple(counts.tolist()))


class _Moments:
    """Adds up timestamps."""

    def __init__(self) -> None:
        self._days: Counter[int] = Counter()
        self._first, self._last, self._missing = 2**63, -(2**63), 0

    def add(self, timestamps: pa.ChunkedArray) -> None:
        """Add timestamps, or what is missing of them."""
        self._missing += timestamps.null_count
        known = timestamps.drop_null().to_numpy()
        if len(known):
            self._first, self._last = min(self._first, int(known.min())), max(self._last, int(known.max()))
            for day, count in _value_counts(known // _DAY_SECONDS):
                self._days[day] += count

    def profile(self) -> TimeProfile | None:
        """Return when the ratings were given, None where none says."""
        if not self._days:
            return None
        days = np.array(sorted(self._days))
        span = -(-int(days[-1] - days[0] + 1) // _BINS)
        edges = np.arange(days[0], days[-1] + span + 1, span)
        counts, _ = np.histogram(days, edges, weights=[self._days[day] for day in days.tolist()])
        histogram = Histogram(edges=tuple((edges * float(_DAY_SECONDS)).tolist()), counts=tuple(map(int, counts)))
        return TimeProfile(first=self._first, last=self._last, missing=self._missing, histogram=histogram)


def _value_counts(values: npt.NDArray[Any]) -> list[tuple[Any, int]]:
    found = pc.value_counts(pa.array(values))
    return list(zip(found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True))


def _counts(counts: Counts) -> CountProfile:
    falling = np.sort(counts)[::-1]
    ranks = np.unique(np.geomspace(1, len(falling), _CURVE_POINTS).round().astype(np.int64))
    top = falling[: max(1, len(falling) // 100)]
    return CountProfile(
        number=len(counts),
        quantiles=_quantiles(falling, (0, 0.25, 0.5, 0.75, 0.99, 1)),
        top_share=float(top.sum() / falling.sum()),
        curve=tuple((rank, int(falling[rank - 1])) for rank in ranks.tolist()),
    )


def _quantiles(values: Counts, shares: Sequence[float]) -> tuple[float, ...]:
    return tuple(float(value) for value in np.quantile(values, shares))
