"""Ids of the test ratings: which of them are cold, and whether they are of the model's kind."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from cfmodel.data.vocabulary import Vocabulary
from cfmodel.errors import DataError
from cfmodel.refs import SplitRef
from cfmodel.schema import MOVIE_ID, USER_ID

#: Number of example ids in an error message.
_EXAMPLES = 3


@dataclass(frozen=True, eq=False)
class ColumnIds:
    """The ids of one column of the test part.

    Attributes:
        column: Name of the column.
        distinct: Its distinct ids as text, shape (D,).
        codes: Index in `distinct` of each test row's id, int32, shape (N,).
        rows: Row of each distinct id in the model's vocabulary, -1 if unknown, int32, shape (D,).
    """

    column: str
    distinct: pa.Array
    codes: npt.NDArray[np.int32]
    rows: npt.NDArray[np.int32]

    @property
    def unknown(self) -> int:
        """Number of distinct ids that the model does not know."""
        return int((self.rows < 0).sum())

    def keys(self, num_rows: int) -> npt.NDArray[np.int64]:
        """Return a number for each test row's id, shape (N,): its row if known, from `num_rows` on if not."""
        distinct_keys = np.where(self.rows >= 0, self.rows, num_rows + np.arange(len(self.rows)))
        return distinct_keys[self.codes]


def read_ids(split: SplitRef, *, users: Vocabulary, movies: Vocabulary) -> tuple[ColumnIds, ColumnIds]:
    """Read the user and movie ids of the test part, whose digest the caller has verified."""
    columns = [USER_ID, MOVIE_ID]
    # As dictionaries, 2,500,000 rows are that many integers, and each distinct id is stored once.
    table = pq.read_table(split.path / "test.parquet", columns=columns, read_dictionary=columns)
    return _column_ids(table, USER_ID, users), _column_ids(table, MOVIE_ID, movies)


def user_codes(split: SplitRef) -> npt.NDArray[np.int32]:
    """Return a number for the user of each test row, known to a model or not, shape (N,)."""
    table = pq.read_table(split.path / "test.parquet", columns=[USER_ID], read_dictionary=[USER_ID])
    return _column_ids(table, USER_ID, Vocabulary.of([])).codes


def check_kind(ids: ColumnIds, vocabulary: Vocabulary, *, max_unknown_fraction: float, split: SplitRef) -> None:
    """Raise if nearly all ids of a column are unknown: they are then of another kind, rather than cold.

    Distinct ids are counted, not rows, since a few new users may have many ratings.

    Raises:
        DataError: The share of unknown ids is `max_unknown_fraction` or more.
    """
    total = len(ids.distinct)
    if ids.unknown < max_unknown_fraction * total:
        return
    given, known = (_examples(some) for some in (ids.distinct, vocabulary.ids))
    raise DataError(
        f"{split.path / 'test.parquet'}, column {ids.column}: {ids.unknown:,} of {total:,} distinct ids "
        f"({ids.unknown / total:.1%}) are unknown to the model, which was trained on {len(vocabulary):,}; "
        f"test has ids such as {given}, the model such as {known}; fewer than {max_unknown_fraction:.1%} "
        "were expected, so the ids are probably of another kind: give test ratings that name users and movies as "
        "the training ratings do (the same column, prefix and leading zeros)"
    )


def _column_ids(table: pa.Table, column: str, vocabulary: Vocabulary) -> ColumnIds:
    encoded = table[column].unify_dictionaries().combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):  # pyarrow's result for a column without chunks
        encoded = pa.array([], pa.string()).dictionary_encode()
    codes = encoded.indices.to_numpy().astype(np.int32)
    return ColumnIds(column, encoded.dictionary, codes, vocabulary.encode(encoded.dictionary))


def _examples(ids: pa.Array) -> str:
    return ", ".join(repr(id) for id in ids.slice(0, _EXAMPLES).to_pylist())
