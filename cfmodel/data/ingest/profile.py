"""The profile of a data set: counts, histograms and curves, written as `profile.json`."""

from collections import Counter
from collections.abc import Mapping
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

#: More distinct ratings than this are counted in bins.
_MOST_LEVELS = 1_000
_BINS = 60
_CURVE_POINTS = 100
_DAY_SECONDS = 86_400
_SECOND = 1_000_000_000  # in nanoseconds

_Counts = npt.NDArray[np.int64]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ProfileHistogram(_Part):
    """Counts of values, per bin or per distinct value.

    Attributes:
        edges: Edges of the bins, one more than counts; or the distinct values, as many as counts.
        counts: Number of values in each bin.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]


class RatingsAtEnd(_Part):
    """The lowest or highest rating, among many distinct ones.

    Attributes:
        count: How many ratings are equal to it.
        next: The rating next to it.
    """

    count: int
    next: float


class RatingProfile(_Part):
    """The ratings, in rating units.

    Attributes:
        step: Smallest difference of two distinct ratings; None if there is one, or more than 1,000.
        histogram: Number of ratings of each value, or in each of 60 bins.
        low_end: The lowest rating; None if the histogram has each value.
        high_end: The highest rating; None if the histogram has each value.
    """

    low: float
    high: float
    step: float | None
    mean: float
    std: float
    histogram: ProfileHistogram
    low_end: RatingsAtEnd | None = None
    high_end: RatingsAtEnd | None = None


class CountProfile(_Part):
    """Number of ratings per user, or per movie.

    Attributes:
        quantiles: Ratings per user or movie at 0, 25, 50, 75, 99 and 100 %.
        top_share: Share of all ratings that belong to the most active or popular 1 %.
        curve: Pairs of rank, from 1, and number of ratings at that rank.
    """

    number: int
    quantiles: tuple[float, ...]
    top_share: float
    curve: tuple[tuple[int, int], ...]


class TimeProfile(_Part):
    """Timestamps of the ratings, in seconds since 1970-01-01 UTC.

    Attributes:
        missing: Number of ratings without a timestamp.
        histogram: Number of ratings in up to 60 bins of whole days.
    """

    first: int
    last: int
    missing: int
    histogram: ProfileHistogram


class Profile(_Part):
    """The profile of a data set.

    Attributes:
        quarantined_by_reason: Number of rows in the quarantine for each reason.
        density: Share of all (user, movie) pairs that are rated.
        times: The timestamps; None if no rating has one.
        read_as: What the source was taken for, in one line.
        warnings: What is worth a look, such as a column that was guessed.
    """

    accounts: Accounts
    quarantined_by_reason: dict[str, int]
    density: float
    ratings: RatingProfile
    users: CountProfile
    movies: CountProfile
    times: TimeProfile | None
    read_as: str = ""
    warnings: tuple[str, ...] = ()


def read_profile(folder: Path) -> Profile:
    """Return the profile of a data set's folder.

    Raises:
        DigestError: The profile is missing or cannot be read.
    """
    path = folder / "profile.json"
    try:
        return Profile.model_validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DigestError(f"{path}: cannot be read ({str(error).splitlines()[0]}); ingest the source again") from None


def profile_ratings(
    path: Path, users: _Counts, movies: _Counts, accounts: Accounts, by_reason: Mapping[str, int]
) -> Profile:
    """Return the profile of a file of ratings; `users` and `movies` are the numbers of ratings of each."""
    values, times = _RatingValues(), _Timestamps()
    for _, group in row_groups(path, [RATING, TIMESTAMP]):
        values.add(group[RATING].to_numpy())
        times.add(group[TIMESTAMP])
    return Profile(
        accounts=accounts,
        quarantined_by_reason=dict(by_reason),
        density=accounts.kept / (len(users) * len(movies)),
        ratings=values.profile(path),
        users=_count_profile(users),
        movies=_count_profile(movies),
        times=times.profile(),
    )


class _RatingValues:
    """Running statistics of the ratings."""

    def __init__(self) -> None:
        self._counts: Counter[float] | None = Counter()
        self._rows, self._sum, self._squares, self._origin = 0, 0.0, 0.0, 0.0
        self._low, self._high = float("inf"), float("-inf")

    def add(self, ratings: npt.NDArray[np.float64]) -> None:
        """Add ratings."""
        self._origin = self._origin if self._rows else float(ratings[0])
        centred = ratings - self._origin  # keeps the squares small, so that no digits are lost
        self._rows += len(ratings)
        self._sum += float(centred.sum())
        self._squares += float(np.square(centred).sum())
        self._low, self._high = min(self._low, float(ratings.min())), max(self._high, float(ratings.max()))
        if self._counts is not None:
            for value, count in _value_counts(ratings):
                self._counts[value] += count
            self._counts = self._counts if len(self._counts) <= _MOST_LEVELS else None

    def profile(self, path: Path) -> RatingProfile:
        """Return the profile; if there are too many distinct ratings, the file is read again."""
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
            low_end=None if levels is not None else _at_end(path, self._low, inwards=1),
            high_end=None if levels is not None else _at_end(path, self._high, inwards=-1),
        )

    def _histogram(self, path: Path, levels: npt.NDArray[np.float64] | None) -> ProfileHistogram:
        if levels is not None and self._counts is not None:
            return ProfileHistogram(
                edges=tuple(levels.tolist()), counts=tuple(self._counts[value] for value in levels.tolist())
            )
        edges = np.linspace(self._low, self._high, _BINS + 1)
        counts = np.zeros(_BINS, np.int64)
        for _, group in row_groups(path, [RATING]):
            counts += np.histogram(group[RATING].to_numpy(), edges)[0]
        return ProfileHistogram(edges=tuple(edges.tolist()), counts=tuple(counts.tolist()))


def _at_end(path: Path, end: float, *, inwards: int) -> RatingsAtEnd:
    count, distance = 0, float("inf")
    for _, group in row_groups(path, [RATING]):
        distances = (group[RATING].to_numpy() - end) * inwards
        count += int(np.count_nonzero(distances == 0))
        distance = min(distance, float(distances.min(initial=np.inf, where=distances > 0)))
    return RatingsAtEnd(count=count, next=end + inwards * distance)


class _Timestamps:
    """Running statistics of the timestamps."""

    def __init__(self) -> None:
        self._days: Counter[int] = Counter()
        self._first, self._last, self._missing = 2**63, -(2**63), 0

    def add(self, timestamps: pa.ChunkedArray) -> None:
        """Add timestamps."""
        self._missing += timestamps.null_count
        known = timestamps.drop_null().cast(pa.int64()).to_numpy()
        if len(known):
            first, last = int(known.min()) // _SECOND, int(known.max()) // _SECOND
            self._first, self._last = min(self._first, first), max(self._last, last)
            for day, count in _value_counts(known // (_DAY_SECONDS * _SECOND)):
                self._days[day] += count

    def profile(self) -> TimeProfile | None:
        """Return the profile, None if no rating has a timestamp."""
        if not self._days:
            return None
        days = np.array(sorted(self._days))
        span = -(-int(days[-1] - days[0] + 1) // _BINS)
        edges = np.arange(days[0], days[-1] + span + 1, span)
        counts, _ = np.histogram(days, edges, weights=[self._days[day] for day in days.tolist()])
        histogram = ProfileHistogram(
            edges=tuple((edges * float(_DAY_SECONDS)).tolist()), counts=tuple(map(int, counts))
        )
        return TimeProfile(first=self._first, last=self._last, missing=self._missing, histogram=histogram)


def _value_counts(values: npt.NDArray[Any]) -> list[tuple[Any, int]]:
    found = pc.value_counts(pa.array(values))
    return list(zip(found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True))


def _count_profile(counts: _Counts) -> CountProfile:
    falling = np.sort(counts)[::-1]
    ranks = np.unique(np.geomspace(1, len(falling), _CURVE_POINTS).round().astype(np.int64))
    top = falling[: max(1, len(falling) // 100)]
    return CountProfile(
        number=len(counts),
        quantiles=tuple(np.quantile(falling, (0, 0.25, 0.5, 0.75, 0.99, 1)).tolist()),
        top_share=float(top.sum() / falling.sum()),
        curve=tuple((rank, int(falling[rank - 1])) for rank in ranks.tolist()),
    )
