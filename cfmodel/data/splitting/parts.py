"""Read the parts of a split back, as rows of vocabularies."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cfmodel.data.storage import dictionary_of, digest_of_parts, encoded, read_ratings
from cfmodel.data.vocabulary import Vocabulary
from cfmodel.errors import DigestError
from cfmodel.refs import SplitRef
from cfmodel.schema import MOVIE_ID, RATING, TIMESTAMP, USER_ID


@dataclass(frozen=True, eq=False)
class RatingArrays:
    """Ratings as arrays.

    Attributes:
        user_idx: Rows of the user vocabulary, -1 where the user is not in it, int32, shape (N,).
        movie_idx: Rows of the movie vocabulary, -1 where the movie is not in it, int32, shape (N,).
        rating: Ratings in rating units, float32, shape (N,).
        timestamp: Seconds since 1970-01-01 UTC, int64, shape (N,); None where the source has none.
    """

    user_idx: npt.NDArray[np.int32]
    movie_idx: npt.NDArray[np.int32]
    rating: npt.NDArray[np.float32]
    timestamp: npt.NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.rating)

    def __getitem__(self, rows: slice | npt.NDArray[np.integer[Any]]) -> "RatingArrays":
        """Return some of the ratings; those of a slice share its memory."""
        timestamp = None if self.timestamp is None else self.timestamp[rows]
        return RatingArrays(self.user_idx[rows], self.movie_idx[rows], self.rating[rows], timestamp)


def read_split(folder: Path) -> SplitRef:
    """Return the ref of a split that is in a folder.

    Raises:
        DigestError: There is none, or its parts are not the ones it names.
    """
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        split = SplitRef.model_validate(manifest["split"]).model_copy(update={"path": folder})
    except (OSError, ValueError, KeyError, TypeError):
        raise DigestError(f"{folder}: holds no split that can be read; run the pipeline again") from None
    _verify(split)
    return split


def load_vocabularies(split: SplitRef, *, parts: Sequence[str] = ("train",)) -> tuple[Vocabulary, Vocabulary]:
    """Return the users and the movies of some parts of a split, by default of train alone.

    Raises:
        DigestError: A part is not the one the ref names.
    """
    _verify(split)
    if tuple(parts) == ("train",):
        return Vocabulary.read(split.path / "users.parquet"), Vocabulary.read(split.path / "movies.parquet")
    users, movies = (_distinct(split.path, parts, column) for column in (USER_ID, MOVIE_ID))
    return Vocabulary.of(users), Vocabulary.of(movies)


def load_part(
    split: SplitRef, part: str, *, users: Vocabulary, movies: Vocabulary, timestamps: bool = True
) -> RatingArrays:
    """Read one part of a split as rows of two vocabularies.

    Args:
        split: The split to read from.
        part: `train`, `val` or `test`.
        users: Vocabulary of the users; others get row -1.
        movies: Vocabulary of the movies; others get row -1.
        timestamps: Whether they are wanted: of 25 million ratings they are 200 MB.

    Raises:
        DigestError: A part is not the one the ref names.
    """
    _verify(split)

    # Column by column, so that of one alone there is what was read beside what is kept.
    def column(name: str) -> pa.ChunkedArray:
        return read_ratings(split.path / f"{part}.parquet", [name])[name]

    timestamp = column(TIMESTAMP) if timestamps else None
    return RatingArrays(
        user_idx=encoded(column(USER_ID), users),
        movie_idx=encoded(column(MOVIE_ID), movies),
        rating=column(RATING).to_numpy().astype(np.float32),
        timestamp=None if timestamp is None or timestamp.null_count else timestamp.to_numpy(),
    )


def load_together(
    split: SplitRef, parts: Sequence[str], *, users: Vocabulary, movies: Vocabulary
) -> tuple[RatingArrays, dict[str, RatingArrays]]:
    """Read parts of a split end to end, without their timestamps.

    Args:
        split: The split to read from.
        parts: Which, in what order.
        users: Vocabulary of the users; others get row -1.
        movies: Vocabulary of the movies; others get row -1.

    Returns:
        All of them, and each by its name, sharing the memory of all.

    Raises:
        DigestError: A part is not the one the ref names.
    """
    loaded = [load_part(split, part, users=users, movies=movies, timestamps=False) for part in parts]
    ends = np.cumsum([0, *map(len, loaded)]).tolist()
    together = concatenate(*loaded)
    return together, {part: together[ends[place] : ends[place + 1]] for place, part in enumerate(parts)}


def concatenate(*arrays: RatingArrays) -> RatingArrays:
    """Join ratings end to end; timestamps only where all have them."""
    times = [part.timestamp for part in arrays if part.timestamp is not None]
    return RatingArrays(
        user_idx=np.concatenate([part.user_idx for part in arrays]),
        movie_idx=np.concatenate([part.movie_idx for part in arrays]),
        rating=np.concatenate([part.rating for part in arrays]),
        timestamp=np.concatenate(times) if len(times) == len(arrays) else None,
    )


def _verify(split: SplitRef) -> None:
    try:
        whole = digest_of_parts(split.path) == split.digest
    except OSError as error:
        raise DigestError(f"{error.filename}: cannot be read ({error.strerror}); run the split again") from None
    if not whole:
        raise DigestError(f"{split.path}: the parts are not the ones that were split; run the split again")


def _distinct(folder: Path, parts: Sequence[str], column: str) -> pa.ChunkedArray:
    columns = [read_ratings(folder / f"{part}.parquet", [column])[column] for part in parts]
    return pa.chunked_array([dictionary_of(ids) for ids in columns], pa.string())
