"""Recognise what a file is from its first block, whatever its name says."""

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import pyarrow as pa

from cfmodel.config import IngestSettings
from cfmodel.data.columns import is_header, map_named, map_numbered
from cfmodel.errors import DataError

_FIRST_BLOCK_BYTES = 65_536
_SEPARATORS = ("::", "\t", ",", ";", "|")
_COMPRESSIONS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_REFUSED = {
    b"PK\x03\x04": "is a zip archive; unpack it and name the ratings file",
    b"BZh": "is compressed with bzip2; unpack it or use gzip or zstd",
    b"\xfd7zXZ": "is compressed with xz; unpack it or use gzip or zstd",
    b"\xff\xfe": "is UTF-16; save it as UTF-8",
    b"\xfe\xff": "is UTF-16; save it as UTF-8",
}
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Shape:
    """What a file of ratings looks like.

    Attributes:
        kind: How rows are written.
        compression: `gzip`, `zstd` or None.
        separator: Text between two fields; only for text.
        skipped_lines: Lines before the first row: 0, or up to and including the header.
        num_columns: Fields in a row; only for text.
        places: Role to 0-based column; only for text.
    """

    kind: Literal["text", "jsonl", "parquet"]
    compression: str | None = None
    separator: str = ","
    skipped_lines: int = 0
    num_columns: int = 0
    places: dict[str, int] | None = None


def sniff(path: Path, settings: IngestSettings) -> Shape:
    """Look at a file's first block and say what it is.

    Raises:
        DataError: It is empty, not readable, not one of the known kinds, or has no such columns.
    """
    with open_bytes(path) as raw:
        magic = raw.read(4)
    if magic == b"PAR1":
        return Shape("parquet")
    _refuse(path, magic)
    compression = next((name for start, name in _COMPRESSIONS.items() if magic.startswith(start)), None)
    block = _first_block(path, compression)
    if not block.strip():
        raise DataError(f"{path.name}: is empty; give a file with ratings")
    if block.lstrip().startswith(b"{"):
        return Shape("jsonl", compression)
    if block.lstrip().startswith(b"["):
        raise DataError(f"{path.name}: is one JSON array; write one object per line (JSON lines)")
    return _sniff_text(path.name, _lines(path.name, block), compression, settings)


def open_bytes(path: Path) -> BinaryIO:
    """Open a file for reading.

    Raises:
        DataError: It cannot be opened.
    """
    try:
        return path.open("rb")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions") from None


def decompressed(raw: BinaryIO | io.RawIOBase, compression: str | None) -> pa.NativeFile:
    """Return a stream of the bytes that a possibly compressed file holds."""
    stream = pa.PythonFile(raw, mode="r")
    return pa.CompressedInputStream(stream, compression) if compression else stream


def _first_block(path: Path, compression: str | None) -> bytes:
    with open_bytes(path) as raw:
        try:
            block: bytes = decompressed(raw, compression).read(_FIRST_BLOCK_BYTES)
        except OSError as error:
            raise DataError(f"{path.name}: is damaged {compression} ({error}); fetch or pack it again") from None
    block = block.removeprefix(_BYTE_ORDER_MARK)
    _refuse(path, block)
    if b"\0" in block:
        raise DataError(f"{path.name}: holds binary data; give CSV, TSV, JSON lines or Parquet, as UTF-8")
    return block


def _refuse(path: Path, block: bytes) -> None:
    for start, reason in _REFUSED.items():
        if block.startswith(start):
            raise DataError(f"{path.name}: {reason}")


def _lines(file: str, block: bytes) -> list[str]:
    whole, newline, _ = block.rpartition(b"\n")
    try:
        return (whole if newline and len(block) >= _FIRST_BLOCK_BYTES else block).decode().splitlines()
    except UnicodeDecodeError:
        raise DataError(f"{file}: is not UTF-8; save it as UTF-8 (iconv -f latin1 -t utf-8)") from None


def _sniff_text(file: str, lines: list[str], compression: str | None, settings: IngestSettings) -> Shape:
    first_place = next(place for place, line in enumerate(lines) if line.strip())
    first, *others = [line for line in lines[first_place:] if line.strip()]
    separator = settings.separator or _separator(file, first, others)
    row = [field.strip() for field in _fields(separator)(first)]
    header = is_header(row, settings.columns) if settings.header is None else settings.header
    if header:
        places = map_named(row, settings.columns, file=file)
        return Shape("text", compression, separator, first_place + 1, len(row), places)
    if len(row) < 3:
        raise DataError(f"{file}: rows have {len(row)} field(s), not user, movie and rating; set ingest.separator")
    places = map_numbered(len(row), settings.columns, file=file)
    return Shape("text", compression, separator, first_place, len(row), places)


def _separator(file: str, first: str, others: list[str]) -> str:
    """Return the separator that cuts the most rows into as many fields as the first, three at least."""
    agreement = {}
    for separator in _SEPARATORS:
        fields = _fields(separator)
        count = len(fields(first))
        if count >= 3:
            agreement[separator] = sum(len(fields(line)) == count for line in others[:100])
    if not agreement:
        raise DataError(
            f"{file}: no separator cuts the first row into user, movie and rating: {first[:80]!r}; set ingest.separator"
        )
    return max(agreement, key=lambda separator: agreement[separator])


def _fields(separator: str) -> Callable[[str], list[str]]:
    if len(separator) > 1:
        return lambda line: line.split(separator)
    return lambda line: next(csv.reader([line], delimiter=separator), [])
