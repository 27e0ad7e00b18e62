"""Stream a source of ratings into typed Parquet."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import ValidationError

import cfmodel
from cfmodel import atomic
from cfmodel.config import IngestSettings
from cfmodel.data import sources
from cfmodel.data.readers import read
from cfmodel.data.rows import typed
from cfmodel.data.storage import ratings_writer
from cfmodel.data.synthetic import SyntheticSource
from cfmodel.digests import code_digest, is_whole, sha256_of_file, sha256_of_text
from cfmodel.errors import DataError
from cfmodel.refs import DatasetRef
from cfmodel.schema import MOVIE_ID, RATING, RATINGS, TIMESTAMP, USER_ID

FORMAT_VERSION = 1

#: Least ratings in a row group but the last.
_ROW_GROUP_ROWS = 524_288

Batches = Iterator[tuple[pa.RecordBatch, float | None]]


@dataclass(frozen=True)
class RowsRead:
    """How far reading has come.

    Attributes:
        rows: Ratings read so far.
        fraction: Share of the source read so far, in [0, 1]; None where it is unknown.
    """

    rows: int
    fraction: float | None


def source_digest(source: str, *, folder: Path) -> str:
    """Return the SHA-256 over a source's raw bytes, names excluded, or over a generated one's settings.

    Args:
        source: What to read, as for `ingest`.
        folder: Folder below which downloads are kept.
    """
    return sources.digest_of(sources.resolve(source, folder=folder))


def ingest(
    source: str, settings: IngestSettings, *, folder: Path, on_record: Callable[[Any], None] | None = None
) -> DatasetRef:
    """Read ratings from a source and write them as typed Parquet.

    The ratings go to `folder/ingested/<key>`, where the key is over the source's bytes, the
    settings and cfmodel's code. An equal data set that is there and whole is used again.

    Args:
        source: `synthetic[:key=value,...]`, a public set's name, a file, a folder or a glob.
        settings: How to read it.
        folder: Folder for data.
        on_record: Takes a `RowsRead` now and then.

    Raises:
        ConfigError: A key of `synthetic` is unknown or its value outside what it may be.
        DataError: Nothing is there, it cannot be read, it is empty, or a row cannot be a rating.
    """
    resolved = sources.resolve(source, folder=folder)
    digest = sources.digest_of(resolved)
    key = sha256_of_text(digest, settings.model_dump_json(), code_digest())
    final = folder.resolve() / "ingested" / key[:32]
    if (existing := _existing(final, source)) is not None:
        return existing
    start = time.perf_counter()
    with atomic.folder(final, replace=True) as temporary:
        tally = _write(_batches(resolved, settings), temporary / "ratings.parquet", on_record)
        if not tally.rows:
            raise DataError(f"{source}: holds no ratings; give a source with at least one")
        ref = DatasetRef(
            path=final,
            digest=sha256_of_file(temporary / "ratings.parquet"),
            source=source,
            source_digest=digest,
            rows=tally.rows,
            users=len(tally.users),
            movies=len(tally.movies),
            rating_min=tally.rating_min,
            rating_max=tally.rating_max,
            has_timestamps=tally.missing_timestamps == 0,
            noise_floor=resolved.noise if isinstance(resolved, SyntheticSource) else None,
            seconds=time.perf_counter() - start,
        )
        # Last: a folder without a manifest is no data set.
        (temporary / "manifest.json").write_text(_manifest(ref, settings, resolved), encoding="utf-8")
    return ref


@dataclass
class _Tally:
    """What is counted while ratings stream by."""

    rows: int = 0
    users: pa.Array = field(default_factory=lambda: pa.array([], pa.string()))
    movies: pa.Array = field(default_factory=lambda: pa.array([], pa.string()))
    rating_min: float = float("inf")
    rating_max: float = float("-inf")
    missing_timestamps: int = 0

    def add(self, ratings: pa.Table) -> None:
        self.rows += ratings.num_rows
        self.users = _merged(self.users, ratings[USER_ID])
        self.movies = _merged(self.movies, ratings[MOVIE_ID])
        extremes = pc.min_max(ratings[RATING]).as_py()
        self.rating_min = min(self.rating_min, extremes["min"])
        self.rating_max = max(self.rating_max, extremes["max"])
        self.missing_timestamps += ratings[TIMESTAMP].null_count


def _merged(known: pa.Array, column: pa.ChunkedArray) -> pa.Array:
    return pc.unique(pa.chunked_array([known, *column.chunks]))


def _write(batches: Batches, path: Path, on_record: Callable[[Any], None] | None) -> _Tally:
    tally, rows = _Tally(), 0
    with ratings_writer(path, RATINGS) as writer:
        waiting: list[pa.RecordBatch] = []
        for batch, fraction in batches:
            rows += batch.num_rows
            waiting.append(batch)
            if sum(part.num_rows for part in waiting) >= _ROW_GROUP_ROWS:
                _flush(writer, tally, waiting)
            if on_record is not None:
                on_record(RowsRead(rows, fraction))
        if waiting:
            _flush(writer, tally, waiting)
    return tally


def _flush(writer: pq.ParquetWriter, tally: _Tally, waiting: list[pa.RecordBatch]) -> None:
    ratings = pa.Table.from_batches(waiting, RATINGS)
    waiting.clear()
    if ratings.num_rows:
        tally.add(ratings)
        writer.write_table(ratings, row_group_size=ratings.num_rows)


def _batches(resolved: SyntheticSource | sources.FilesSource, settings: IngestSettings) -> Batches:
    if isinstance(resolved, SyntheticSource):
        return _planted(resolved)
    return _from_files(resolved, settings)


def _names(resolved: SyntheticSource | sources.FilesSource) -> list[str]:
    return [path.name for path in resolved.paths] if isinstance(resolved, sources.FilesSource) else []


def _planted(source: SyntheticSource) -> Batches:
    rows = 0
    for batch in source.batches():
        rows += batch.num_rows
        yield batch, rows / source.ratings


def _from_files(source: sources.FilesSource, settings: IngestSettings) -> Batches:
    sizes = [path.stat().st_size for path in source.paths]
    for place, path in enumerate(source.paths):
        try:
            for batch, share in _typed_batches(path, settings):
                yield batch, (sum(sizes[:place]) + share * sizes[place]) / max(sum(sizes), 1)
        except DataError as error:
            if len(source.paths) == 1:
                raise
            # A folder or glob may have taken in a file that is not one of ratings.
            named = ", ".join(_names(source)[:8]) + (", ..." if len(source.paths) > 8 else "")
            raise DataError(f"{error} (read together: {len(source.paths):,} files, {named})") from None


def _typed_batches(path: Path, settings: IngestSettings) -> Iterator[tuple[pa.RecordBatch, float]]:
    first_row = 1
    for batch, share in read(path, settings):
        yield typed(batch, settings.rating_range, file=path.name, first_row=first_row), share
        first_row += batch.num_rows


def _existing(final: Path, source: str) -> DatasetRef | None:
    """Return the data set of a folder if it is there and whole, under the name now asked for."""
    try:
        manifest = json.loads((final / "manifest.json").read_text(encoding="utf-8"))
        ref = DatasetRef.model_validate(manifest["dataset"])
    except (OSError, ValueError, KeyError, ValidationError):
        return None
    ref = ref.model_copy(update={"path": final, "source": source})
    return ref if is_whole(ref) else None


def _manifest(ref: DatasetRef, settings: IngestSettings, resolved: SyntheticSource | sources.FilesSource) -> str:
    manifest = {
        "format_version": FORMAT_VERSION,
        "cfmodel_version": cfmodel.__version__,
        "pyarrow_version": pa.__version__,
        "dataset": ref.model_dump(mode="json"),
        "files": _names(resolved),
        "settings": settings.model_dump(mode="json"),
    }
    return json.dumps(manifest, indent=2) + "\n"
