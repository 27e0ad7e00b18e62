"""Recognise what a file is from its first block, whatever its name says."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from cfmodel.config import IngestSettings
from cfmodel.data.formats import encodings, jsonlines
from cfmodel.data.formats.column_roles import Columns, columns_of
from cfmodel.data.formats.compressed import Compression, PackedFile
from cfmodel.data.formats.header import read_header
from cfmodel.errors import DataError

#: Enough for a header of many thousand columns and some rows below it.
_FIRST_BLOCK_BYTES = 1024 * 1024
_COMPRESSIONS: dict[bytes, Compression] = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_REFUSED = {
    b"PK\x03\x04": "is a zip archive; unpack it and name the ratings file",
    b"BZh": "is compressed with bzip2; unpack it or use gzip or zstd",
    b"\xfd7zXZ": "is compressed with xz; unpack it or use gzip or zstd",
}


@dataclass(frozen=True)
class Shape:
    """What a file of ratings looks like.

    Attributes:
        kind: How rows are written.
        compression: What the file is packed with.
        encoding: Encoding of text, and of JSON lines.
        mark_bytes: Bytes of a byte order mark.
        separator: Text between two fields; only for text.
        skipped_lines: Lines before the first row: comments, blank lines and the header.
        header: Whether a row names the columns; only for text.
        columns: Which column says what; empty for Parquet, whose schema says it.
    """

    kind: Literal["text", "jsonl", "parquet"]
    compression: Compression = None
    encoding: str = "utf-8"
    mark_bytes: int = 0
    separator: str = ","
    skipped_lines: int = 0
    header: bool = False
    columns: Columns = Columns()


def sniff(path: Path, settings: IngestSettings, *, like: Shape | None = None) -> Shape:
    """Look at a file's first block and say what it is.

    Args:
        path: The file.
        settings: What the caller knows about it.
        like: Shape of a file read with it: where that one has a header, and this one none but as many
            columns, they are the same columns.

    Raises:
        DataError: It is empty, not readable, not one of the known kinds, or has no such columns.
    """
    with PackedFile(path, None) as raw:
        magic = raw.read(6)
    if magic.startswith(b"PAR1"):
        return Shape("parquet")
    _refuse(path, magic)
    compression = next((name for start, name in _COMPRESSIONS.items() if magic.startswith(start)), None)
    with PackedFile(path, compression) as stream:
        block = stream.read(_FIRST_BLOCK_BYTES)
    _refuse(path, block)
    if (encoding := encodings.recognised(block, settings.encoding)) is None:
        raise DataError(f"{path.name}: holds binary data; give CSV, TSV, JSON lines or Parquet")
    is_whole = len(block) < _FIRST_BLOCK_BYTES
    lines = _lines(block[encoding[1] :], encoding[0], is_whole)
    first = next((line for line in lines if line.strip()), "").lstrip()
    if not first:
        raise DataError(f"{path.name}: is empty; give a file with ratings")
    shape = Shape("text", compression, *encoding)
    if first.startswith("{") and settings.separator is None:
        names = jsonlines.names(lines, file=path.name)
        return replace(shape, kind="jsonl", columns=columns_of(names, settings, file=path.name))
    if first.startswith("[") and settings.separator is None:
        raise DataError(f"{path.name}: is one JSON array; write one object per line (JSON lines)")
    return _text(path.name, lines, shape, settings, like)


def _refuse(path: Path, block: bytes) -> None:
    for start, reason in _REFUSED.items():
        if block.startswith(start):
            raise DataError(f"{path.name}: {reason}")


def _lines(block: bytes, encoding: str, is_whole: bool) -> list[str]:
    lines = re.split("\r\n|\r|\n", block.decode(encoding, errors="replace"))
    return lines if is_whole or len(lines) == 1 else lines[:-1]


def _text(file: str, lines: list[str], shape: Shape, settings: IngestSettings, like: Shape | None) -> Shape:
    found = read_header(lines, settings, file=file)
    shape = replace(shape, separator=found.separator, skipped_lines=found.skipped_lines, header=found.names is not None)
    if found.names is None and like is not None and like.header and len(like.columns.names) == found.count:
        return replace(shape, columns=like.columns)
    names = found.count if found.names is None else found.names
    return replace(shape, columns=columns_of(names, settings, file=file))
