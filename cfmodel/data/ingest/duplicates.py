"""Duplicates: several ratings of one movie by one user, found in the whole data set and merged."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from cfmodel.config import IngestSettings
from cfmodel.data.ingest.ratings_sink import Pairs, movies_of, users_of
from cfmodel.data.storage import compact, open_ratings_writer
from cfmodel.errors import DataError
from cfmodel.schema import ENCODED_RATINGS, MOVIE_ID, RATING, TIMESTAMP, USER_ID


@dataclass(frozen=True, eq=False)
class Merge:
    """How duplicates are merged.

    Attributes:
        kept: Which ratings stay, shape (N,).
        rows: Rows of the kept ratings that replace several, rising, shape (G,).
        ratings: Their new ratings, shape (G,).
    """

    kept: npt.NDArray[np.bool_]
    rows: npt.NDArray[np.int64]
    ratings: npt.NDArray[np.float64]


def find_duplicates(
    pairs: Pairs, path: Path, settings: IngestSettings, users: pa.Array, movies: pa.Array
) -> Merge | None:
    """Find ratings of the same user and movie; return how to merge them, or None if there are none.

    The rating with the newest timestamp stays; without timestamps, or if they are equal, the last one
    in the source. With `ingest.on_duplicate = 'mean'` it gets the mean of all.

    Args:
        pairs: User and movie of each rating, in the order of the file.

    Raises:
        DataError: There are duplicates and `ingest.on_duplicate` is 'stop'.
    """
    ordered = np.sort(pairs)
    twice = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    del ordered
    if not len(twice):
        return None
    involved = np.isin(pairs, twice)
    places = np.flatnonzero(involved)
    if settings.on_duplicate == "stop":
        first = pairs[places[:1]]
        user, movie = int(users_of(first)[0]), int(movies_of(first)[0])
        raise DataError(
            f"{len(places):,} ratings share {len(twice):,} (user, movie) pairs, the first of them "
            f"user {users[user].as_py()!r} and movie {movies[movie].as_py()!r}; remove them, or set "
            f"ingest.on_duplicate = 'last' or 'mean'"
        )
    rating, timestamp = _read_rows(path, involved)
    order = np.lexsort((places, timestamp, pairs[places]))
    group = np.searchsorted(twice, pairs[places][order])
    last = np.append(group[1:] != group[:-1], True)
    winners, ratings = places[order][last], rating[order][last]
    if settings.on_duplicate == "mean":
        ratings = np.bincount(group, rating[order]) / np.bincount(group)
    kept = ~involved
    kept[winners] = True
    rising = np.argsort(winners)
    return Merge(kept, winners[rising], ratings[rising])


def merge_duplicates(path: Path, target: Path, merge: Merge) -> None:
    """Copy a file of ratings with its duplicates merged."""
    with open_ratings_writer(target, ENCODED_RATINGS, first=pa.array(merge.ratings)) as writer:
        for first, ratings in row_groups(path):
            here = slice(first, first + ratings.num_rows)
            at = slice(*np.searchsorted(merge.rows, (here.start, here.stop)))
            values = ratings[RATING].to_numpy().copy()
            values[merge.rows[at] - first] = merge.ratings[at]
            column = ratings.schema.get_field_index(RATING)
            changed = ratings.set_column(column, ENCODED_RATINGS.field(RATING), [values])
            left = changed.filter(pa.array(merge.kept[here]))
            if left.num_rows:
                writer.write_table(compact(left.cast(ENCODED_RATINGS)), row_group_size=left.num_rows)


def row_groups(path: Path, columns: list[str] | None = None) -> Iterator[tuple[int, pa.Table]]:
    """Yield a file's row groups, each with the row number of its first rating."""
    first = 0
    with pq.ParquetFile(path, read_dictionary=[USER_ID, MOVIE_ID], page_checksum_verification=True) as file:
        for place in range(file.num_row_groups):
            group = file.read_row_group(place, columns)
            yield first, group
            first += group.num_rows


def _read_rows(path: Path, involved: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Return rating and timestamp of the selected rows; the timestamp is 0 if missing."""
    rating, timestamp = [], []
    for first, group in row_groups(path, [RATING, TIMESTAMP]):
        chosen = group.filter(pa.array(involved[first : first + group.num_rows]))
        rating.append(chosen[RATING].to_numpy())
        timestamp.append(chosen[TIMESTAMP].cast(pa.int64()).fill_null(0).to_numpy())
    return np.concatenate(rating), np.concatenate(timestamp)
