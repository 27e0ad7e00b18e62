"""Synthetic ratings from known biases, taste vectors and noise, so that the best possible RMSE is known."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cfmodel.errors import ConfigError
from cfmodel.schema import MOMENT, RATINGS

SYNTHETIC = "synthetic"

#: Ratings per block. Do not change: random numbers are drawn block by block, so it changes the ratings.
_BLOCK_ROWS = 262_144

_GLOBAL_MEAN = 3.5
_BIAS_STD = 0.4
#: Each factor of a taste vector has this share of the variance of the one before it.
_DECAY = 0.6
#: Minimum number of ratings of a user, if there are enough for everybody.
_LEAST_ACTIVITY = 20
_ACTIVITY_SIGMA = 1.0
#: Popularity falls as 1 / (rank + shift): a Zipf law whose head is flattened, as in MovieLens 1M.
_POPULARITY_SHIFT = 0.03
#: No user rates more than this share of the catalogue.
_GREEDIEST_FRACTION = 0.8
_FIRST_SECOND, _SECONDS = 1_420_070_400, 3 * 365 * 86_400  # three years from 2015-01-01

_Floats = npt.NDArray[np.float64]
_Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class SyntheticSource:
    """Settings of synthetic ratings.

        rating = 3.5 + user_bias + movie_bias + <user_taste, movie_taste> + noise

    Attributes:
        users: Number of users, U.
        movies: Number of movies, M.
        ratings: Number of ratings, N; at least one per user, at most half of all pairs.
        seed: Seed of all random numbers.
        noise: Standard deviation of the noise, in rating units: no model's expected RMSE is below it.
        signal: Standard deviation of the dot product of tastes, in rating units.
        factors: Length of a taste vector.
    """

    # A model must estimate (factors + 1) (U + M) parameters from N ratings, which adds at least that ratio
    # times the noise variance to its error. With the defaults this is 2.4 %, or 1.2 % of RMSE.
    users: int = 4000
    movies: int = 2000
    ratings: int = 1_000_000
    seed: int = 0
    noise: float = 0.6
    signal: float = 0.5
    factors: int = 3

    @classmethod
    def parse(cls, source: str) -> Self:
        """Read `synthetic` or `synthetic:users=6040,movies=3706,...`.

        Raises:
            ConfigError: A key is unknown or given twice, or a value is out of range.
        """
        _, _, text = source.partition(":")
        known = {field.name: field.type for field in fields(cls)}
        values: dict[str, int | float] = {}
        for pair in filter(None, (part.strip() for part in text.split(","))):
            name, _, value = pair.partition("=")
            if name not in known or name in values:
                problem = "is given twice" if name in values else "is not a key"
                raise ConfigError(f"{source}: {name!r} {problem}; known: {', '.join(known)}, each as key=number")
            values[name] = _number(source, name, value, whole=known[name] is int)
        made = cls(**values)  # type: ignore[arg-type]  # the field's own type, checked above
        made._check_ranges(source)
        return made

    def __str__(self) -> str:
        return f"{SYNTHETIC}:" + ",".join(f"{name}={value}" for name, value in asdict(self).items())

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the ratings block by block, in the schema `RATINGS`; each (user, movie) pair occurs once."""
        streams = [np.random.Generator(np.random.PCG64(seed)) for seed in np.random.SeedSequence(self.seed).spawn(6)]
        activity, popularity, planting, pairs, noise, time = streams
        counts = _activity(activity, self)
        weights = popularity.permutation(1 / (np.arange(self.movies) + _POPULARITY_SHIFT * self.movies + 1))
        cumulative = np.cumsum(weights / weights.sum())
        truth = _Truth.draw(planting, self)
        for first, last in _blocks(counts):
            user_idx, movie_idx = _draw_pairs(pairs, counts[first:last], cumulative)
            user_idx += first
            rating = truth.expected(user_idx, movie_idx) + self.noise * noise.standard_normal(len(user_idx))
            moment = truth.start[user_idx] + time.random(len(user_idx)) * (_SECONDS - truth.start[user_idx])
            yield _batch(user_idx, movie_idx, rating, _FIRST_SECOND + moment.astype(np.int64))

    def _check_ranges(self, source: str) -> None:
        most = self.users * self.movies // 2
        bounds: dict[str, tuple[float, float]] = {
            "users": (1, 2**31 - 1),
            "movies": (2, 2**31 - 1),
            "seed": (0, 2**63),
            "factors": (1, 1024),
            "noise": (0, 1e6),
            "signal": (0, 1e6),
            "ratings": (self.users, most),
        }
        for name, (least, greatest) in bounds.items():
            if not least <= getattr(self, name) <= greatest:
                hint = " (one per user to half of all pairs)" if name == "ratings" else ""
                raise ConfigError(
                    f"{source}: {name} must be between {least:,} and {greatest:,}{hint}, not {getattr(self, name):,}"
                )


