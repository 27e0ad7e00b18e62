"""Splitting: divide a data set into train, val and test, once per content."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cfmodel.config import SplitSettings
from cfmodel.data.splitting.assign_parts import PARTS, TEST, TRAIN, VAL, assign_parts
from cfmodel.data.splitting.empty_part import refuse_empty_part
from cfmodel.data.splitting.ratings_table import RatingsTable
from cfmodel.data.storage import digests_of_parts, find_earlier, manifest_of
from cfmodel.data.vocabulary import Vocabulary
from cfmodel.errors import ConfigError, DataError
from cfmodel.refs import DatasetRef, SplitRef
from cfmodel.system import atomic
from cfmodel.system.digests import code_digest, sha256_of_text

_FORMAT_VERSION = 1

_THREADS = 2

_Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class RowsSplit:
    """Progress of splitting.

    Attributes:
        rows: Ratings written so far.
        fraction: Share of all ratings, in [0, 1].
    """

    rows: int
    fraction: float


def split(
    data: DatasetRef,
    settings: SplitSettings,
    *,
    folder: Path,
    test: DatasetRef | None = None,
    on_record: Callable[[Any], None] | None = None,
) -> SplitRef:
    """Divide ratings into train, val and test, and write the vocabularies of the training part.

    The parts go to `folder/splits/<key>`; the key is a digest of the data's digest, the settings and
    cfmodel's code. An earlier result with the same key is reused if its files are not damaged. The data
    set itself is not changed.

    Args:
        data: The ratings; for `predefined` those for train and val.
        test: The ratings for test; only for `predefined`.
        on_record: Called with a `RowsSplit` now and then.

    Raises:
        ConfigError: `test` is missing for `predefined`, or given for another strategy.
        DataError: Timestamps are needed and missing, a part would be empty, or a (user, movie) pair is
            in both predefined files.
        DigestError: The data set is missing or has changed.
    """
    _check_test(settings, test)
    final = folder.resolve() / "splits" / _key(data, settings, test)[:32]
    # The same ratings may come from another source, such as a copy of the file.
    given = {"source": data.source, "noise_floor": data.noise_floor, "data": data}
    if (earlier := find_earlier(SplitRef, final, "split", **given)) is not None:
        return earlier
    start = time.perf_counter()
    ratings = RatingsTable.read(data, test)
    if ratings.is_test is not None:
        _refuse_leak(ratings, ratings.is_test)
    kept, dropped_rows = _drop_rare(ratings, settings)
    parts = assign_parts(kept, settings)
    refuse_empty_part(kept, parts, settings)
    with atomic.folder(final, replace=True) as temporary:
        train = _write_parts(kept, parts, temporary, on_record)
        users = _occurring(kept.users, kept.user_idx[train])
        movies = _occurring(kept.movies, kept.movie_idx[train])
        rating = kept.rating[train]
        users.write(temporary / "users.parquet")
        movies.write(temporary / "movies.parquet")
        counts = np.bincount(parts, minlength=3).tolist()
        digests = digests_of_parts(temporary)
        ref = SplitRef(
            path=final,
            digest=sha256_of_text(*digests.values()),
            data_digest=data.digest,
            source=data.source,
            strategy=settings.strategy,
            train_rows=counts[TRAIN],
            val_rows=counts[VAL],
            test_rows=counts[TEST],
            dropped_rows=dropped_rows,
            users=len(users),
            movies=len(movies),
            global_mean=float(rating.mean()),
            rating_min=float(rating.min()),
            rating_max=float(rating.max()),
            noise_floor=data.noise_floor,
            data=data,
            seconds=time.perf_counter() - start,
        )
        # Last: a folder without a manifest is not a split.
        manifest = manifest_of(_FORMAT_VERSION, split=ref, settings=settings, sha256=digests)
        (temporary / "manifest.json").write_text(manifest, encoding="utf-8")
    return ref


def _check_test(settings: SplitSettings, test: DatasetRef | None) -> None:
    if settings.strategy == "predefined" and test is None:
        raise ConfigError("split.strategy = 'predefined' needs test ratings; set split.test_source")
    if settings.strategy != "predefined" and test is not None:
        raise ConfigError(f"split.strategy = '{settings.strategy}' takes no test ratings; set it to 'predefined'")


def _key(data: DatasetRef, settings: SplitSettings, test: DatasetRef | None) -> str:
    # The test file's content counts, not its name.
    options = settings.model_dump_json(exclude={"test_source"})
    return sha256_of_text(data.digest, test.digest if test else "", options, code_digest())


def _refuse_leak(ratings: RatingsTable, is_test: npt.NDArray[np.bool_]) -> None:
    pairs = ratings.user_idx.astype(np.int64) * len(ratings.movies) + ratings.movie_idx
    both = np.intersect1d(pairs[~is_test], pairs[is_test])
    if len(both):
        user, movie = divmod(int(both[0]), len(ratings.movies))
        raise DataError(
            f"{len(both):,} (user, movie) pairs are in both the training and the test file, the first with user "
            f"{ratings.users.decode([user])[0]!r} and movie {ratings.movies.decode([movie])[0]!r}; "
            f"remove them from one file, since test ratings must not be trained on"
        )


def _drop_rare(ratings: RatingsTable, settings: SplitSettings) -> tuple[RatingsTable, int]:
    """Drop users with too few ratings, then movies with too few of the remaining ones."""
    kept = ratings
    if (least := settings.min_ratings_per_user) > 1:
        kept = kept.where(_frequent(kept.user_idx, len(kept.users), least))
    if (least := settings.min_ratings_per_movie) > 1:
        kept = kept.where(_frequent(kept.movie_idx, len(kept.movies), least))
    if not len(kept):
        raise DataError(
            f"none of the {len(ratings):,} ratings is left; lower split.min_ratings_per_user "
            f"({settings.min_ratings_per_user}) or split.min_ratings_per_movie ({settings.min_ratings_per_movie})"
        )
    return kept, len(ratings) - len(kept)


def _frequent(idx: npt.NDArray[np.int32], num_rows: int, least: int) -> npt.NDArray[np.bool_]:
    frequent: npt.NDArray[np.bool_] = (np.bincount(idx, minlength=num_rows) >= least)[idx]
    return frequent


def _write_parts(
    ratings: RatingsTable, parts: npt.NDArray[np.int8], folder: Path, on_record: Callable[[Any], None] | None
) -> _Rows:
    """Write the three parts in parallel; return the indices of the training ratings."""

    def write(name: str) -> _Rows:
        rows = np.flatnonzero(parts == PARTS[name])
        ratings.write(folder / f"{name}.parquet", rows)
        return rows

    with ThreadPoolExecutor(_THREADS, "split") as threads:
        # The largest part comes first, so that the others do not wait for it.
        running = {name: threads.submit(write, name) for name in PARTS}
        written = 0
        for future in as_completed(running.values()):
            written += len(future.result())
            if on_record is not None:
                on_record(RowsSplit(written, written / len(ratings)))
    return running["train"].result()


def _occurring(vocabulary: Vocabulary, idx: npt.NDArray[np.int32]) -> Vocabulary:
    """Return the vocabulary of the ids that occur."""
    occurs = np.bincount(idx, minlength=len(vocabulary)) > 0
    return Vocabulary(vocabulary.ids.filter(pa.array(occurs)))
