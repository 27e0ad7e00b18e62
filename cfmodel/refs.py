"""References: a path or an id, and the digest of what it names. They are what tasks hand on."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict


class Ref(BaseModel):
    """A small frozen value that survives JSON, so that it can be cached and passed between processes."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Accounts(Ref):
    """What became of the rows of a source; cells, where a row holds the ratings of many movies.

        rows_in = kept + quarantined + merged + unrated

    Attributes:
        rows_in: Rows read, as counted in the source's bytes before any was looked at; comments and
            lines of nothing but blanks are none.
        kept: Ratings of the data set.
        quarantined: Rows that cannot be ratings and were set aside.
        merged: Ratings that gave way to another of the same user and movie.
        unrated: Rows or cells that say that there is no rating.
        ignored: Comments and lines of nothing but blanks.
    """

    rows_in: int = 0
    kept: int = 0
    quarantined: int = 0
    merged: int = 0
    unrated: int = 0
    ignored: int = 0

    def require_balance(self) -> None:
        """Hold what came in against what became of it.

        Raises:
            AssertionError: A row was lost or made up: a fault of cfmodel's own.
        """
        if self.rows_in != self.kept + self.quarantined + self.merged + self.unrated:
            raise AssertionError(f"rows do not add up: {self!r}")


class Drift(Ref):
    """How far a data set is from that of the previous run of the same source.

    Attributes:
        previous_digest: The previous data set's digest.
        volume_change: Change of the number of ratings, as a share of the previous number; -0.5 is half.
        mean_shift: Shift of the mean rating, in standard deviations of the previous ratings.
        new_user_share: Share of the users that the previous data set did not have.
        new_movie_share: Share of the movies that the previous data set did not have.
    """

    previous_digest: str
    volume_change: float
    mean_shift: float
    new_user_share: float
    new_movie_share: float


class DatasetRef(Ref):
    """Ratings ingested to typed Parquet.

    Attributes:
        path: Folder that holds `ratings.parquet`, `profile.json`, `manifest.json` and, where rows were
            set aside, `quarantine.parquet`.
        digest: SHA-256 of `ratings.parquet`, hexadecimal.
        source: What the caller asked for, as given.
        source_digest: SHA-256 over the source's raw bytes, or over the settings of a generated one.
        rows: Number of ratings.
        users: Number of distinct user ids.
        movies: Number of distinct movie ids.
        rating_min: Lowest rating, in rating units.
        rating_max: Highest rating, in rating units.
        has_timestamps: Whether every rating has a timestamp.
        noise_floor: Best reachable RMSE, known for generated ratings alone.
        accounts: What became of the source's rows.
        drift: How far it is from the previous run's; None where that had the same source bytes, or
            there was none.
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
    seconds: float


class SplitRef(Ref):
    """Train, val and test parts of a data set, and the vocabularies of the training part.

    Attributes:
        path: Folder that holds `train.parquet`, `val.parquet`, `test.parquet`, `users.parquet`,
            `movies.parquet` and `manifest.json`.
        digest: SHA-256 over the digests of the parts and vocabularies, hexadecimal.
        data_digest: Digest of the data set that was split.
        source: What the caller asked for, as given.
        strategy: Which split made it.
        train_rows: Ratings in train.
        val_rows: Ratings in val.
        test_rows: Ratings in test.
        dropped_rows: Ratings left out by the minimum counts.
        users: Distinct users in train.
        movies: Distinct movies in train.
        global_mean: Mean of the training ratings, in rating units.
        rating_min: Lowest training rating, in rating units.
        rating_max: Highest training rating, in rating units.
        noise_floor: Best reachable RMSE, known for generated ratings alone.
        data: The data set that was split; for `predefined` the one for training.
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
        run_id: The run's id in the tracking store, or the one it goes by until the store has given it one.
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
        """Return the ref by the ids that the tracking store has given; one that is missing stays as it is."""
        given = {"run_id": run_id, "experiment_id": experiment_id, "model_uri": model_id and f"models:/{model_id}"}
        return self.model_copy(update={name: value for name, value in given.items() if value})


class ScoresRef(Ref):
    """Recommendations that were checked and published.

    Attributes:
        path: Folder that holds `part-*.parquet` and `_manifest.json`.
        model_name: The model that made them.
        users: Users with a list.
        rows: Movies recommended, over all users.
        k: Movies recommended to a user, at most.
        coverage_fraction: Share of the catalogue that is in somebody's list.
        seconds: How long scoring and checking took.
    """

    path: Path
    model_name: str
    users: int
    rows: int
    k: int
    coverage_fraction: float
    seconds: float
