"""The distinct values of a column, so that recurring ids and ratings are parsed and checked once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Mask = npt.NDArray[np.bool_]

#: From this size on, a float of 16, 32 or 64 bits does not hold every whole number.
EXACT_BELOW = {16: 2**11, 32: 2**24, 64: 2**53}
_TEXT_TYPES = (
    *(pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view),
    *(pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_fixed_size_binary),
)


@dataclass(frozen=True, eq=False)
class DistinctValues:
    """The distinct values of a column, and one last entry for null.

    Attributes:
        values: The values as the file holds them, shape (D,).
        text: Each value as text, empty if it has none, shape (D + 1,).
        index: Each row's index into `text`, int32, shape (N,).
        missing: Which values are missing, shape (D + 1,).
        not_utf8: Which values are not valid UTF-8, shape (D + 1,).
        not_whole: Which values are numbers that are not whole, or floats too large to be exact, shape (D + 1,).
    """

    values: pa.Array
    text: pa.StringArray
    index: npt.NDArray[np.int32]
    missing: Mask
    not_utf8: Mask
    not_whole: Mask

    @classmethod
    def of(cls, column: pa.Array, *, trim: bool, missing: Sequence[str], replaced: bool = False) -> Self:
        """Collect a column's distinct values.

        Args:
            column: Text, bytes or numbers, or a dictionary of these.
            missing: Texts that stand for a missing value, without blanks around them.
            replaced: Whether U+FFFD replaces bytes that were not valid UTF-8.
        """
        coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        # As bytes: text in Parquet may not be valid UTF-8, and only the cast from bytes checks it.
        values = _as_bytes(coded.dictionary) if is_text(column.type) else coded.dictionary
        index = coded.indices.cast(pa.int32(), safe=False).fill_null(len(values)).to_numpy()
        text, not_utf8, not_whole = _as_text(values)
        if replaced:
            not_utf8 |= _mask(pc.match_substring(text, "\ufffd"))
        stripped = pc.utf8_trim_whitespace(text)
        absent = pc.or_(pc.equal(stripped, ""), pc.is_in(stripped, value_set=pa.array(missing, pa.string())))
        absent = _mask(absent) & ~not_utf8 & ~not_whole
        text = pa.concat_arrays([stripped if trim else text, pa.array([""])])
        return cls(
            values, text, index, np.append(absent, True), np.append(not_utf8, False), np.append(not_whole, False)
        )

    def rows(self, mask: Mask) -> Mask:
        """Return which rows hold a value that the mask selects."""
        rows: Mask = mask[self.index] if mask.any() else np.zeros(len(self.index), bool)
        return rows

    def longer_than(self, characters: int) -> Mask:
        """Return which values are longer than a number of characters, shape (D + 1,)."""
        return _mask(pc.greater(pc.utf8_length(self.text), characters))

    def holding(self, part: str) -> Mask:
        """Return which values hold a text, shape (D + 1,)."""
        return _mask(pc.match_substring(self.text, part))

    def original(self, row: int) -> Any:
        """Return a row's value as the file holds it; bytes only if they are not valid UTF-8."""
        if self.index[row] == len(self.values):
            return None
        value = self.values[int(self.index[row])].as_py()
        text = _decoded(value) if isinstance(value, bytes) else value
        return value if text is None else text

    def as_dictionary(self) -> pa.DictionaryArray:
        """Return the column as dictionary-encoded text."""
        # Values that differ only in blanks are one id. Arrow writes random bytes if a dictionary has duplicates.
        distinct = self.text.dictionary_encode()
        return pa.DictionaryArray.from_arrays(distinct.indices.to_numpy()[self.index], distinct.dictionary)

    def parse(self, parse: Callable[[str], float | int | None]) -> list[float | int | None]:
        """Return the parsed value of each distinct text, None if it is missing or cannot be parsed."""
        skipped = self.missing | self.not_utf8
        return [None if skip else parse(text) for text, skip in zip(self.text.to_pylist(), skipped, strict=True)]


def is_text(type: pa.DataType) -> bool:
    """Return whether a type is text: strings, bytes, views of these, or a dictionary of these."""
    if pa.types.is_dictionary(type):
        type = type.value_type
    return any(kind(type) for kind in _TEXT_TYPES)


def plain_column(column: pa.Array) -> pa.Array:
    """Return a column in a type that Arrow computes with: UUIDs as their usual text, JSON as text, wider numbers.

    Other extension types stay as they are.
    """
    if isinstance(column, pa.ExtensionArray):
        if column.type.extension_name == "arrow.uuid":
            coded = column.storage.dictionary_encode()
            return pa.DictionaryArray.from_arrays(coded.indices, _uuid_text(coded.dictionary))
        return column.storage if column.type.extension_name == "arrow.json" else column
    if pa.types.is_decimal32(column.type) or pa.types.is_decimal64(column.type):
        return column.cast(pa.decimal128(column.type.precision, column.type.scale))
    return column.cast(pa.float32()) if pa.types.is_float16(column.type) else column


def _uuid_text(values: pa.FixedSizeBinaryArray) -> pa.StringArray:
    """Return UUIDs of 16 bytes as 36 characters, `8-4-4-4-12`."""
    digits = pa.array([value.hex() for value in values.to_pylist()], pa.string())
    parts = [pc.utf8_slice_codeunits(digits, *ends) for ends in ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32))]
    return pc.binary_join_element_wise(*parts, "-")


def null_rows(column: pa.Array) -> Mask:
    """Return which rows are null."""
    return _mask(pc.is_null(column))


def _as_text(values: pa.Array) -> tuple[pa.StringArray, Mask, Mask]:
    """Return values as text, and which are not valid UTF-8 or not whole; the text of those is empty."""
    none = np.zeros(len(values), bool)
    if is_text(values.type):
        text, not_utf8 = _utf8(values)
        return text, not_utf8, none
    if pa.types.is_decimal(values.type):
        return _whole_decimals(values)
    if pa.types.is_floating(values.type):
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
    not_utf8 = np.array([text is None for text in decoded], bool)
    return pa.array([text or "" for text in decoded], pa.string()), not_utf8


def _decoded(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def _whole(values: pa.Array) -> tuple[pa.StringArray, Mask, Mask]:
    """Return whole numbers as decimal text: integer columns with missing values are often stored as floats."""
    floats = values.cast(pa.float64(), safe=False).fill_null(float("nan")).to_numpy(zero_copy_only=False)
    absent = np.isnan(floats)
    whole = ~absent & (np.floor(floats) == floats) & (np.abs(floats) < EXACT_BELOW[values.type.bit_width])
    text = pa.array(np.where(whole, floats, 0.0).astype(np.int64)).cast(pa.string())
    return pc.if_else(pa.array(whole), text, ""), np.zeros(len(values), bool), ~whole & ~absent


def _whole_decimals(values: pa.Array) -> tuple[pa.StringArray, Mask, Mask]:
    """Return whole decimals, such as a warehouse's NUMBER(38, 0), as exact decimal text."""
    none = np.zeros(len(values), bool)
    if values.type.scale == 0:
        return values.cast(pa.string()).fill_null(""), none, none
    found = [None if value is None or value % 1 else f"{int(value)}" for value in values.to_pylist()]
    text = pa.array(found, pa.string())
    return text.fill_null(""), none, _mask(pc.and_(pc.is_null(text), pc.is_valid(values)))


def _mask(mask: pa.Array) -> Mask:
    found: Mask = mask.to_numpy(zero_copy_only=False)
    return found
