"""Loading of a split's parts as arrays of vocabulary rows."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cfmodel.column_statistics import RatingScale
from cfmodel.data.storage import dictionary_of, digest_of_parts, encode_column, read_ratings_file
from cfmodel.data.vocabulary import Vocabulary
from cfmodel.errors import DigestError
from cfmodel.refs import SplitRef
from cfmodel.schema import MOVIE_ID, RATING, TIMESTAMP, USER_ID


@dataclass(frozen=True, eq=False)
class RatingArrays:
    """Ratings as arrays.

    Attributes:
        user_idx: Rows of the user vocabulary, -1 for an unknown user, int32, shape (N,).
        movie_idx: Rows of the movie vocabulary, -1 for an unknown movie, int32, shape (N,).
        rating: Ratings in rating units, float64, or standardized, float32; shape (N,).
        timestamp: Nanoseconds since 1970-01-01 UTC, int64, shape (N,); None if not loaded or missing.
    """

    user_idx: npt.NDArray[np.int32]
    movie_idx: npt.NDArray[np.int32]
    rating: npt.NDArray[np.floating[Any]]
    timestamp: npt.NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.rating)

    def __getitem__(self, rows: slice | npt.NDArray[np.integer[Any]]) -> "RatingArrays":
        """Return some of the ratings; a slice shares their memory."""
        timestamp = None if self.timestamp is None else self.timestamp[rows]
        return RatingArrays(self.user_idx[rows], self.movie_idx[rows], self.rating[rows], timestamp)

    def standardized(self, scale: RatingScale) -> "RatingArrays":
        """Return the same rows with standardized ratings."""
        return replace(self, rating=scale.standardized(self.rating))


def read_split(folder: Path) -> SplitRef:
    """Return the ref of the split in a folder.

    Raises:
        DigestError: There is no split, or its files have changed.
    """
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        split = SplitRef.model_validate(manifest["split"]).model_copy(update={"path": folder})
    except (OSError, ValueError, KeyError, TypeError):
        raise DigestError(f"{folder}: holds no readable split; run the pipeline again") from None
    _verify(split)
    return split


def load_vocabularies(split: SplitRef, *, parts: Sequence[str] = ("train",)) -> tuple[Vocabulary, Vocabulary]:
    """Return the vocabularies of users and movies of some parts of a split, by default of train.

    Raises:
        DigestError: The split's files have changed.
    """
    _verify(split)
    if tuple(parts) == ("train",):
        return Vocabulary.read(split.path / "users.parquet"), Vocabulary.read(split.path / "movies.parquet")
    users, movies = (_distinct(split.path, parts, column) for column in (USER_ID, MOVIE_ID))
    return Vocabulary.of(users), Vocabulary.of(movies)


def load_part(
    split: SplitRef, part: str, *, users: Vocabulary, movies: Vocabulary, timestamps: bool = True
) -> RatingArrays:
    """Load one part of a split as rows of two vocabularies; unknown ids get row -1.

    Args:
        part: `train`, `val` or `test`.
        timestamps: Whether to load timestamps; for 25 million ratings they take 200 MB.

    Raises:
        DigestError: The split's files have changed.
    """
    _verify(split)

    # Column by column, so that only one column is in memory twice.
    def column(name: str) -> pa.ChunkedArray:
        return read_ratings_file(split.path / f"{part}.parquet", [name])[name]

    timestamp = column(TIMESTAMP) if timestamps else None
    return RatingArrays(
        user_idx=encode_column(column(USER_ID), users),
        movie_idx=encode_column(column(MOVIE_ID), movies),
        rating=column(RATING).to_numpy(),
        timestamp=None if timestamp is None or timestamp.null_count else timestamp.cast(pa.int64()).to_numpy(),
    )


def load_together(
    split: SplitRef, parts: Sequence[str], *, users: Vocabulary, movies: Vocabulary
) -> tuple[RatingArrays, dict[str, RatingArrays]]:
    """Load several parts of a split into one array, in order, as rows of two vocabularies and without timestamps.

    Returns:
        All ratings, and name to part; the parts share the memory of all.

    Raises:
        DigestError: The split's files have changed.
    """
    loaded = [load_part(split, part, users=users, movies=movies, timestamps=False) for part in parts]
    ends = np.cumsum([0, *map(len, loaded)]).tolist()
    together = concatenate(*loaded)
    return together, {part: together[ends[place] : ends[place + 1]] for place, part in enumerate(parts)}


def concatenate(*arrays: RatingArrays) -> RatingArrays:
    """Concatenate ratings; with timestamps only if all have them."""
    times = [part.timestamp for part in arrays if part.timestamp is not None]
    return RatingArrays(
        user_idx=np.concatenate([part.user_idx for part in arrays]),
        movie_idx=np.concatenate([part.movie_idx for part in arrays]),
        rating=np.concatenate([part.rating for part in arrays]),
        timestamp=np.concatenate(times) if len(times) == len(arrays) else None,
    )


def _verify(split: SplitRef) -> None:
    try:
        digest = digest_of_parts(split.path)
    except OSError as error:
        raise DigestError(f"{error.filename}: cannot be read ({error.strerror}); run the split again") from None
    if digest != split.digest:
        raise DigestError(f"{split.path}: the files of the split have changed; run the split again")


def _distinct(folder: Path, parts: Sequence[str], column: str) -> pa.ChunkedArray:
    columns = [read_ratings_file(folder / f"{part}.parquet", [column])[column] for part in parts]
    return pa.chunked_array([dictionary_of(ids) for ids in columns], pa.string())
