"""References: a path or an id, and the digest of what it names. They are what tasks hand on."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict


class Ref(BaseModel):
    """A small frozen value that survives JSON, so that it can be cached and passed between processes."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DatasetRef(Ref):
    """Ratings ingested to typed Parquet.

    Attributes:
        path: Folder that holds `ratings.parquet` and `manifest.json`.
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
    seconds: float


class RunRef(Ref):
    """A tracked run and the model it trained.

    Attributes:
        run_id: The run's id in the tracking store.
        tracking_uri: Address of the tracking store.
        experiment_id: The experiment the run belongs to.
        model_path: Folder that holds the trained recommender.
        model_digest: Digest of that folder's contents, hexadecimal.
        model_uri: Address of the model in the tracking store.
    """

    run_id: str
    tracking_uri: str
    experiment_id: str
    model_path: Path
    model_digest: str
    model_uri: str


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
