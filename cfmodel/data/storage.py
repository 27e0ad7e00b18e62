"""How ratings lie on disk: Parquet with dictionary ids, zstd and page checksums."""

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

from cfmodel.data.vocabulary import Vocabulary
from cfmodel.refs import DatasetRef, SplitRef
from cfmodel.schema import MOVIE_ID, RATING, TIMESTAMP, USER_ID
from cfmodel.system.digests import sha256_of_file, sha256_of_text

_Stored = TypeVar("_Stored", DatasetRef, SplitRef)

_IDS = [USER_ID, MOVIE_ID]
#: Ratings that are looked at to see whether they recur, and most levels that do.
_LOOKED_AT, _MOST_LEVELS = 20_000, 1_000


def ratings_writer(path: Path, schema: pa.Schema, *, first: pa.ChunkedArray | pa.Array) -> pq.ParquetWriter:
    """Open a Parquet file for ratings; it is read back as `RATINGS` whether ids come as text or dictionaries.

    Args:
        path: The file.
        schema: `RATINGS`, or its like with dictionaries for the ids.
        first: The first ratings: where only a few different ones occur they are written as a dictionary.
    """
    recurring = pc.count_distinct(first.slice(0, _LOOKED_AT)).as_py() <= _MOST_LEVELS
    return pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        write_page_checksum=True,
        use_dictionary=[*_IDS, RATING] if recurring else _IDS,
        # Moments of one user lie close together; of ids in a dictionary nobody asks the extremes, and
        # to find them would take a third of the writing.
        column_encoding={TIMESTAMP: "DELTA_BINARY_PACKED"},
        write_statistics=[RATING, TIMESTAMP],
        # The usual 1 MiB is full at some 100,000 ids; from there on ids would be written out in full.
        dictionary_pagesize_limit=64 * 1024 * 1024,
        store_schema=False,
    )


def read_ratings(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read ratings with ids as dictionaries, one for the whole column, so that each distinct id is held once."""
    wanted = None if columns is None else list(columns)
    # Not `pq.read_table`: it cuts row groups into small chunks, each with the whole group's dictionary.
    with pq.ParquetFile(path, read_dictionary=_IDS, page_checksum_verification=True) as file:
        # Threads read columns side by side: for one alone they only cost.
        return file.read(wanted, use_threads=wanted is None or len(wanted) > 1).unify_dictionaries()


def compact(table: pa.Table) -> pa.Table:
    """Return a table in one chunk, each of its dictionaries holding every id that occurs, once."""
    table = table.unify_dictionaries().combine_chunks()
    for place, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            column = table.column(place)
            table = table.set_column(place, field, compacted(column.chunk(0)) if column.num_chunks else column)
    return table


def compacted(column: pa.DictionaryArray) -> pa.DictionaryArray:
    """Return a column with those ids in its dictionary that occur."""
    rows = column.indices.to_numpy()
    occurs = np.bincount(rows, minlength=len(column.dictionary)) > 0
    if occurs.all():
        return column
    places = (np.cumsum(occurs) - 1).astype(np.int32)
    return pa.DictionaryArray.from_arrays(taken(places, rows), column.dictionary.filter(pa.array(occurs)))


def dictionary_of(column: pa.ChunkedArray) -> pa.StringArray:
    """Return the distinct ids of a column that `read_ratings` read."""
    return column.chunk(0).dictionary if column.num_chunks else pa.array([], pa.string())


def encoded(column: pa.ChunkedArray, vocabulary: Vocabulary) -> npt.NDArray[np.int32]:
    """Return each id's row in a vocabulary, -1 where it is not in it, looking each distinct id up once."""
    rows, found, first = vocabulary.encode(dictionary_of(column)), np.empty(len(column), np.int32), 0
    for chunk in column.chunks:
        last = first + len(chunk)
        taken(rows, chunk.indices.to_numpy(), out=found[first:last])
        first = last
    return found


def taken(
    values: npt.NDArray[Any], places: npt.NDArray[Any], *, out: npt.NDArray[Any] | None = None
) -> npt.NDArray[Any]:
    """Return the values at places that are all known to exist; several times as fast as `values[places]`.

    Args:
        values: Shape (R,).
        places: In [0, R), shape (N,); others are not refused.
        out: Where to put them, shape (N,); None: into a new array.
    """
    return np.take(values, places, out=out, mode="clip")


def reused(kind: type[_Stored], folder: Path, key: str, **changes: Any) -> _Stored | None:
    """Return the ref to an earlier result, and touch its folder: `cfmodel clean` goes by when it was last used.

    Args:
        kind: `DatasetRef` or `SplitRef`.
        folder: Folder of the result.
        key: The ref's name in the folder's `manifest.json`.
        changes: Fields that this call sets otherwise, such as the source's name.

    Returns:
        The ref with `reused` set; None where there is no result or its files are damaged.
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
    """Tell whether the files a ref names are there and are the ones it names."""
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
    """Return the SHA-256 of each of a split's parts and vocabularies, hexadecimal, by the file's name."""
    names = (f"{name}.parquet" for name in ("train", "val", "test", "users", "movies"))
    return {name: sha256_of_file(folder / name) for name in names}
