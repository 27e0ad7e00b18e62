"""Ratings on disk: Parquet with dictionary-encoded ids, and results that are found and checked by digest."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import BaseModel

from cfmodel import __version__
from cfmodel.data.vocabulary import Vocabulary
from cfmodel.refs import DatasetRef, SplitRef
from cfmodel.schema import MOMENT, MOVIE_ID, RATING, TIMESTAMP, USER_ID
from cfmodel.system.digests import sha256_of_file, sha256_of_text

_Stored = TypeVar("_Stored", DatasetRef, SplitRef)

_IDS = [USER_ID, MOVIE_ID]
#: Ratings are written as a dictionary if the first 20,000 have at most 1,000 distinct values.
_FIRST_ROWS, _MOST_LEVELS = 20_000, 1_000


def open_ratings_writer(path: Path, schema: pa.Schema, *, first: pa.ChunkedArray | pa.Array) -> pq.ParquetWriter:
    """Open a Parquet file for writing ratings; it is read back in the schema `RATINGS`.

    Args:
        schema: `RATINGS` or `ENCODED_RATINGS`.
        first: The first ratings. If they have few distinct values, ratings are written as a dictionary.
    """
    recurring = pc.count_distinct(first.slice(0, _FIRST_ROWS)).as_py() <= _MOST_LEVELS
    return pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        write_page_checksum=True,
        use_dictionary=[*_IDS, RATING] if recurring else _IDS,
        # The bytes of like significance together compress best, and fastest. Statistics of ids are never
        # used, and would take a third of the time.
        column_encoding={TIMESTAMP: "BYTE_STREAM_SPLIT"},
        write_statistics=[RATING, TIMESTAMP],
        # The default, 1 MiB, is full at about 100,000 ids; after that ids would be written in full.
        dictionary_pagesize_limit=64 * 1024 * 1024,
        store_schema=False,
    )


def read_ratings_file(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read ratings with dictionary-encoded ids; each column has one dictionary, so each id is in memory once."""
    wanted = None if columns is None else list(columns)
    # Not `pq.read_table`, which splits row groups into small chunks, each with the group's whole dictionary.
    with pq.ParquetFile(path, read_dictionary=_IDS, page_checksum_verification=True) as file:
        # Threads read columns in parallel; for a single column they only add cost.
        table = file.read(wanted, use_threads=wanted is None or len(wanted) > 1).unify_dictionaries()
    place = table.schema.get_field_index(TIMESTAMP)
    if place < 0 or table.schema.field(place).type == MOMENT:
        return table
    # Written until version 0.2.0, in seconds. Moments beyond 1677 or 2262 become the first or the last.
    limit = np.iinfo(np.int64).max // 1_000_000_000
    seconds = pc.min_element_wise(table.column(place), limit, skip_nulls=False)
    seconds = pc.max_element_wise(seconds, -limit, skip_nulls=False)
    return table.set_column(place, TIMESTAMP, seconds.cast(pa.timestamp("s", "UTC")).cast(MOMENT))


def compact(table: pa.Table) -> pa.Table:
    """Return a table as one chunk whose dictionaries hold only the ids that occur, each once."""
    table = table.unify_dictionaries().combine_chunks()
    for place, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            column = table.column(place)
            table = table.set_column(place, field, compact_column(column.chunk(0)) if column.num_chunks else column)
    return table


def compact_column(column: pa.DictionaryArray) -> pa.DictionaryArray:
    """Return a column whose dictionary holds only the ids that occur."""
    rows = column.indices.to_numpy()
    occurs = np.bincount(rows, minlength=len(column.dictionary)) > 0
    if occurs.all():
        return column
    places = (np.cumsum(occurs) - 1).astype(np.int32)
    return pa.DictionaryArray.from_arrays(take_rows(places, rows), column.dictionary.filter(pa.array(occurs)))


def dictionary_of(column: pa.ChunkedArray) -> pa.StringArray:
    """Return the distinct ids of a column from `read_ratings_file`."""
    return column.chunk(0).dictionary if column.num_chunks else pa.array([], pa.string())


def encode_column(column: pa.ChunkedArray, vocabulary: Vocabulary) -> npt.NDArray[np.int32]:
    """Return each id's row in a vocabulary, -1 if it is unknown; each distinct id is looked up once."""
    rows, found, first = vocabulary.encode(dictionary_of(column)), np.empty(len(column), np.int32), 0
    for chunk in column.chunks:
        last = first + len(chunk)
        take_rows(rows, chunk.indices.to_numpy(), out=found[first:last])
        first = last
    return found


def take_rows(
    values: npt.NDArray[Any], places: npt.NDArray[Any], *, out: npt.NDArray[Any] | None = None
) -> npt.NDArray[Any]:
    """Return `values[places]` several times as fast, without bounds checks.

    Args:
        values: Shape (R,).
        places: Indices in [0, R), shape (N,); others are clipped, not refused.
        out: Array for the result, shape (N,); None: a new array.
    """
    return np.take(values, places, out=out, mode="clip")


def manifest_of(version: int, **content: Any) -> str:
    """Return the text of a `manifest.json`: versions, and what belongs to the result by name."""
    plain = {
        name: part.model_dump(mode="json") if isinstance(part, BaseModel) else part for name, part in content.items()
    }
    versions = {"format_version": version, "cfmodel_version": __version__, "pyarrow_version": pa.__version__}
    return json.dumps(versions | plain, indent=2) + "\n"


def find_earlier(kind: type[_Stored], folder: Path, key: str, **changes: Any) -> _Stored | None:
    """Return the ref to an earlier result, and touch its folder: `cfmodel clean` goes by when it was last used.

    Args:
        key: The ref's name in the folder's `manifest.json`.
        changes: Fields that differ from the earlier call, such as the source's name.

    Returns:
        The ref with `reused` set; None if there is no result or its files are damaged.
    """
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        ref = kind.model_validate(manifest[key])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    ref = ref.model_copy(update={"path": folder, "reused": True, **changes})
    if not is_whole(ref):
        return None
    os.utime(folder)
    return ref


def is_whole(ref: DatasetRef | SplitRef) -> bool:
    """Return whether a ref's files exist and have its digest."""
    try:
        if isinstance(ref, DatasetRef):
            return sha256_of_file(ref.path / "ratings.parquet") == ref.digest
        return digest_of_parts(ref.path) == ref.digest
    except OSError:
        return False


def digest_of_parts(folder: Path) -> str:
    """Return the SHA-256 over the digests of a split's parts and vocabularies, hexadecimal."""
    return sha256_of_text(*digests_of_parts(folder).values())


def digests_of_parts(folder: Path) -> dict[str, str]:
    """Return file name to SHA-256, hexadecimal, for a split's parts and vocabularies."""
    names = (f"{name}.parquet" for name in ("train", "val", "test", "users", "movies"))
    return {name: sha256_of_file(folder / name) for name in names}
