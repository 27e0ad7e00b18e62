"""Read files of ratings batch by batch, each column as the file has it."""

import io
import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import pyarrow.parquet as pq

from cfmodel.config import ColumnNames, IngestSettings
from cfmodel.data.columns import map_named
from cfmodel.data.sniff import Shape, decompressed, open_bytes, sniff
from cfmodel.errors import DataError
from cfmodel.schema import MOVIE_ID, USER_ID

_BLOCK_BYTES = 4 * 1024 * 1024
_BATCH_ROWS = 262_144
#: Stands in for separators of several characters: the ASCII unit separator, made for that.
_UNIT_SEPARATOR = "\x1f"


def read(path: Path, settings: IngestSettings) -> Iterator[tuple[pa.RecordBatch, float]]:
    """Yield a file's ratings batch by batch, and the share of its bytes read so far.

    The columns are named by their roles; their types are the file's own, all text for CSV and JSON.

    Raises:
        DataError: The file cannot be read, has no such columns, or a row has another number of fields.
    """
    shape = sniff(path, settings)
    if shape.kind == "parquet":
        yield from _read_parquet(path, settings.columns)
        return
    size = max(path.stat().st_size, 1)
    with open_bytes(path) as file:
        counted = _Counted(file)
        stream = decompressed(counted, shape.compression)
        batches = _read_jsonl(stream, path.name, settings.columns)
        if shape.kind == "text":
            batches = _read_text(stream, path.name, shape)
        try:
            for batch in batches:
                yield batch, min(counted.bytes / size, 1.0)
        except OSError as error:
            raise DataError(f"{path.name}: is damaged {shape.compression} ({error}); fetch or pack it again") from None


def _read_text(stream: pa.NativeFile, file: str, shape: Shape) -> Iterator[pa.RecordBatch]:
    """Read CSV, TSV and their like: every column as text, so that no id is taken for a number.

    Blanks around a field are not part of it, as in the header.
    """
    assert shape.places is not None
    names = [str(place) for place in range(shape.num_columns)]
    included = {str(place): role for role, place in shape.places.items()}
    separator = shape.separator
    if len(separator.encode()) > 1:
        stream, separator = pa.PythonFile(_OneSeparator(stream, separator), mode="r"), _UNIT_SEPARATOR
    invalid: list[csv.InvalidRow] = []
    try:
        reader = csv.open_csv(
            stream,
            # One thread: only then a refused row knows its number.
            csv.ReadOptions(
                column_names=names, skip_rows=shape.skipped_lines, use_threads=False, block_size=_BLOCK_BYTES
            ),
            csv.ParseOptions(
                delimiter=separator,
                newlines_in_values=True,
                invalid_row_handler=lambda row: invalid.append(row) or "error",  # type: ignore[func-returns-value]
            ),
            csv.ConvertOptions(
                column_types=dict.fromkeys(included, pa.string()),
                include_columns=list(included),
                strings_can_be_null=False,
            ),
        )
        for batch in reader:
            fields = [pc.utf8_trim_whitespace(column) for column in batch.columns]
            yield pa.record_batch(fields, names=list(included.values()))
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise DataError(_csv_refusal(file, shape, invalid, str(error))) from None


def _csv_refusal(file: str, shape: Shape, invalid: list[csv.InvalidRow], error: str) -> str:
    if invalid:
        row = invalid[0]
        return (
            f"{file}, row {row.number - shape.skipped_lines:,}: {row.actual_columns} fields where "
            f"{row.expected_columns} are expected: {row.text[:80].replace(_UNIT_SEPARATOR, shape.separator)!r}; "
            f"correct or remove the row"
        )
    if "UTF8" in error:
        return f"{file}: is not UTF-8; save it as UTF-8 (iconv -f latin1 -t utf-8)"
    if "Empty CSV" in error:
        return f"{file}: holds no ratings; give a file with ratings"
    return f"{file}: cannot be read as fields separated by {shape.separator!r}: {error}; set ingest.separator"


def _read_jsonl(stream: pa.NativeFile, file: str, columns: ColumnNames) -> Iterator[pa.RecordBatch]:
    """Read one JSON object per line; numbers stay the text they are, so that no id loses a digit.

    The columns are those of the first block's objects together: an object may leave one out.
    """
    # Arrow's own reader guesses one type per column and rejects an id that is a number in one
    # line and text in another; parsing a block as one array stays in C for all but the fields.
    keys: dict[str, str] | None = None
    first_row = 1
    for lines in _line_blocks(stream):
        rows = _objects(lines, file, first_row)
        if keys is None:
            names = list(dict.fromkeys(chain.from_iterable(rows)))
            keys = {role: names[place] for role, place in map_named(names, columns, file=file).items()}
        fields = {role: _texts([row.get(key) for row in rows], file, first_row, role) for role, key in keys.items()}
        yield pa.record_batch(fields)
        first_row += len(rows)


