"""A column as its distinct values: ids and ratings recur, so each is looked at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Mask = npt.NDArray[np.bool_]

#: Beyond it a float no longer tells whole numbers apart.
_EXACT = 2.0**53


@dataclass(frozen=True, eq=False)
class Distinct:
    """The distinct values of a column, and one more place for what is null.

    Attributes:
        values: As the file has them, shape (D,).
        text: Each as text, empty where it is none, shape (D + 1,).
        place: Each row's place in `text`, int32, shape (N,).
        missing: Which are not there, shape (D + 1,).
        garbled: Which are no UTF-8, shape (D + 1,).
        fractional: Which are numbers and not whole, or too large to be exact, shape (D + 1,).
    """

    values: pa.Array
    text: pa.StringArray
    place: npt.NDArray[np.int32]
    missing: Mask
    garbled: Mask
    fractional: Mask

    @classmethod
    def of(cls, column: pa.Array, *, trim: bool, missing: Sequence[str], replaced: bool = False) -> Self:
        """Collect a column's distinct values.

        Args:
            column: Text, bytes or numbers, or a dictionary of these.
            trim: Whether blanks around a text are no part of it.
            missing: Spellings of a value that is not there, blanks around it aside.
            replaced: Whether a replacement character stands for bytes that were no UTF-8.
        """
        coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        # As bytes: Parquet's text may be no UTF-8, and only the cast from bytes looks.
        values = _as_bytes(coded.dictionary) if is_text(column.type) else coded.dictionary
        place = coded.indices.cast(pa.int32(), safe=False).fill_null(len(values)).to_numpy()
        text, garbled, fractional = _as_text(values)
        if replaced:
            garbled |= _mask(pc.match_substring(text, "\ufffd"))
        stripped = pc.utf8_trim_whitespace(text)
        absent = pc.or_(pc.equal(stripped, ""), pc.is_in(stripped, value_set=pa.array(missing, pa.string())))
        absent = _mask(absent) & ~garbled & ~fractional
        text = pa.concat_arrays([stripped if trim else text, pa.array([""])])
        return cls(values, text, place, _and_one(absent, True), _and_one(garbled, False), _and_one(fractional, False))

    def rows(self, mask: Mask) -> Mask:
        """Return which rows hold a value of a mask."""
        rows: Mask = mask[self.place] if mask.any() else np.zeros(len(self.place), bool)
        return rows

    def original(self, row: int) -> Any:
        """Return what the file has in a row; bytes only where they are no text."""
        if self.place[row] == len(self.values):
            return None
        value = self.values[int(self.place[row])].as_py()
        text = _decoded(value) if isinstance(value, bytes) else value
        return value if text is None else text

    def as_dictionary(self) -> pa.DictionaryArray:
        """Return the column as text."""
        return pa.DictionaryArray.from_arrays(self.place, self.text)

    def parsed(self, parse: Callable[[str], float | int | None]) -> list[float | int | None]:
        """Return what each distinct text means, None where it is missing or means nothing."""
        skipped = self.missing | self.garbled
        return [None if skip else parse(text) for text, skip in zip(self.text.to_pylist(), skipped, strict=True)]


def is_text(type: pa.DataType) -> bool:
    """Tell whether a column holds text, be it stored as bytes, as views or as a dictionary."""
    if pa.types.is_dictionary(type):
        type = type.value_type
    return any(
        kind(type)
        for kind in (
            pa.types.is_string,
            pa.types.is_large_string,
            pa.types.is_string_view,
            pa.types.is_binary,
            pa.types.is_large_binary,
            pa.types.is_binary_view,
            pa.types.is_fixed_size_binary,
        )
    )


def nulls(column: pa.Array) -> Mask:
    """Return which rows are null."""
    return _mask(pc.is_null(column))


def _as_text(values: pa.Array) -> tuple[pa.StringArray, Mask, Mask]:
    """Return values as text, and which are garbled or fractional; those are empty."""
    none = np.zeros(len(values), bool)
    if is_text(values.type):
        text, garbled = _utf8(values)
        return text, garbled, none
    if pa.types.is_floating(values.type) or pa.types.is_decimal(values.type):
        return _whole(values)
    return values.cast(pa.string()).fill_null(""), none, none


def _as_bytes(values: pa.Array) -> pa.Array:
    if pa.types.is_string_view(values.type) or pa.types.is_binary_view(values.type):
        values = values.cast(pa.large_binary())
    return values.cast(pa.binary())


def _utf8(values: pa.Array) -> tuple[pa.StringArray, Mask]:
    values = values.fill_null(b"")
    try:
        return values.cast(pa.string()), np.zeros(len(values), bool)
    except pa.ArrowInvalid:
        decoded = [_decoded(value) for value in values.to_pylist()]
    garbled = np.array([text is None for text in decoded], bool)
    return pa.array([text or "" for text in decoded], pa.string()), garbled


def _decoded(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def _whole(values: pa.Array) -> tuple[pa.StringArray, Mask, Mask]:
    """Return whole numbers as their decimal text: a column that can lack values is often stored as floats."""
    floats = values.cast(pa.float64(), safe=False).fill_null(float("nan")).to_numpy(zero_copy_only=False)
    absent = np.isnan(floats)
    whole = ~absent & (np.floor(floats) == floats) & (np.abs(floats) <= _EXACT)
    text = pa.array(np.where(whole, floats, 0.0).astype(np.int64)).cast(pa.string())
    return pc.if_else(pa.array(whole), text, ""), np.zeros(len(values), bool), ~whole & ~absent


def _mask(mask: pa.Array) -> Mask:
    found: Mask = mask.to_numpy(zero_copy_only=False)
    return found


def _and_one(mask: Mask, last: bool) -> Mask:
    return np.append(mask, last)
