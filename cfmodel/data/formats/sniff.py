"""Detection of a file's format from its first block; the file's name does not matter."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from cfmodel.config import IngestSettings
from cfmodel.data.formats.column_roles import Columns, columns_of
from cfmodel.data.formats.compressed import CompressedFile, Compression
from cfmodel.data.formats.encodings import detect_encoding
from cfmodel.data.formats.header import read_header
from cfmodel.data.formats.jsonlines import field_names
from cfmodel.errors import DataError

#: Enough for a header of many thousand columns and some rows.
_FIRST_BLOCK_BYTES = 1024 * 1024
_COMPRESSIONS: dict[bytes, Compression] = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_REFUSED = {
    b"PK\x03\x04": "is a zip archive; unpack it and give the ratings file",
    b"BZh": "is compressed with bzip2; decompress it or use gzip or zstd",
    b"\xfd7zXZ": "is compressed with xz; decompress it or use gzip or zstd",
}


@dataclass(frozen=True)
class FileFormat:
    """The format of a file of ratings.

    Attributes:
        kind: Delimited text, JSON lines or Parquet.
        compression: The file's compression.
        encoding: Encoding of text and JSON lines.
        mark_bytes: Length of the byte order mark.
        separator: Text between two fields; only for text.
        skipped_lines: Lines before the first row: comments, blank lines and the header.
        header: Whether there is a header row; only for text.
        columns: The roles of the columns; empty for Parquet, whose schema is read later.
    """

    kind: Literal["text", "jsonl", "parquet"]
    compression: Compression = None
    encoding: str = "utf-8"
    mark_bytes: int = 0
    separator: str = ","
    skipped_lines: int = 0
    header: bool = False
    columns: Columns = Columns()


def sniff(path: Path, settings: IngestSettings, *, like: FileFormat | None = None) -> FileFormat:
    """Detect a file's format from its first block.

    Args:
        path: The file.
        settings: What the caller knows about the file.
        like: Format of another file of the source that has a header. A file without one, but with as
            many columns, has the same columns.

    Raises:
        DataError: The file is empty, cannot be read, is of an unknown kind, or lacks a column.
    """
    with CompressedFile(path, None) as raw:
        magic = raw.read(6)
    if magic.startswith(b"PAR1"):
        return FileFormat("parquet")
    _refuse_archive(path, magic)
    compression = next((name for start, name in _COMPRESSIONS.items() if magic.startswith(start)), None)
    with CompressedFile(path, compression) as stream:
        block = stream.read(_FIRST_BLOCK_BYTES)
    _refuse_archive(path, block)
    if (encoding := detect_encoding(block, settings.encoding)) is None:
        raise DataError(f"{path.name}: holds binary data; give CSV, TSV, JSON lines or Parquet")
    is_whole = len(block) < _FIRST_BLOCK_BYTES
    lines = _lines(block[encoding[1] :], encoding[0], is_whole)
    return _text_format(path.name, lines, FileFormat("text", compression, *encoding), settings, like)


def _refuse_archive(path: Path, block: bytes) -> None:
    for start, reason in _REFUSED.items():
        if block.startswith(start):
            raise DataError(f"{path.name}: {reason}")


def _lines(block: bytes, encoding: str, is_whole: bool) -> list[str]:
    lines = re.split("\r\n|\r|\n", block.decode(encoding, errors="replace"))
    return lines if is_whole or len(lines) == 1 else lines[:-1]


def _text_format(
    file: str, lines: list[str], found: FileFormat, settings: IngestSettings, like: FileFormat | None
) -> FileFormat:
    """Return the format of JSON lines or delimited text, whose encoding was found."""
    first = next((line for line in lines if line.strip()), "").lstrip()
    if not first:
        raise DataError(f"{file}: is empty; give a file with ratings")
    if first.startswith("{") and settings.separator is None:
        return replace(found, kind="jsonl", columns=columns_of(field_names(lines, file=file), settings, file=file))
    if first.startswith("[") and settings.separator is None:
        raise DataError(f"{file}: is one JSON array; write one object per line (JSON lines)")
    header = read_header(lines, settings, file=file)
    if header.names is None and like is not None and like.header and len(like.columns.names) == header.count:
        columns = like.columns
    else:
        columns = columns_of(header.count if header.names is None else header.names, settings, file=file)
    return replace(
        found,
        separator=header.separator,
        skipped_lines=header.skipped_lines,
        header=header.names is not None,
        columns=columns,
    )