@dataclass(frozen=True)
class _Truth:
    """The true biases and taste vectors, and each user's first possible second."""

    user_bias: _Floats
    movie_bias: _Floats
    user_taste: _Floats
    movie_taste: _Floats
    start: _Floats

    @classmethod
    def draw(cls, rng: np.random.Generator, source: SyntheticSource) -> Self:
        variance = _DECAY ** np.arange(source.factors)
        scale = source.signal * np.sqrt(variance / variance.sum())
        return cls(
            user_bias=_BIAS_STD * rng.standard_normal(source.users),
            movie_bias=_BIAS_STD * rng.standard_normal(source.movies),
            user_taste=rng.standard_normal((source.users, source.factors)),
            movie_taste=rng.standard_normal((source.movies, source.factors)) * scale,
            start=rng.random(source.users) * _SECONDS,
        )

    def expected(self, user_idx: _Integers, movie_idx: _Integers) -> _Floats:
        """Return the ratings without their noise, shape (N,)."""
        dot = np.einsum("nk,nk->n", self.user_taste[user_idx], self.movie_taste[movie_idx])
        expected: _Floats = _GLOBAL_MEAN + self.user_bias[user_idx] + self.movie_bias[movie_idx] + dot
        return expected


def _activity(rng: np.random.Generator, source: SyntheticSource) -> _Integers:
    """Return the number of ratings of each user: log-normal between a minimum and a cap, `ratings` in total."""
    least = max(1, min(_LEAST_ACTIVITY, source.ratings // source.users // 2))
    cap = max(least, int(_GREEDIEST_FRACTION * source.movies))
    weights = rng.lognormal(sigma=_ACTIVITY_SIGMA, size=source.users)
    low, high = 0.0, float(cap / weights.min())
    for _ in range(100):  # bisection: the sum rises with the scale
        scale = (low + high) / 2
        low, high = (scale, high) if np.clip(scale * weights, least, cap).sum() < source.ratings else (low, scale)
    ends = np.cumsum(np.clip(high * weights, least, cap))
    # Rounding the running total instead of each count keeps the sum exact.
    whole = np.rint(ends * (source.ratings / ends[-1])).astype(np.int64)
    counts: _Integers = np.diff(whole, prepend=0)
    return counts


def _blocks(counts: _Integers) -> Iterator[tuple[int, int]]:
    """Yield ranges of users, one per block of ratings."""
    ends = np.cumsum(counts)
    first = 0
    while first < len(counts):
        done = ends[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(ends, done + _BLOCK_ROWS, side="right")))
        yield first, last
        first = last


def _draw_pairs(rng: np.random.Generator, counts: _Integers, cumulative: _Floats) -> tuple[_Integers, _Integers]:
    """Draw each user's distinct movies by popularity, without replacement.

    Drawing with replacement and skipping repeats has the same distribution. So a batch is drawn, repeats
    are dropped, and users who still lack movies draw again, twice as many as before.
    """
    movies, factor = len(cumulative), 2
    pairs, lack = np.empty(0, np.int64), counts
    while lack.any():
        user = np.repeat(np.arange(len(counts)), lack * factor)
        movie = np.minimum(np.searchsorted(cumulative, rng.random(len(user)), side="right"), movies - 1)
        pairs = _first_distinct(np.concatenate([pairs, user * movies + movie]), counts, movies)
        lack = counts - np.bincount(pairs // movies, minlength=len(counts))
        factor *= 2
    return pairs // movies, pairs % movies


def _first_distinct(pairs: _Integers, counts: _Integers, movies: int) -> _Integers:
    """Return each user's first `counts` distinct pairs in drawing order, grouped by user."""
    _, arrival = np.unique(pairs, return_index=True)
    distinct = pairs[np.sort(arrival)]
    distinct = distinct[np.argsort(distinct // movies, kind="stable")]
    user = distinct // movies
    firsts = np.searchsorted(user, np.arange(len(counts)))
    return distinct[np.arange(len(user)) - firsts[user] < counts[user]]


def _batch(user_idx: _Integers, movie_idx: _Integers, rating: _Floats, timestamp: _Integers) -> pa.RecordBatch:
    # Ids count from 1, as in most published sets.
    ids = [pa.array(rows + 1).cast(pa.string()) for rows in (user_idx, movie_idx)]
    moments = pa.array(timestamp).cast(pa.timestamp("s", "UTC")).cast(MOMENT)
    return pa.record_batch([*ids, pa.array(rating), moments], schema=RATINGS)


def _number(source: str, name: str, text: str, *, whole: bool) -> int | float:
    try:
        return int(text) if whole else float(text)
    except ValueError:
        kind = "a whole number" if whole else "a number"
        raise ConfigError(f"{source}: {name} must be {kind}, not {text!r}") from None
