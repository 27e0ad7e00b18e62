"""References to results: a path or an id, with a digest. Tasks pass them on instead of the data."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Ref(BaseModel):
    """A small frozen value that can be written to JSON, and so be kept and passed between processes."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Accounts(Ref):
    """Counts of a source's rows; of cells, if the table is wide.

        rows_in = kept + quarantined + merged + unrated

    Attributes:
        rows_in: Rows read, counted in the source's bytes before parsing, without comments, blank lines and headers.
        kept: Ratings of the data set.
        quarantined: Bad rows.
        merged: Ratings that were merged into another one of the same user and movie.
        unrated: Rows or cells that hold no rating.
        ignored: Comments and blank lines.
        headers: Rows that are the header once more, as in files that were joined.
    """

    rows_in: int = 0
    kept: int = 0
    quarantined: int = 0
    merged: int = 0
    unrated: int = 0
    ignored: int = 0
    headers: int = 0

    def require_balance(self) -> None:
        """Check that the counts add up.

        Raises:
            AssertionError: They do not: cfmodel lost or duplicated a row.
        """
        if self.rows_in != self.kept + self.quarantined + self.merged + self.unrated:
            raise AssertionError(f"rows do not add up: {self!r}")


class Drift(Ref):
    """The change of a data set since the previous run of the same source.

    Attributes:
        volume_change: Relative change of the number of ratings; -0.5 is half.
        mean_shift: Shift of the mean rating, in standard deviations of the previous ratings.
        new_user_share: Share of users that are not in the previous data set.
        new_movie_share: Share of movies that are not in the previous data set.
    """

    previous_digest: str
    volume_change: float
    mean_shift: float
    new_user_share: float
    new_movie_share: float


class _Reusable(Ref):
    """A ref to a result that a later run may take instead of making it again.

    `reused` describes this call, not the result: it is not written to JSON and does not count when refs are compared.
    """

    reused: bool = Field(default=False, exclude=True)

    def _contents(self) -> tuple[Any, ...]:
        return tuple(value for name, value in self if name != "reused")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Reusable) and type(self) is type(other) and self._contents() == other._contents()

    def __hash__(self) -> int:
        return hash((type(self), self._contents()))


class DatasetRef(_Reusable):
    """Ratings ingested to typed Parquet.

    Attributes:
        path: Folder that holds `ratings.parquet`, `profile.json`, `manifest.json` and, if there are bad
            rows, `quarantine.parquet`.
        digest: SHA-256 of `ratings.parquet`, hexadecimal.
        source: The source's name, as the caller gave it.
        source_digest: SHA-256 over the source's raw bytes, or over the settings of a synthetic one.
        rating_min: Lowest rating, in rating units.
        rating_max: Highest rating, in rating units.
        has_timestamps: Whether every rating has a timestamp.
        noise_floor: Best possible RMSE; known only for synthetic ratings.
        drift: Change since the previous run; None if there is none, or if its bytes were the same.
        read_as: What the source was taken for, in one line: columns, unit of time, encoding, separator.
        warnings: What is worth a look: guessed columns, a rating that may mean "not rated".
        seconds: How long the ingest took.
    """

    path: Path
    digest: str
    source: str
    source_digest: str
    rows: int
    users: int
    movies: int
    rating_min: float
    rating_max: float
    has_timestamps: bool
    noise_floor: float | None = None
    accounts: Accounts = Accounts()
    drift: Drift | None = None
    read_as: str = ""
    warnings: tuple[str, ...] = ()
    seconds: float


class SplitRef(_Reusable):
    """Train, val and test parts of a data set, and the vocabularies of the training part.

    Attributes:
        path: Folder that holds `train.parquet`, `val.parquet`, `test.parquet`, `users.parquet`,
            `movies.parquet` and `manifest.json`.
        digest: SHA-256 over the digests of the parts and vocabularies, hexadecimal.
        data_digest: Digest of the data set that was split.
        source: The source's name, as the caller gave it.
        dropped_rows: Ratings dropped by the minimum counts.
        users: Distinct users in train.
        movies: Distinct movies in train.
        global_mean: Mean of the training ratings, in rating units.
        rating_min: Lowest training rating, in rating units.
        rating_max: Highest training rating, in rating units.
        noise_floor: Best possible RMSE; known only for synthetic ratings.
        data: The data set that was split; for `predefined` the one for train and val.
        seconds: How long the split took.
    """

    path: Path
    digest: str
    data_digest: str
    source: str
    strategy: str
    train_rows: int
    val_rows: int
    test_rows: int
    dropped_rows: int
    users: int
    movies: int
    global_mean: float
    rating_min: float
    rating_max: float
    noise_floor: float | None = None
    data: DatasetRef | None = None
    seconds: float


class RunRef(Ref):
    """A tracked run and the model it trained.

    Attributes:
        run_id: The run's id in the tracking store, or its local id until the store has given it one.
        tracking_uri: Address of the tracking store.
        experiment_id: The experiment the run belongs to; empty until the store is reached.
        journal_folder: Folder of the run's journal: what was recorded, and what of it the store has not taken yet.
        model_path: Folder that holds the trained recommender.
        model_digest: Digest of that folder's contents, hexadecimal.
        model_uri: Address of the model in the tracking store; empty until the store is reached.
    """

    run_id: str
    tracking_uri: str
    experiment_id: str
    journal_folder: Path | None = None
    model_path: Path
    model_digest: str
    model_uri: str

    def known_as(self, run_id: str | None, experiment_id: str, model_id: str | None) -> "RunRef":
        """Return the ref with the ids that the tracking store has given; a missing one stays as it is."""
        given = {"run_id": run_id, "experiment_id": experiment_id, "model_uri": model_id and f"models:/{model_id}"}
        return self.model_copy(update={name: value for name, value in given.items() if value})


class ScoresRef(Ref):
    """Recommendations that are checked and published.

    Attributes:
        path: Folder that holds `part-*.parquet` and `_manifest.json`.
        users: Users with a list.
        rows: Number of recommended movies, over all users.
        k: Maximum number of movies per user.
        coverage_fraction: Share of the catalogue that is in at least one list.
        seconds: How long scoring and checking took.
    """

    path: Path
    model_name: str
    users: int
    rows: int
    k: int
    coverage_fraction: float
    seconds: float
