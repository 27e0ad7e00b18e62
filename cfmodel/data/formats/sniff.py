"""Detection of a file's format from its first block; the file's name does not matter."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from cfmodel.config import IngestSettings
from cfmodel.data.formats import parquet
from cfmodel.data.formats.column_roles import Columns, columns_of
from cfmodel.data.formats.compressed import CompressedFile, Compression
from cfmodel.data.formats.encodings import detect_encoding, doubt_of_encoding
from cfmodel.data.formats.header import BLANKS, Header, read_header
from cfmodel.data.formats.jsonlines import field_names, nested_rows
from cfmodel.data.formats.reshape import SECTION_NAMES, Shape, as_rows, shape_of
from cfmodel.data.formats.unreadable import refuse_archive, refuse_text
from cfmodel.errors import DataError

#: Enough for a header of many thousand columns and some rows.
_FIRST_BLOCK_BYTES = 1024 * 1024
_COMPRESSIONS: dict[bytes, Compression] = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}


_MATRIX_MARKET = "%%matrixmarket"
#: The start of one JSON object that holds all rows column by column.
_BY_COLUMN = re.compile(r'\s*\{\s*"[^"]+"\s*:\s*\{\s*"\d+"\s*:')


@dataclass(frozen=True)
class FileFormat:
    """The format of a file of ratings.

    Attributes:
        kind: Delimited text, JSON lines, Parquet, or a file without a row, such as an empty part.
        shape: How rows that are not lines become lines; None: each is one.
        encoding: Encoding of text and JSON lines.
        mark_bytes: Length of the byte order mark.
        separator: Text between two fields; only for text.
        skipped_lines: Lines before the first row: comments, blank lines and the header.
        header: Whether there is a header row; only for text.
        header_text: The header row as it stands in the file.
        ruler: The line drawn below it.
        rows: Number of rows by the file's own count; None if it has none.
        columns: The roles of the columns.
    """

    kind: Literal["text", "jsonl", "parquet", "empty"]
    compression: Compression = None
    encoding: str = "utf-8"
    mark_bytes: int = 0
    separator: str = ","
    skipped_lines: int = 0
    header: bool = False
    header_text: str = ""
    ruler: str = ""
    shape: Shape | None = None
    rows: int | None = None
    columns: Columns = Columns()


def sniff(path: Path, settings: IngestSettings, *, like: FileFormat | None = None) -> FileFormat:
    """Detect a file's format from its first block.

    Args:
        like: Format of another file of the source that has a header. A file without one, but with as
            many columns, has the same columns.

    Raises:
        DataError: The file cannot be read, is of a kind that is not read, or lacks a column.
    """
    with CompressedFile(path, None) as raw:
        magic = raw.read(6)
    if magic.startswith(b"PAR1"):
        columns = columns_of(parquet.column_names(path), settings, file=path.name)
        return FileFormat("parquet", columns=columns)
    compression = next((name for start, name in _COMPRESSIONS.items() if magic.startswith(start)), None)
    with CompressedFile(path, compression) as stream:
        block = stream.read(_FIRST_BLOCK_BYTES)
    if compression and any(block.startswith(start) for start in _COMPRESSIONS):
        raise DataError(f"{path.name}: is compressed twice; give the file decompressed once")
    refuse_archive(path.name, block)
    if (encoding := detect_encoding(block, settings.encoding)) is None:
        raise DataError(f"{path.name}: holds binary data; give CSV, TSV, JSON lines or Parquet")
    is_whole = len(block) < _FIRST_BLOCK_BYTES
    lines = _lines(block[encoding[1] :], encoding[0], is_whole)
    found = _text_format(path.name, lines, FileFormat("text", compression, *encoding), settings, like)
    doubts = () if settings.encoding else doubt_of_encoding(encoding[0], lines)
    return replace(found, columns=replace(found.columns, doubts=(*found.columns.doubts, *doubts)))


def _lines(block: bytes, encoding: str, is_whole: bool) -> list[str]:
    text = re.sub("(?m)^\ufeff", "", block.decode(encoding, errors="replace"))
    lines = re.split("\r\n|\r|\n", text)
    return lines if is_whole or len(lines) == 1 else lines[:-1]


def _text_format(
    file: str, lines: list[str], found: FileFormat, settings: IngestSettings, like: FileFormat | None
) -> FileFormat:
    """Return the format of JSON lines or delimited text, whose encoding was found."""
    if not any(line.strip() for line in lines):
        return replace(found, kind="empty")
    if settings.separator is None:
        refuse_text(file, lines)
    shape = shape_of(lines)
    if shape in SECTION_NAMES or (shape in ("paragraphs", "json_values") and settings.separator is None):
        return _reshaped(file, lines, replace(found, shape=shape), settings)
    if settings.separator is None and next(line for line in lines if line.strip()).lstrip().startswith("{"):
        return replace(found, kind="jsonl", columns=_json_columns(lines, settings, file=file))
    if shape == "escaped_quotes":
        lines = b"".join(as_rows(iter(["\n".join(lines).encode()]), shape, "", file=file)).decode().split("\n")
    if lines[0].lower().startswith(_MATRIX_MARKET):
        return _matrix_market(file, lines, found, settings)
    header = read_header(lines, settings, file=file)
    if header.names is None and like is not None and like.header and len(like.columns.names) == header.width:
        columns = like.columns
    else:
        known = len(header.places) if header.names is None else header.names
        columns = _spread(columns_of(known, settings, file=file), header)
    return replace(
        found,
        shape=shape if shape == "escaped_quotes" else None,
        separator=header.separator,
        skipped_lines=header.skipped_lines,
        header=header.names is not None,
        header_text=header.text,
        ruler=header.ruler,
        columns=columns,
    )


def _spread(columns: Columns, header: Header) -> Columns:
    """Return the columns by their place among the fields of a row."""
    names = dict(zip(header.places, columns.names, strict=True))
    return replace(
        columns,
        names=tuple(names.get(at, "") for at in range(header.width)),
        roles={role: header.places[at] for role, at in columns.roles.items()},
        movies={header.places[at]: movie for at, movie in columns.movies.items()},
    )


def _reshaped(file: str, lines: list[str], found: FileFormat, settings: IngestSettings) -> FileFormat:
    """Return the format of a text whose rows are not lines, by the lines that its first rows become."""
    if (names := SECTION_NAMES.get(found.shape or "")) is not None:
        rows = next(as_rows(iter(["\n".join(lines).encode()]), found.shape, "\0", file=file)).decode().split("\n")
        row = next((row.partition("\0")[2] for row in rows if row), "")
        separator = settings.separator or next((mark for mark in (",", "\t", ";", "|") if mark in row), ",")
        names = names[: 2 + row.count(separator)]
        return replace(found, separator=separator, columns=columns_of(names, settings, file=file))
    text = b"".join(as_rows(iter(["\n".join(lines).encode()]), found.shape, "", file=file)).decode()
    return replace(found, kind="jsonl", columns=_json_columns(text.split("\n"), settings, file=file))


def _json_columns(lines: list[str], settings: IngestSettings, *, file: str) -> Columns:
    start = "\n".join(lines[:20])
    if _BY_COLUMN.match(start) and not any(line.strip() for line in lines[1:]):
        raise DataError(
            f"{file}: is one JSON object of columns, as pandas writes it; write "
            f"to_json('ratings.jsonl', orient='records', lines=True)"
        )
    names = field_names(lines, file=file)
    if set(names) == {"columns", "index", "data"}:
        filter = ".columns as $names | .data[] | [$names, .] | transpose | map({(.[0]): .[1]}) | add"
        raise DataError(
            f"{file}: is one JSON object of names and rows, as pandas writes it with orient='split'; write one object "
            f"per rating: jq -c '{filter}' FILE > ratings.jsonl"
        )
    try:
        return columns_of(names, settings, file=file)
    except DataError:
        if (rows := nested_rows(lines)) is not None:
            raise DataError(
                f"{file}: holds user, movie and rating inside other objects; write one object per rating: "
                f"jq -c '{rows}' FILE > ratings.jsonl"
            ) from None
        raise


def _matrix_market(file: str, lines: list[str], found: FileFormat, settings: IngestSettings) -> FileFormat:
    """Return the format of a sparse matrix of ratings: a row for each user, a column for each movie."""
    kind = lines[0].lower().split()[1:]
    if kind[:2] != ["matrix", "coordinate"] or kind[2:] not in (["real", "general"], ["integer", "general"]):
        raise DataError(
            f"{file}: is a MatrixMarket file of kind {' '.join(kind)!r}; write the ratings, users by movies, as "
            f"'matrix coordinate real general' (in Python, scipy.io.mmwrite of a sparse matrix, symmetry='general')"
        )
    size = next((at for at, line in enumerate(lines) if line.strip() and not line.startswith("%")), len(lines))
    counts = lines[size].split() if size < len(lines) else []
    if len(counts) != 3 or not all(count.isdecimal() and len(count) < 19 for count in counts):
        raise DataError(f"{file}: has no line of rows, columns and entries below its comments; write it again")
    columns = columns_of(3, settings, file=file)
    return replace(found, separator=BLANKS, skipped_lines=size + 1, rows=int(counts[2]), columns=columns)
