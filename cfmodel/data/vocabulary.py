"""Vocabularies: the mapping between ids, which are text, and contiguous row numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cfmodel.errors import DataError, VocabularyError

#: From this size on a float64 does not hold every whole number.
_EXACT_BELOW = 2.0**53


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The known ids, sorted bytewise and distinct; an id's row is its index.

    Attributes:
        ids: The ids as text, shape (R,).
    """

    ids: pa.StringArray

    @classmethod
    def of(cls, ids: Any) -> Self:
        """Return the vocabulary of an Arrow array, a sequence, a NumPy array or a pandas Series."""
        distinct = pc.unique(_as_text(ids)).drop_null()
        # Cast to binary: bytewise order does not depend on the locale.
        order = pc.array_sort_indices(distinct.cast(pa.binary()))
        return cls(distinct.take(order))

    def __len__(self) -> int:
        return len(self.ids)

    def encode(self, ids: Any) -> npt.NDArray[np.int32]:
        """Return the row of each id, -1 if it is unknown, shape (N,).

        An integer is its decimal text: 7 is `7`, never `007`. So is a whole float, since pandas turns
        integers into floats if one is missing. A missing id (None, NaN, NA) is unknown.
        """
        rows = pc.index_in(_as_text(ids), value_set=self.ids).fill_null(-1)
        return np.asarray(rows, dtype=np.int32)

    def row_of(self, id: str | int) -> int:
        """Return the row of one id.

        Raises:
            VocabularyError: The id is unknown.
        """
        row = int(self.encode([id])[0])
        if row < 0:
            raise VocabularyError(self._unknown(str(id)))
        return row

    def decode(self, rows: Sequence[int] | npt.NDArray[np.integer[Any]]) -> list[str]:
        """Return the id of each row.

        Raises:
            VocabularyError: A row is outside [0, R).
        """
        positions = np.asarray(rows, dtype=np.int64)
        if positions.size and (positions.min() < 0 or positions.max() >= len(self)):
            raise VocabularyError(f"rows must be in [0, {len(self):,}), not {positions.min():,} to {positions.max():,}")
        decoded: list[str] = self.ids.take(pa.array(positions)).to_pylist()
        return decoded

    def write(self, path: Path) -> None:
        """Write the ids as Parquet, in one column `id`."""
        pq.write_table(pa.table({"id": self.ids}), path, compression="zstd", write_page_checksum=True)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read ids written by `write`.

        Raises:
            DataError: The ids are not sorted and distinct.
        """
        ids = pq.read_table(path, columns=["id"], page_checksum_verification=True)["id"].combine_chunks()
        vocabulary = cls.of(ids)
        if not vocabulary.ids.equals(ids):
            raise DataError(f"{path.name}: the ids are not sorted and distinct; write it again with Vocabulary.write")
        return vocabulary

    def _unknown(self, id: str) -> str:
        near = get_close_matches(id, _neighbours(self.ids, id), n=3) or _neighbours(self.ids, id)[:3]
        hint = f"; similar ids: {', '.join(repr(other) for other in near)}" if near else ""
        return f"id {id!r} is not among the {len(self):,} known ids{hint}; give one that the model was trained on"


def _as_text(ids: Any) -> pa.StringArray:
    """Return ids as one Arrow array of text; whole numbers become decimal text, missing ids null."""
    if isinstance(ids, pa.ChunkedArray):
        array = ids.combine_chunks()
    elif isinstance(ids, pa.Array):
        array = ids
    else:
        array = _from_python(ids)
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    if pa.types.is_floating(array.type):
        return _text_of_floats(array.cast(pa.float64()))
    if not _is_text_or_integer(array.type):
        raise VocabularyError(f"ids must be text or integers, not {array.type}; convert them to text first")
    return array.cast(pa.string())


def _from_python(ids: Any) -> pa.Array:
    if isinstance(ids, np.ndarray) and ids.dtype.kind in "iuf":
        return pa.array(ids)
    values = [_plain(id) for id in ids]
    try:
        # As in pandas, NaN and NA are missing.
        return pa.array(values, from_pandas=True) if values else pa.array(values, pa.string())
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise VocabularyError(f"ids must be text or integers: {error}") from None


def _plain(id: Any) -> Any:
    """Return a number as text, a whole one as decimal text; anything else unchanged."""
    if isinstance(id, float | np.floating):
        if _EXACT_BELOW <= abs(float(id)) < 2.0**64:
            raise VocabularyError(_inexact(float(id)))
        return str(int(id)) if float(id).is_integer() else None if np.isnan(id) else str(id)
    return str(id) if isinstance(id, int | np.integer) and not isinstance(id, bool) else id


def _text_of_floats(ids: pa.Array) -> pa.StringArray:
    """Return floats as text, whole ones as decimal text, NaN as null.

    Raises:
        VocabularyError: A float is so large that it may stand for several whole numbers.
    """
    ids = pc.if_else(pc.is_nan(ids), None, ids)
    inexact = ids.filter(pc.and_(pc.greater_equal(pc.abs(ids), _EXACT_BELOW), pc.less(pc.abs(ids), 2.0**64)))
    if len(inexact):
        raise VocabularyError(_inexact(inexact[0].as_py()))
    whole = pc.and_(pc.equal(pc.floor(ids), ids), pc.less(pc.abs(ids), _EXACT_BELOW))
    # Arrow writes 123456789012.0 as 1.23456789012e+11, so whole numbers are cast to integers first.
    return pc.if_else(whole, pc.if_else(whole, ids, 0.0).cast(pa.int64()).cast(pa.string()), ids.cast(pa.string()))


def _inexact(id: float) -> str:
    return f"id {id:.0f} is a float, and floats of this size stand for several whole numbers; give it as text"


def _is_text_or_integer(type: pa.DataType) -> bool:
    text = pa.types.is_string(type) or pa.types.is_large_string(type) or pa.types.is_string_view(type)
    return bool(text or pa.types.is_integer(type) or pa.types.is_null(type))


def _neighbours(ids: pa.StringArray, id: str) -> list[str]:
    """Return the ids that sort next to a given one, for the error message."""
    smaller = int(pc.sum(pc.less(ids.cast(pa.binary()), id.encode())).as_py() or 0)
    near: list[str] = ids.slice(max(0, smaller - 50), 100).to_pylist()
    return near
