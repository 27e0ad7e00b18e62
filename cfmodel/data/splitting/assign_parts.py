"""Split strategies: assign each rating to train, val or test."""

import hashlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from cfmodel.config import SplitSettings
from cfmodel.data.splitting.ratings_table import RatingsTable
from cfmodel.data.storage import take_rows
from cfmodel.data.vocabulary import Vocabulary
from cfmodel.errors import DataError

TRAIN, VAL, TEST = 0, 1, 2
PARTS = {"train": TRAIN, "val": VAL, "test": TEST}
#: Ratings per block of hashes, and threads that work on blocks.
_BLOCK_ROWS, _THREADS = 262_144, 2

#: Strategies that go by when a rating was given.
NEED_TIMES = ("per_user_latest", "temporal")

_Parts = npt.NDArray[np.int8]
_Hashes = npt.NDArray[np.uint64]


def assign_parts(ratings: RatingsTable, settings: SplitSettings) -> _Parts:
    """Return the part of each rating, shape (N,): 0 for train, 1 for val, 2 for test.

    - `random`: by a hash of seed, user and movie in [0, 1). A rating's part depends on nothing else,
      so new ratings do not move old ones.
    - `per_user_latest`: of a user's n ratings the newest n * test_fraction, rounded, are test, and the
      newest of the rest are val; at least one stays in train. Ratings of the same moment are ordered
      by movie id.
    - `temporal`: all ratings from one point in time on are test, so that every test rating is newer
      than all others and equal timestamps stay together. The newest of the rest are val by the same
      rule.
    - `predefined`: ratings of the second data set are test; val is drawn from the first by the hash.

    Raises:
        DataError: The strategy needs timestamps and there are none.
    """
    if settings.strategy == "random":
        return _by_hash(ratings, settings, test_fraction=settings.test_fraction)
    if settings.strategy == "predefined":
        assert ratings.is_test is not None
        parts = _by_hash(ratings, settings, test_fraction=0.0)
        return np.where(ratings.is_test, np.int8(TEST), parts)
    if ratings.timestamp is None:
        raise DataError(without_times(settings.strategy))
    if settings.strategy == "per_user_latest":
        return _per_user_latest(ratings, ratings.timestamp, settings)
    return _temporal(ratings.timestamp, settings)


def without_times(strategy: str) -> str:
    """Return what is wrong with a strategy that needs timestamps where there are none."""
    return (
        f"split.strategy = '{strategy}' needs timestamps, and the ratings have none; set split.strategy = 'random', or "
        f"name the column that holds times: --set ingest.columns.timestamp=NAME"
    )


def _by_hash(ratings: RatingsTable, settings: SplitSettings, *, test_fraction: float) -> _Parts:
    users = _hashes(ratings.users, settings.seed, "user")
    movies = _mixed(_hashes(ratings.movies, settings.seed, "movie"))
    parts = np.full(len(ratings), TRAIN, np.int8)

    def assign_block(first: int) -> None:
        rows = slice(first, first + _BLOCK_ROWS)
        pairs = _mixed(take_rows(users, ratings.user_idx[rows]) + take_rows(movies, ratings.movie_idx[rows]))
        # A second mix makes val independent of test.
        parts[rows][_unit(_mixed(pairs)) < settings.val_fraction] = VAL
        parts[rows][_unit(pairs) < test_fraction] = TEST

    with ThreadPoolExecutor(_THREADS, "split") as threads:
        list(threads.map(assign_block, range(0, len(ratings), _BLOCK_ROWS)))
    return parts


def _hashes(vocabulary: Vocabulary, seed: int, kind: str) -> _Hashes:
    """Hash each distinct id, equally on every machine; Python's `hash()` is salted per process."""
    key, person = seed.to_bytes(8, "little"), kind.encode()
    keyed = hashlib.blake2b(digest_size=8, key=key, person=person)
    digests = []
    for id in vocabulary.ids.to_pylist():
        hashed = keyed.copy()  # takes half the time of a new keyed hash
        hashed.update(id.encode())
        digests.append(hashed.digest())
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)


def _mixed(hashes: _Hashes) -> _Hashes:
    """Mix the bits of 64-bit numbers (the finaliser of SplitMix64, Steele, Lea & Flood 2014)."""
    mixed = hashes + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    last: _Hashes = mixed ^ (mixed >> np.uint64(31))
    return last


def _unit(hashes: _Hashes) -> npt.NDArray[np.float64]:
    """Map 64-bit numbers evenly to [0, 1)."""
    return (hashes >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _per_user_latest(ratings: RatingsTable, timestamp: npt.NDArray[np.int64], settings: SplitSettings) -> _Parts:
    # Movie and rating are the last keys, so that the order of the source does not matter.
    order = np.lexsort((ratings.rating, ratings.movie_idx, timestamp, ratings.user_idx))
    user = ratings.user_idx[order]
    counts = np.bincount(user, minlength=len(ratings.users))
    age = np.cumsum(counts)[user] - 1 - np.arange(len(user))  # 0 is the user's newest
    test = _rounded_share(counts, settings.test_fraction)
    val = _rounded_share(counts - test, settings.val_fraction)
    parts = np.full(len(ratings), TRAIN, np.int8)
    parts[order[age < (test + val)[user]]] = VAL
    parts[order[age < test[user]]] = TEST
    return parts


def _rounded_share(counts: npt.NDArray[np.int64], fraction: float) -> npt.NDArray[np.int64]:
    """Return a share of each count, rounded half up, and less than the count."""
    share = np.floor(counts * fraction + 0.5).astype(np.int64)
    left: npt.NDArray[np.int64] = np.minimum(share, np.maximum(counts - 1, 0))
    return left


def _temporal(timestamp: npt.NDArray[np.int64], settings: SplitSettings) -> _Parts:
    test = timestamp >= _oldest_of_newest(timestamp, settings.test_fraction)
    rest = timestamp[~test]
    parts = np.where(test, np.int8(TEST), np.int8(TRAIN))
    if len(rest):
        parts[~test & (timestamp >= _oldest_of_newest(rest, settings.val_fraction))] = VAL
    return parts


def _oldest_of_newest(timestamp: npt.NDArray[np.int64], fraction: float) -> np.int64:
    """Return the oldest timestamp among the newest share of the ratings."""
    place = min(len(timestamp) - 1, len(timestamp) - round(len(timestamp) * fraction))
    oldest: np.int64 = np.partition(timestamp, place)[place]
    return oldest
