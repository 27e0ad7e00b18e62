"""Ingest: read a source of ratings and write it as typed Parquet, once per content."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cfmodel.config import IngestSettings
from cfmodel.data.ingest import drift
from cfmodel.data.ingest.doubts import doubt_of_scale, doubt_of_times, doubts_of_ids
from cfmodel.data.ingest.drift import Figures, Snapshot
from cfmodel.data.ingest.duplicates import find_duplicates, merge_duplicates
from cfmodel.data.ingest.not_rated import suspect_not_rated
from cfmodel.data.ingest.profile import Profile, profile_ratings
from cfmodel.data.ingest.quarantine import Quarantine
from cfmodel.data.ingest.ratings_sink import Pairs, RatingsSink, movies_of, users_of
from cfmodel.data.ingest.read_source import FileRead, RowsRead, add_accounts, read_source
from cfmodel.data.reading.read_as import read_as
from cfmodel.data.sources.sources import FilesSource, digest_of_source, resolve_source
from cfmodel.data.sources.synthetic import SyntheticSource
from cfmodel.data.storage import find_earlier, manifest_of
from cfmodel.errors import DataError
from cfmodel.refs import DatasetRef
from cfmodel.system import atomic
from cfmodel.system.digests import code_digest, sha256_of_file, sha256_of_text

__all__ = ["RowsRead", "ingest"]

_FORMAT_VERSION = 2

_Resolved = SyntheticSource | FilesSource


def ingest(
    source: str, settings: IngestSettings, *, folder: Path, on_record: Callable[[Any], None] | None = None
) -> DatasetRef:
    """Read ratings from a source and write them as typed Parquet.

    The ratings go to `folder/ingested/<key>`; the key is a digest of the source's bytes, the settings
    and cfmodel's code. An earlier result with the same key is reused if its ratings are not damaged.
    Every row is counted: as kept, quarantined, merged or unrated.

    Args:
        source: `synthetic[:key=value,...]`, a public data set's name, a file, a folder, a glob or the
            address of an object store.
        on_record: Called with a `RowsRead` now and then.

    Raises:
        ConfigError: A key of `synthetic` is unknown or its value is out of range.
        DataError: The source is missing, empty or cannot be read, has too many bad rows, or is too
            different from its previous run.
    """
    resolved = resolve_source(source, folder=folder)
    digest = digest_of_source(resolved)
    key = sha256_of_text(digest, settings.of_the_data, code_digest())[:32]
    final = folder.resolve() / "ingested" / key
    ref = find_earlier(DatasetRef, final, "dataset", source=source)
    if ref is None:
        with atomic.folder(final, replace=True) as temporary:
            quarantine = folder / "quarantine" / f"{key}.parquet"
            work = _Work(resolved, source, digest, settings, temporary, quarantine=quarantine)
            ref = work.write(on_record).model_copy(update={"path": final})
            # Last: a folder without a manifest is not a data set.
            (temporary / "manifest.json").write_text(work.manifest(ref), encoding="utf-8")
    return _compare_with_previous(ref, settings, folder)


class _Work:
    """One ingest, written to a temporary folder."""

    def __init__(
        self, resolved: _Resolved, source: str, digest: str, settings: IngestSettings, target: Path, *, quarantine: Path
    ) -> None:
        self._resolved, self._source, self._digest = resolved, source, digest
        self._settings, self._target, self._quarantine = settings, target, quarantine
        self._files: list[FileRead] = []

    def write(self, on_record: Callable[[Any], None] | None) -> DatasetRef:
        """Write ratings, profile, snapshot and quarantine."""
        start, path = time.perf_counter(), self._target / "ratings.parquet"
        with Quarantine(self._target / "quarantine.parquet", self._settings) as bad, RatingsSink(path) as sink:
            self._files = list(read_source(self._resolved, self._settings, bad, sink, on_record))
        accounts = add_accounts(file.accounts for file in self._files)
        bad.require_few(accounts.rows_in, keep=self._quarantine)
        if not accounts.kept:
            raise DataError(f"{self._source}: holds no ratings; give a source with at least one")
        pairs, merged = self._merge(sink, path)
        accounts = accounts.model_copy(update={"kept": len(pairs), "merged": merged})
        accounts.require_balance()
        users, movies = np.bincount(users_of(pairs)), np.bincount(movies_of(pairs))
        profile = profile_ratings(path, users, movies, accounts, bad.by_reason)
        profile = profile.model_copy(update=self._what_was_read(profile, sink))
        (self._target / "profile.json").write_text(profile.model_dump_json(indent=1) + "\n", encoding="utf-8")
        digest = sha256_of_file(path)
        mean, std = profile.ratings.mean, profile.ratings.std
        figures = Figures(digest=digest, source_digest=self._digest, rows=len(pairs), mean=mean, std=std)
        Snapshot(figures, sink.users, sink.movies).write(self._target / "snapshot.parquet")
        return self._ref(profile, digest, seconds=time.perf_counter() - start)

    def _what_was_read(self, profile: Profile, sink: RatingsSink) -> dict[str, Any]:
        doubts = [doubt for file in self._files for doubt in file.doubts]
        if self._settings.not_rated is None and (suspect := suspect_not_rated(profile.ratings)) is not None:
            doubts.append(suspect)
        elif isinstance(self._resolved, FilesSource):
            doubts += filter(None, (doubt_of_scale(profile.ratings),))
        doubts += [*doubts_of_ids(sink.users, "user"), *doubts_of_ids(sink.movies, "movie")]
        doubts += filter(None, (None if profile.times is None else doubt_of_times(profile.times),))
        described = [(file.name, file.read_as) for file in self._files if file.read_as]
        return {"read_as": read_as(described), "warnings": tuple(dict.fromkeys(doubts))}

    def _merge(self, sink: RatingsSink, path: Path) -> tuple[Pairs, int]:
        """Merge duplicates; return the remaining pairs and the number of ratings dropped."""
        pairs = sink.pairs()
        merge = find_duplicates(pairs, path, self._settings, sink.users, sink.movies)
        if merge is None:
            return pairs, 0
        merge_duplicates(path, self._target / "merged.parquet", merge)
        (self._target / "merged.parquet").replace(path)
        return pairs[merge.kept], int((~merge.kept).sum())

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
            read_as=profile.read_as,
            warnings=profile.warnings,
            seconds=seconds,
        )

    def manifest(self, ref: DatasetRef) -> str:
        """Return the text of `manifest.json`."""
        files = [file.model_dump(mode="json") for file in self._files]
        return manifest_of(_FORMAT_VERSION, dataset=ref, files=files, settings=self._settings)


def _compare_with_previous(ref: DatasetRef, settings: IngestSettings, folder: Path) -> DatasetRef:
    """Compare a data set with the source's previous one, and keep its snapshot for the next run."""
    path = drift.snapshot_path(ref.source, folder=folder)
    before, now = Snapshot.read(path), Snapshot.read(ref.path / "snapshot.parquet")
    if now is None or (before is not None and before.figures == now.figures):
        return ref
    if before is not None and before.figures.source_digest != ref.source_digest:
        found = drift.measure_drift(before, now)
        drift.require_small_drift(found, settings.drift, source=ref.source)
        ref = ref.model_copy(update={"drift": found})
    now.write(path)
    return ref
