"""Stream a source of ratings into typed Parquet."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import cfmodel
from cfmodel.config import IngestSettings
from cfmodel.data.ingest import drift, duplicates
from cfmodel.data.ingest.drift import Snapshot
from cfmodel.data.ingest.profile import Profile, profile_of
from cfmodel.data.ingest.quarantine import Quarantine
from cfmodel.data.ingest.ratings_sink import Pairs, RatingsSink, movies_of, users_of
from cfmodel.data.ingest.read_source import FileRead, RowsRead, read_all, total
from cfmodel.data.sources import sources
from cfmodel.data.sources.synthetic import SyntheticSource
from cfmodel.data.storage import reused
from cfmodel.errors import DataError
from cfmodel.refs import DatasetRef
from cfmodel.system import atomic
from cfmodel.system.digests import code_digest, sha256_of_file, sha256_of_text

__all__ = ["RowsRead", "ingest", "previous_digest", "source_digest"]

FORMAT_VERSION = 2

Resolved = SyntheticSource | sources.FilesSource


def source_digest(source: str, *, folder: Path) -> str:
    """Return the SHA-256 over a source's raw bytes, names excluded, or over a generated one's settings.

    Args:
        source: What to read, as for `ingest`.
        folder: Folder below which downloads are kept.
    """
    return sources.digest_of(sources.resolve(source, folder=folder))


def previous_digest(source: str, *, folder: Path, now: str) -> str:
    """Return the digest of the data a source gave in its previous run; empty if none or from the bytes it has now."""
    before = Snapshot.read(drift.snapshot_path(source, folder=folder))
    return "" if before is None or before.figures.source_digest == now else before.figures.digest


def ingest(
    source: str, settings: IngestSettings, *, folder: Path, on_record: Callable[[Any], None] | None = None
) -> DatasetRef:
    """Read ratings from a source and write them as typed Parquet.

    The ratings go to `folder/ingested/<key>`, where the key is over the source's bytes, the
    settings and cfmodel's code. An equal data set that is there and whole is used again. Every row
    is accounted for: kept, set aside, merged with another of its pair, or saying that there is no rating.

    Args:
        source: `synthetic[:key=value,...]`, a public set's name, a file, a folder, a glob or the
            address of an object store.
        settings: How to read it.
        folder: Folder for data.
        on_record: Takes a `RowsRead` now and then.

    Raises:
        ConfigError: A key of `synthetic` is unknown or its value outside what it may be.
        DataError: Nothing is there, it cannot be read, it is empty, too many rows cannot be ratings,
            or it is too far from the previous run's.
    """
    resolved = sources.resolve(source, folder=folder)
    digest = sources.digest_of(resolved)
    key = sha256_of_text(digest, settings.of_the_data, code_digest())[:32]
    final = folder.resolve() / "ingested" / key
    ref = reused(DatasetRef, final, "dataset", source=source)
    if ref is None:
        with atomic.folder(final, replace=True) as temporary:
            work = _Work(resolved, source, digest, settings, temporary, aside=folder / "quarantine" / f"{key}.parquet")
            ref = work.done(on_record).model_copy(update={"path": final})
            # Last: a folder without a manifest is no data set.
            (temporary / "manifest.json").write_text(work.manifest(ref), encoding="utf-8")
    return _compared(ref, settings, folder)


class _Work:
    """One ingest under way in a temporary folder."""

    def __init__(
        self, resolved: Resolved, source: str, digest: str, settings: IngestSettings, target: Path, *, aside: Path
    ) -> None:
        self._resolved, self._source, self._digest = resolved, source, digest
        self._settings, self._target, self._aside = settings, target, aside
        self._files: list[FileRead] = []

    def done(self, on_record: Callable[[Any], None] | None) -> DatasetRef:
        """Write ratings, profile, snapshot and the rows set aside."""
        start, path = time.perf_counter(), self._target / "ratings.parquet"
        with Quarantine(self._target / "quarantine.parquet", self._settings) as aside, RatingsSink(path) as sink:
            self._files = list(read_all(self._resolved, self._settings, aside, sink, on_record))
        accounts = total(file.accounts for file in self._files)
        aside.require_few(accounts.rows_in, keep=self._aside)
        if not accounts.kept:
            raise DataError(f"{self._source}: holds no ratings; give a source with at least one")
        pairs, merged = self._merged(sink, path)
        accounts = accounts.model_copy(update={"kept": len(pairs), "merged": merged})
        accounts.require_balance()
        users, movies = np.bincount(users_of(pairs)), np.bincount(movies_of(pairs))
        profile = profile_of(path, users, movies, accounts, aside.by_reason)
        (self._target / "profile.json").write_text(profile.model_dump_json(indent=1) + "\n", encoding="utf-8")
        digest = sha256_of_file(path)
        snapshot = Snapshot.of(profile, sink.users, sink.movies, digest=digest, source_digest=self._digest)
        snapshot.write(self._target / "snapshot.parquet")
        return self._ref(profile, digest, seconds=time.perf_counter() - start)

    def _merged(self, sink: RatingsSink, path: Path) -> tuple[Pairs, int]:
        """Make several ratings of one pair one; return the pairs that stay and how many gave way."""
        pairs = sink.pairs()
        merge = duplicates.find(pairs, path, self._settings, sink.users, sink.movies)
        if merge is None:
            return pairs, 0
        duplicates.rewrite(path, self._target / "merged.parquet", merge)
        (self._target / "merged.parquet").replace(path)
        return pairs[merge.kept], merge.merged

    def _ref(self, profile: Profile, digest: str, *, seconds: float) -> DatasetRef:
        times = profile.times
        return DatasetRef(
            path=self._target,
            digest=digest,
            source=self._source,
            source_digest=self._digest,
            rows=profile.accounts.kept,
            users=profile.users.number,
            movies=profile.movies.number,
            rating_min=profile.ratings.low,
            rating_max=profile.ratings.high,
            has_timestamps=times is not None and times.missing == 0,
            noise_floor=self._resolved.noise if isinstance(self._resolved, SyntheticSource) else None,
            accounts=profile.accounts,
            seconds=seconds,
        )

    def manifest(self, ref: DatasetRef) -> str:
        """Return what is said of the data set beside it."""
        manifest = {
            "format_version": FORMAT_VERSION,
            "cfmodel_version": cfmodel.__version__,
            "pyarrow_version": pa.__version__,
            "dataset": ref.model_dump(mode="json"),
            "files": [file.model_dump(mode="json") for file in self._files],
            "settings": self._settings.model_dump(mode="json"),
        }
        return json.dumps(manifest, indent=2) + "\n"


def _compared(ref: DatasetRef, settings: IngestSettings, folder: Path) -> DatasetRef:
    """Hold a data set against the source's previous one, and remember it in its place."""
    path = drift.snapshot_path(ref.source, folder=folder)
    before, now = Snapshot.read(path), Snapshot.read(ref.path / "snapshot.parquet")
    if now is None or (before is not None and before.figures == now.figures):
        return ref
    if before is not None and before.figures.source_digest != ref.source_digest:
        found = drift.drift_between(before, now)
        drift.require_little(found, settings.drift, source=ref.source)
        ref = ref.model_copy(update={"drift": found})
    now.write(path)
    return ref