def _line_blocks(stream: pa.NativeFile) -> Iterator[list[bytes]]:
    rest = b""
    while block := stream.read(_BLOCK_BYTES):
        whole, newline, tail = block.rpartition(b"\n")
        if not newline:
            rest += block
            continue
        lines, rest = (rest + whole).removeprefix(b"\xef\xbb\xbf").splitlines(), tail
        if filled := [line for line in lines if line.strip()]:
            yield filled
    if rest.strip():
        yield [rest]


def _objects(lines: list[bytes], file: str, first_row: int) -> list[dict[str, Any]]:
    try:
        rows: list[dict[str, Any]] = _parse_json(b"[" + b",".join(lines) + b"]")
        if len(rows) == len(lines) and all(type(row) is dict for row in rows):
            return rows
    except ValueError:
        pass
    for place, line in enumerate(lines):
        try:
            row = _parse_json(line)
        except ValueError:
            row = None
        if not isinstance(row, dict):
            raise DataError(
                f"{file}, row {first_row + place:,}: is not one JSON object: {line[:80].decode(errors='replace')!r}; "
                f"correct or remove the row"
            )
    raise AssertionError("lines that parse one by one parse together")


class _Fraction(str):
    """The text of a JSON number that is not whole: a rating or a timestamp, but no id."""

    __slots__ = ()


def _parse_json(text: bytes) -> Any:
    return json.loads(text, parse_int=str, parse_float=_whole_or_fraction, parse_constant=_Fraction)


def _whole_or_fraction(number: str) -> str:
    if number.endswith(".0"):
        return number.removesuffix(".0")
    # Beyond 2^53 a float no longer tells whole numbers apart.
    return f"{float(number):.0f}" if float(number).is_integer() and abs(float(number)) < 2**53 else _Fraction(number)


def _texts(values: list[Any], file: str, first_row: int, role: str) -> pa.Array:
    if role in (USER_ID, MOVIE_ID) and _Fraction in (kinds := list(map(type, values))):
        place = kinds.index(_Fraction)
        raise DataError(
            f"{file}, row {first_row + place:,}: {role} {values[place]} is not a whole number; "
            f"correct or remove the row"
        )
    try:
        return pa.array(values, pa.string())
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        place = next(place for place, value in enumerate(values) if not isinstance(value, str | None))
        raise DataError(
            f"{file}, row {first_row + place:,}: {role} {values[place]!r} is neither text nor a number; "
            f"correct the row or name another column in ingest.columns.{role}"
        ) from None


def _read_parquet(path: Path, columns: ColumnNames) -> Iterator[tuple[pa.RecordBatch, float]]:
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            names = file.schema_arrow.names
            places = map_named(names, columns, file=path.name)
            done, total = 0, max(file.metadata.num_rows, 1)
            for batch in file.iter_batches(_BATCH_ROWS, columns=[names[place] for place in places.values()]):
                done += batch.num_rows
                fields = {role: batch.column(names[place]) for role, place in places.items()}
                yield pa.record_batch(fields), done / total
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path.name}: cannot be read as Parquet ({error}); write or fetch it again") from None


class _Counted(io.RawIOBase):
    """A file that counts the bytes read from it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.bytes = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        block = self._file.read(size)
        self.bytes += len(block)
        return block


class _OneSeparator(io.RawIOBase):
    """A stream in which a separator of several characters is one byte."""

    def __init__(self, stream: pa.NativeFile, separator: str) -> None:
        self._stream = stream
        self._separator = separator.encode()
        self._ready, self._rest, self._ended = b"", b"", False

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while not self._ready and not self._ended:
            self._fill()
        size = len(self._ready) if size < 0 else size
        block, self._ready = self._ready[:size], self._ready[size:]
        return block

    def _fill(self) -> None:
        """Replace in whole lines alone: a separator may lie across two blocks."""
        block = self._stream.read(_BLOCK_BYTES)
        self._ended = not block
        whole, newline, tail = block.rpartition(b"\n")
        lines = self._rest + whole + newline if newline or self._ended else b""
        self._rest = tail if newline else (b"" if self._ended else self._rest + block)
        self._ready = lines.replace(self._separator, _UNIT_SEPARATOR.encode())
