"""Wide tables, with a row per user and a column per movie: turn them into one row per rating."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from cfmodel.data.formats.distinct_values import DistinctValues, Mask, is_text, null_rows
from cfmodel.data.formats.raw_rows import Numbers
from cfmodel.schema import MOVIE_ID, RATING, USER_ID


def melt_wide(
    users: pa.Array, cells: Mapping[str, pa.Array], *, missing: Sequence[str]
) -> tuple[pa.RecordBatch, Numbers, int]:
    """Turn cells into ratings, row by row.

    Args:
        users: The user of each row, shape (U,).
        cells: Movie id to its column, each of shape (U,).
        missing: Texts that stand for an empty cell.

    Returns:
        The cells that are not empty, with their ids; the row of each; and the number of empty cells.
    """
    rated = ~np.stack([_empty(column, missing) for column in cells.values()], axis=1)
    row, movie = np.nonzero(rated)
    flat = pa.concat_arrays(_same_type(list(cells.values())))
    batch = pa.record_batch(
        {
            USER_ID: users.take(pa.array(row)),
            MOVIE_ID: pa.DictionaryArray.from_arrays(movie.astype(np.int32), pa.array(list(cells), pa.string())),
            RATING: flat.take(pa.array(movie * len(users) + row)),
        }
    )
    return batch, row, rated.size - len(row)


def _empty(column: pa.Array, missing: Sequence[str]) -> Mask:
    if not is_text(column.type):
        return null_rows(column)
    distinct = DistinctValues.of(column, trim=True, missing=missing)
    return distinct.rows(distinct.missing)


def _same_type(columns: Sequence[pa.Array]) -> list[pa.Array]:
    """Cast columns to one type: bytes stay, numbers become floats, a mixture becomes text."""
    columns = [_dense(column) for column in columns]
    if all(column.type == columns[0].type for column in columns):
        return list(columns)
    if any(is_text(column.type) for column in columns):
        return [column.cast(pa.string()) for column in columns]
    return [column.cast(pa.float64(), safe=False) for column in columns]


def _dense(column: pa.Array) -> pa.Array:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
