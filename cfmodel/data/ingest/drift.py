"""Drift of a source since its previous run: volume, mean rating, share of new ids."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import BaseModel, ValidationError

from cfmodel.config import DriftSettings
from cfmodel.data.ingest.profile import Profile
from cfmodel.data.sources.object_stores import local_path
from cfmodel.errors import DataError
from cfmodel.refs import Drift
from cfmodel.system import atomic
from cfmodel.system.digests import sha256_of_text

_METADATA = b"cfmodel.snapshot"


class _Figures(BaseModel):
    digest: str
    source_digest: str
    rows: int
    mean: float
    std: float


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The part of a data set that the source's next run is compared with.

    Attributes:
        figures: The digests, the number of ratings, and their mean and standard deviation.
        users: The users' ids.
        movies: The movies' ids.
    """

    figures: _Figures
    users: pa.StringArray
    movies: pa.StringArray

    @classmethod
    def of(
        cls, profile: Profile, users: pa.StringArray, movies: pa.StringArray, *, digest: str, source_digest: str
    ) -> Self:
        """Return a data set's snapshot."""
        ratings = profile.ratings
        figures = _Figures(
            digest=digest, source_digest=source_digest, rows=profile.accounts.kept, mean=ratings.mean, std=ratings.std
        )
        return cls(figures, users, movies)

    def write(self, path: Path) -> None:
        """Write the snapshot as one file, which appears whole or not at all.

        Raises:
            DiskFullError: There is no room for it.
        """
        kinds = pa.array([False] * len(self.users) + [True] * len(self.movies))
        table = pa.table({"is_movie": kinds, "id": pa.concat_arrays([self.users, self.movies])})
        table = table.replace_schema_metadata({_METADATA: self.figures.model_dump_json()})
        with atomic.file(path) as temporary:
            pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Read a snapshot; None if it is missing or cannot be read."""
        try:
            table = pq.read_table(path, page_checksum_verification=True)
            figures = _Figures.model_validate_json(table.schema.metadata[_METADATA])
            ids, is_movie = table["id"].combine_chunks(), table["is_movie"].combine_chunks()
        except (OSError, pa.ArrowException, KeyError, TypeError, ValidationError):
            return None
        return cls(figures, ids.filter(pc.invert(is_movie)), ids.filter(is_movie))


def snapshot_path(source: str, *, folder: Path) -> Path:
    """Return the file for a source's snapshot; its name comes from the source's name, or from the absolute path."""
    path = local_path(source)
    name = str(path.absolute()) if path is not None and path.exists() else source
    return folder / "profiles" / f"{sha256_of_text(name)[:32]}.parquet"


def measure_drift(before: Snapshot, now: Snapshot) -> Drift:
    """Return the drift from one data set to the next."""
    old, new = before.figures, now.figures
    shift = 0.0 if new.mean == old.mean else (new.mean - old.mean) / (old.std or abs(new.mean - old.mean))
    return Drift(
        previous_digest=old.digest,
        volume_change=new.rows / old.rows - 1,
        mean_shift=shift,
        new_user_share=_new_share(before.users, now.users),
        new_movie_share=_new_share(before.movies, now.movies),
    )


def require_small_drift(drift: Drift, settings: DriftSettings, *, source: str) -> None:
    """Refuse a data set that is too different from the previous one.

    Raises:
        DataError: The drift is above a limit of `ingest.drift`.
    """
    measures = (
        ("max_volume_change", drift.volume_change, f"{drift.volume_change:+.1%} ratings"),
        ("max_mean_shift", drift.mean_shift, f"the mean rating shifted by {drift.mean_shift:+.2f} standard deviations"),
        ("max_new_share", drift.new_user_share, f"{drift.new_user_share:.1%} of the users are new"),
        ("max_new_share", drift.new_movie_share, f"{drift.new_movie_share:.1%} of the movies are new"),
    )
    exceeded = [
        f"{text} (ingest.drift.{name} = {limit:g})"
        for name, value, text in measures
        if (limit := getattr(settings, name)) is not None and abs(value) > limit
    ]
    if exceeded:
        raise DataError(
            f"{source}: too different from the previous run's data: {'; '.join(exceeded)}; correct the source or, if "
            f"the change is right, raise the limit for one run"
        )


def _new_share(known: pa.StringArray, ids: pa.StringArray) -> float:
    return float(pc.mean(pc.is_null(pc.index_in(ids, value_set=known))).as_py())
