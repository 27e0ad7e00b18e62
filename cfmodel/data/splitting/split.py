"""Divide a data set into train, val and test."""

import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

import cfmodel
from cfmodel.config import SplitSettings
from cfmodel.data.splitting.assign_parts import TEST, TRAIN, VAL, assign
from cfmodel.data.splitting.ratings_table import Ratings
from cfmodel.data.storage import digests_of_parts, reused
from cfmodel.data.vocabulary import Vocabulary
from cfmodel.errors import ConfigError, DataError
from cfmodel.refs import DatasetRef, SplitRef
from cfmodel.system import atomic
from cfmodel.system.digests import code_digest, sha256_of_text

FORMAT_VERSION = 1

_PARTS = {"train": TRAIN, "val": VAL, "test": TEST}
_THREADS = 2

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class RowsSplit:
    """How far splitting has come.

    Attributes:
        rows: Ratings written so far.
        fraction: Their share of all, in [0, 1].
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

    The parts go to `folder/splits/<key>`, where the key is over the data's digest, the settings and
    cfmodel's code. An equal split that is there and whole is used again. The data set is only read.

    Args:
        data: The ratings; for `predefined` those for training and validation.
        settings: How to divide them; `cfmodel.data.splitting.assign_parts.assign` says what the strategies do.
        folder: Folder for data.
        test: The ratings for testing; for `predefined` alone.
        on_record: Takes a `RowsSplit` now and then.

    Raises:
        ConfigError: `test` is missing for `predefined`, or given for another strategy.
        DataError: Timestamps are needed and missing, a part would be empty, or a user's rating of a
            movie is in both predefined files.
        DigestError: The data set is not the one its ref names.
    """
    _check_test(settings, test)
    final = folder.resolve() / "splits" / _key(data, settings, test)[:32]
    # Equal ratings may come from another source, as generated or as a copy of them in a file.
    given = {"source": data.source, "noise_floor": data.noise_floor, "data": data}
    if (earlier := reused(SplitRef, final, "split", **given)) is not None:
        return earlier
    start = time.perf_counter()
    ratings = Ratings.read(data, test)
    if ratings.is_test is not None:
        _refuse_leak(ratings, ratings.is_test)
    kept, dropped_rows = _often_enough(ratings, settings)
    parts = assign(kept, settings)
    _refuse_empty(parts, settings)
    with atomic.folder(final, replace=True) as temporary:
        train = _write_parts(kept, parts, temporary, on_record)
        users = _present(kept.users, kept.user_idx[train])
        movies = _present(kept.movies, kept.movie_idx[train])
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
        # Last: a folder without a manifest is no split.
        (temporary / "manifest.json").write_text(_manifest(ref, settings, digests), encoding="utf-8")
    return ref


def _check_test(settings: SplitSettings, test: DatasetRef | None) -> None:
    if settings.strategy == "predefined" and test is None:
        raise ConfigError("split.strategy = 'predefined' needs test ratings; set split.test_source")
    if settings.strategy != "predefined" and test is not None:
        raise ConfigError(f"split.strategy = '{settings.strategy}' takes no test ratings; set it to 'predefined'")


def _key(data: DatasetRef, settings: SplitSettings, test: DatasetRef | None) -> str:
    # The test file counts by its content, not by its name.
    said = settings.model_dump_json(exclude={"test_source"})
    return sha256_of_text(data.digest, test.digest if test else "", said, code_digest())


def _refuse_leak(ratings: Ratings, is_test: npt.NDArray[np.bool_]) -> None:
    pairs = ratings.user_idx.astype(np.int64) * len(ratings.movies) + ratings.movie_idx
    both = np.intersect1d(pairs[~is_test], pairs[is_test])
    if len(both):
        user, movie = divmod(int(both[0]), len(ratings.movies))
        raise DataError(
            f"{len(both):,} (user, movie) pairs are in both the training and the test file, the first of them user "
            f"{ratings.users.decode([user])[0]!r} and movie {ratings.movies.decode([movie])[0]!r}; "
            f"a test rating must not be trained on: take them out of one file"
        )


def _often_enough(ratings: Ratings, settings: SplitSettings) -> tuple[Ratings, int]:
    """Leave out users with too few ratings, then movies with too few of those that remain."""
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


def _refuse_empty(parts: npt.NDArray[np.int8], settings: SplitSettings) -> None:
    remedies = {
        "train": "lower split.test_fraction or split.val_fraction, or take another split.strategy",
        "val": "raise split.val_fraction",
        "test": "raise split.test_fraction" if settings.strategy != "predefined" else "give another split.test_source",
    }
    for name, part in _PARTS.items():
        if not (parts == part).any():
            raise DataError(
                f"split '{settings.strategy}' leaves none of the {len(parts):,} ratings in {name}; "
                f"{remedies[name]}, or give more ratings"
            )


def _write_parts(
    ratings: Ratings, parts: npt.NDArray[np.int8], folder: Path, on_record: Callable[[Any], None] | None
) -> Rows:
    """Write the three parts beside each other, and return which ratings the training one has."""

    def write(name: str) -> Rows:
        rows = np.flatnonzero(parts == _PARTS[name])
        ratings.write(folder / f"{name}.parquet", rows)
        return rows

    with ThreadPoolExecutor(_THREADS, "split") as threads:
        # The largest first, so that nothing waits for it in the end.
        running = {name: threads.submit(write, name) for name in _PARTS}
        written = 0
        for future in as_completed(running.values()):
            written += len(future.result())
            if on_record is not None:
                on_record(RowsSplit(written, written / len(ratings)))
    return running["train"].result()


def _present(vocabulary: Vocabulary, idx: npt.NDArray[np.int32]) -> Vocabulary:
    """Return the ids that occur; they stay sorted."""
    occurs = np.bincount(idx, minlength=len(vocabulary)) > 0
    return Vocabulary(vocabulary.ids.filter(pa.array(occurs)))


def _manifest(ref: SplitRef, settings: SplitSettings, digests: Mapping[str, str]) -> str:
    manifest = {
        "format_version": FORMAT_VERSION,
        "cfmodel_version": cfmodel.__version__,
        "pyarrow_version": pa.__version__,
        "split": ref.model_dump(mode="json"),
        "settings": settings.model_dump(mode="json"),
        "sha256": dict(digests),
    }
    return json.dumps(manifest, indent=2) + "\n"
