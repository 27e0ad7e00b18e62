"""Every setting, validated, with its unit and range.

One declaration gives the check, the refusal with its dotted name, the form in Prefect's UI, the
TOML file and the reference in the docs. Three layers, no fourth: the defaults here, a deployment's
parameters or a TOML file, one run's own overrides.
"""

import math
import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from cfmodel.errors import ConfigError
from cfmodel.system.addresses import WITHOUT_SECRETS, holds_password, holds_secret, shown

#: Rows of users and movies from which moving all of them takes most of a step.
MANY_ROWS = 50_000


#: An address, which is stored and shown: its JSON Schema, which Prefect's server asks first, refuses secrets.
Address = Annotated[str, Field(json_schema_extra={"pattern": WITHOUT_SECRETS})]


def _power_of_two(number: int | None) -> int | None:
    if number is not None and number & (number - 1):
        raise ValueError("must be a power of two")
    return number


class Settings(BaseModel):
    """A frozen section that refuses names it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ColumnNames(Settings):
    """What the source calls its columns; well-known names map by themselves."""

    user_id: str | None = Field(None, description="Column that says who; null: recognised by name.")
    movie_id: str | None = Field(None, description="Column that says what; null: recognised by name.")
    rating: str | None = Field(None, description="Column that says how many stars; null: recognised by name.")
    timestamp: str | None = Field(
        None, description="Column that says when; null: recognised by name, if there is one; empty: none."
    )
    ignored: tuple[str, ...] = Field(
        (), description="For the wide layout: columns that are neither the user nor a movie, by name or number."
    )


class DriftSettings(Settings):
    """How far a source may move from what it was in the previous run; null: it is only recorded."""

    max_volume_change: float | None = Field(
        None, gt=0, description="Largest change of the number of ratings, as a share of the previous number."
    )
    max_mean_shift: float | None = Field(
        None, gt=0, description="Largest shift of the mean rating, in standard deviations of the previous ratings."
    )
    max_new_share: float | None = Field(
        None, gt=0, le=1, description="Largest share of users, or of movies, that the previous run did not have."
    )


#: What pandas and databases write for a value that is not there, as they spell it.
MISSING = (
    "",
    *("NA", "N/A", "n/a", "<NA>", "#N/A", "#NA", "#N/A N/A", "NaN", "nan", "NAN", "-NaN", "-nan", "1.#QNAN", "1.#IND"),
    *("NULL", "Null", "null", "(null)", "<null>", "None", "nil", "\\N", "-", "--", "?", "."),
)


class IngestSettings(Settings):
    """How a source of ratings is read, and what becomes of rows that cannot be ratings."""

    separator: str | None = Field(
        None, min_length=1, description="Text between two fields, such as ';' or '::'; null: recognised."
    )
    header: bool | None = Field(None, description="Whether the first row names the columns; null: recognised.")
    encoding: (
        Literal["utf-8", "utf-16", "latin-1", "windows-1252", "windows-1251", "shift_jis", "gb18030", "euc-kr", "big5"]
        | None
    ) = Field(None, description="Encoding of text files; null: UTF-8, UTF-16 or else Latin-1, recognised.")
    decimal: Literal[".", ","] | None = Field(
        None, description="Mark before the decimals of a number; null: either, recognised number by number."
    )
    timestamp_unit: Literal["s", "ms", "us", "ns"] | None = Field(
        None, description="Unit of timestamps that are numbers; null: recognised by their size."
    )
    layout: Literal["long", "wide"] = Field(
        "long", description="long: a row is a rating; wide: a row is a user, a column a movie, a cell a rating."
    )
    missing: tuple[str, ...] = Field(MISSING, description="Spellings of a value that is not there, in any column.")
    not_rated: float | None = Field(
        None, description="Number that stands for no rating, such as Jester's 99; null: there is none."
    )
    rating_range: tuple[float, float] | None = Field(
        None, description="Lowest and highest rating allowed, in rating units; null: any finite number, and inferred."
    )
    on_bad_row: Literal["stop", "quarantine"] = Field(
        "stop",
        description="stop: a row that cannot be a rating ends the run; quarantine: it is set aside with its reason.",
    )
    max_bad_fraction: float = Field(
        0.01,
        ge=0,
        le=1,
        description="Largest share of the rows that may be set aside before the run ends all the same.",
    )
    on_duplicate: Literal["stop", "last", "mean"] = Field(
        "last",
        description="Ratings of one movie by one user become: stop: an error; last: the newest of them; mean: their "
        "mean, at the newest moment.",
    )
    columns: ColumnNames = Field(ColumnNames(), description="What the source calls its columns.")
    drift: DriftSettings = Field(DriftSettings(), description="How far a source may move between two runs.")

    @model_validator(mode="after")
    def _range_rises(self) -> Self:
        if self.rating_range is not None and not self.rating_range[0] < self.rating_range[1]:
            raise ValueError(f"rating_range must rise, not {list(self.rating_range)}")
        return self

    @model_validator(mode="after")
    def _not_rated_is_a_number(self) -> Self:
        if self.not_rated is not None and not math.isfinite(self.not_rated):
            raise ValueError(f"not_rated must be a finite number, not {self.not_rated}; nan always means missing")
        return self

    @property
    def of_the_data(self) -> str:
        """JSON of every setting that changes the data; how far they may drift does not."""
        return self.model_dump_json(exclude={"drift"})


class SplitSettings(Settings):
    """How ratings are divided into train, val and test."""

    strategy: Literal["random", "per_user_latest", "temporal", "predefined"] = Field(
        "random",
        description="random: by a seeded hash of user and movie; per_user_latest: each user's newest ratings are "
        "tested; temporal: everything after one instant is tested; predefined: a test file is given.",
    )
    test_source: Address | None = Field(None, description="For predefined alone: the file with the test ratings.")
    test_fraction: float = Field(0.1, gt=0, lt=1, description="Share of the ratings in test; not used by predefined.")
    val_fraction: float = Field(0.1, gt=0, lt=1, description="Share of the ratings not in test that go to val.")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Seed of the hash that divides the ratings.")
    min_ratings_per_user: int = Field(
        1, ge=1, description="Users with fewer ratings are left out; counted over the whole data set."
    )
    min_ratings_per_movie: int = Field(
        1, ge=1, description="Movies with fewer ratings are left out; counted over the whole data set."
    )

    @field_validator("test_source")
    @classmethod
    def _test_source_holds_no_secret(cls, source: str | None) -> str | None:
        if source is not None and holds_secret(source):
            raise ValueError(
                "holds a password or key, and settings are stored with every run; leave it to the store's own "
                "configuration"
            )
        return source

    @model_validator(mode="after")
    def _test_source_goes_with_predefined(self) -> Self:
        if (self.strategy == "predefined") != (self.test_source is not None):
            raise ValueError("strategy 'predefined' and test_source go together: set both or neither")
        return self


class TrainSettings(Settings):
    """What to learn and how."""

    embedding_dim: int = Field(50, ge=1, le=4096, description="Numbers in a taste vector.")
    learning_rate: float = Field(0.003, gt=0, le=10, description="Adam's step size, in weight units a step.")
    batch_size: int | None = Field(
        None, ge=1, description="Ratings in a step; null: a power of two that grows with the number of ratings."
    )
    blocks: int | None = Field(
        None,
        ge=1,
        le=1024,
        description="Blocks that users and movies are each divided into, a power of two; a step learns from a few "
        "pairs of them. More are faster, fewer mix better; null: as many as keep a pair's rows near a core.",
    )
    epochs: int = Field(15, ge=1, description="Most passes over the training ratings.")
    max_grad_norm: float = Field(1.0, gt=0, description="Gradients with a larger total L2 norm are scaled down to it.")
    regularization: float | None = Field(
        None,
        ge=0,
        description="Weight of the mean squared L2 norm of the batch's embeddings in the loss; null: by how many "
        "ratings users and movies have.",
    )
    init_std: float = Field(0.01, ge=0, description="Standard deviation of the initial embeddings.")
    schedule: Literal["constant", "linear", "cosine"] = Field(
        "linear", description="How the learning rate falls over `epochs`: not at all, straight or as a half cosine."
    )
    adam: Literal["auto", "all_rows", "touched_rows"] = Field(
        "auto",
        description="Rows that Adam moves in a step: all, by what it remembers of them, or those the batch looks up. "
        "auto: all, up to 50,000 rows of users and movies together, beyond which that takes most of the time.",
    )
    engine: Literal["auto", "fused", "autograd"] = Field(
        "auto", description="What computes the steps; all learn the same. auto: the fastest there is for the device."
    )
    patience: int = Field(3, ge=1, description="Epochs without a better val RMSE before training stops.")
    on_diverged: Literal["stop", "retry"] = Field(
        "stop",
        description="What follows when loss, gradient or weights are no longer finite. stop: the run ends; retry: "
        "once, it goes on from the epoch before with a tenth of the learning rate.",
    )
    refit: bool = Field(True, description="Train again on train and val together for the best number of epochs.")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Seed of the initial embeddings and the order of batches.")

    _blocks_halve = field_validator("blocks")(_power_of_two)

    def for_rows(self, number: int) -> "TrainSettings":
        """Return the settings for so many rows of users and movies together: with `adam` decided."""
        if self.adam != "auto":
            return self
        return self.model_copy(update={"adam": "all_rows" if number <= MANY_ROWS else "touched_rows"})

    @property
    def trained_parts(self) -> tuple[str, ...]:
        """Parts of a split that the final model learns from."""
        return ("train", "val") if self.refit else ("train",)

    @property
    def held_out_parts(self) -> tuple[str, ...]:
        """Parts of a split that the final model does not learn from."""
        return ("test",) if self.refit else ("val", "test")


class MonitorSettings(Settings):
    """How closely training is watched; nothing here changes what is learned."""

    enabled: bool = Field(True, description="Whether gradients and tables are recorded while training.")
    sample_every: int | None = Field(
        None,
        ge=1,
        description="Steps between two that are looked at closely, a power of two; null: chosen once, from the budget.",
    )
    budget_fraction: float = Field(
        0.02, gt=0, le=1, description="Share of the training time that recording may take, from a million ratings on."
    )
    budget_seconds: float = Field(
        0.05, gt=0, description="Seconds a run that recording may take, below a million ratings."
    )

    _intervals_nest = field_validator("sample_every")(_power_of_two)


class HealthSettings(Settings):
    """What follows from the verdicts on a training."""

    on_unhealthy: Literal["warn", "stop"] = Field(
        "warn",
        description="warn: verdicts are recorded; stop: an error among them also ends the run, early where it shows.",
    )


class EvaluationSettings(Settings):
    """What is measured on the test ratings."""

    k: tuple[int, ...] = Field((10,), min_length=1, description="Lengths of the ranked lists that are measured.")
    relevance_threshold: float | None = Field(
        None,
        description="Lowest rating that counts as relevant; null: three quarters up the training range (4 stars of 5).",
    )
    ranking_users: int | None = Field(
        10_000,
        ge=1,
        description="Most users whose lists are measured or who are taken for new, drawn by seed; null: every one.",
    )
    max_unknown_fraction: float = Field(
        0.99, gt=0, le=1, description="Share of unknown ids in a test column from which they are the wrong kind of id."
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Seed that draws the users whose lists are measured.")

    @model_validator(mode="after")
    def _lengths_are_positive(self) -> Self:
        if any(k < 1 for k in self.k):
            raise ValueError(f"every length in k must be 1 or more, not {list(self.k)}")
        return self


class PromotionSettings(Settings):
    """When a newly trained model replaces the champion."""

    model_name: str = Field(
        "cfmodel", min_length=1, pattern=r"^[^/:]+$", description="Registered model whose versions compete."
    )
    automatic: bool = Field(
        True, description="Whether a run ends with the decision; false: `cfmodel promote` takes it."
    )
    confidence: float = Field(
        0.95, gt=0, lt=1, description="Confidence of the interval that must lie wholly on the challenger's side."
    )
    resamples: int = Field(1000, ge=100, le=100_000, description="Draws of all users that the interval is made of.")
    min_users: int = Field(
        50, ge=2, description="Fewest users of rows that neither model learned from; with fewer nothing is decided."
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Seed of those draws.")


class ScoringSettings(Settings):
    """How recommendations are made."""

    k: int = Field(10, ge=1, le=1000, description="Movies recommended to each user.")
    memory_megabytes: int = Field(
        256, ge=1, description="Most memory that the scores of a block of users take, on the CPU or the GPU."
    )
    users_per_file: int = Field(50_000, ge=1, description="Users in one Parquet file of the recommendations.")
    min_coverage: float = Field(
        0.001,
        ge=0,
        le=1,
        description="Share of the catalogue that must be recommended to somebody, where every user is scored.",
    )
    titles: Path | None = Field(
        None, description="CSV file with movie ids and titles; null: the one that lies beside the ratings, if any."
    )


class TrackingSettings(Settings):
    """Where the run is recorded."""

    # Whatever is wrong with an address, a message about it does not repeat it: it may hold a password.
    model_config = ConfigDict(hide_input_in_errors=True)

    uri: Address | None = Field(
        None, description="Address of the MLflow store; null: MLFLOW_TRACKING_URI, else sqlite:///mlflow.db."
    )
    experiment: str = Field("cfmodel", min_length=1, description="MLflow experiment the run belongs to.")
    run_name: str | None = Field(None, description="Name of the run; null: MLflow makes one up.")
    wait_seconds: float = Field(
        60.0, ge=0, description="Seconds that a run waits at its end for a store that is away, before it fails."
    )

    @field_validator("uri")
    @classmethod
    def _uri_holds_no_password(cls, uri: str | None) -> str | None:
        if uri is not None and holds_password(uri):
            raise ValueError(
                "holds a password, and settings are stored with every run; give the whole address in the environment "
                "as MLFLOW_TRACKING_URI, or the password as MLFLOW_TRACKING_PASSWORD"
            )
        return uri


class RuntimeSettings(Settings):
    """Where to run; nothing here changes what is learned."""

    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|cuda(:\d+)?)$",
        description="auto: CUDA where there is one; cuda: CUDA or an error.",
    )
    threads: int | None = Field(None, ge=1, description="CPU threads torch may use; null: torch's own choice.")
    checkpoint_seconds: float = Field(
        30.0,
        ge=0,
        description="Shortest time between two checkpoints, within epochs and at their ends; they take at most a "
        "hundredth of the time.",
    )
    data_dir: Path = Field(Path("data"), description="Folder for ingested ratings, splits, downloads and models.")


class KeepSettings(Settings):
    """What `cfmodel clean` leaves: whatever is needed, used lately, or among the newest of its kind."""

    days: float = Field(30.0, ge=0, description="Days since its last use within which nothing goes.")
    datasets: int | None = Field(3, ge=0, description="Ingested data sets that stay whatever their age; null: all.")
    splits: int | None = Field(3, ge=0, description="Splits that stay whatever their age; null: all.")
    models: int | None = Field(10, ge=0, description="Models on this disk that stay whatever their age; null: all.")
    gradients: int | None = Field(
        10, ge=0, description="Archives of gradients on this disk that stay whatever their age; null: all."
    )
    checkpoints: int | None = Field(
        3, ge=0, description="Unfinished runs whose checkpoints stay whatever their age; null: all."
    )
    spools: int | None = Field(
        10, ge=0, description="Journals of runs, all of it recorded, that stay whatever their age; null: all."
    )
    recommendations: int | None = Field(
        3, ge=0, description="Sets of recommendations that stay whatever their age; null: all."
    )
    runs: int | None = Field(100, ge=0, description="Ended MLflow runs that stay whatever their age; null: all.")
    versions: int | None = Field(10, ge=0, description="Model versions that stay whatever their age; null: all.")


class PipelineSettings(Settings):
    """All sections of one pipeline run."""

    ingest: IngestSettings = IngestSettings()
    split: SplitSettings = SplitSettings()
    train: TrainSettings = TrainSettings()
    monitor: MonitorSettings = MonitorSettings()
    health: HealthSettings = HealthSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    promotion: PromotionSettings = PromotionSettings()
    scoring: ScoringSettings = ScoringSettings()
    tracking: TrackingSettings = TrackingSettings()
    runtime: RuntimeSettings = RuntimeSettings()
    keep: KeepSettings = KeepSettings()

    @classmethod
    def of(
        cls, sections: Mapping[str, Any] | None = None, *, overrides: Mapping[str, Any] | None = None
    ) -> "PipelineSettings":
        """Build settings from sections (mappings or models), then apply one run's overrides.

        Args:
            sections: Section name to its settings; sections left out keep their defaults.
            overrides: Dotted name to value, such as `{"train.epochs": 5}`; they win.

        Raises:
            ConfigError: A name is unknown or a value outside what it may be; the message carries
                the full dotted name.
        """
        tree = {name: _as_tree(section) for name, section in (sections or {}).items()}
        for name, value in (overrides or {}).items():
            _set(tree, name, value)
        try:
            return cls.model_validate(tree)
        except ValidationError as error:
            raise ConfigError(_refusal(error)) from None

    @classmethod
    def read(cls, path: Path | None, *, overrides: Mapping[str, Any] | None = None) -> "PipelineSettings":
        """Read settings from a TOML file with a table per section; None reads the defaults.

        Raises:
            ConfigError: The file is missing, is not TOML, or holds a setting that is refused.
        """
        if path is None:
            return cls.of(overrides=overrides)
        try:
            sections = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ConfigError(f"{path}: no such settings file") from None
        except (ValueError, RecursionError) as error:  # malformed, no UTF-8, a number of thousands of digits, too deep
            raise ConfigError(f"{path}: not a TOML file: {error}") from None
        return cls.of(sections, overrides=overrides)

    def at(self, tracking_uri: str) -> "PipelineSettings":
        """Return the same settings with the store named by its full address."""
        return self.model_copy(update={"tracking": self.tracking.model_copy(update={"uri": tracking_uri})})

    def flat(self) -> dict[str, Any]:
        """Return every resolved setting under its dotted name, in the order of declaration."""
        return dict(_leaves(self.model_dump(mode="json")))


def setting_fields(model: type[BaseModel] = PipelineSettings, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every setting's dotted name and its pydantic field, in the order of declaration."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from setting_fields(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


def _as_tree(section: Any) -> Any:
    return section.model_dump() if isinstance(section, BaseModel) else section


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _set(tree: dict[str, Any], dotted: str, value: Any) -> None:
    """Set one leaf of a tree of plain dicts, copying the branches on the way."""
    *branches, leaf = dotted.split(".")
    for branch in branches:
        below = tree.get(branch, {})
        if not isinstance(below, Mapping):
            raise ConfigError(_unknown(dotted))
        tree[branch] = dict(below)
        tree = tree[branch]
    tree[leaf] = value


def _refusal(error: ValidationError) -> str:
    """Say in one line per problem which setting is refused and why."""
    lines: list[str] = []
    for problem in error.errors():
        name = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            lines.extend(_unknown(leaf) for leaf, _ in _leaves({name: problem["input"]}))
        else:
            reason = problem["msg"].removeprefix("Value error, ")
            given = "" if isinstance(problem["input"], Mapping) else shown(f" (given: {problem['input']!r})")
            lines.append(f"{name}: {reason[0].lower()}{reason[1:]}{given}")
    return "; ".join(lines)


def _unknown(name: str) -> str:
    known = [dotted for dotted, _ in setting_fields()]
    close = get_close_matches(name, known, n=1, cutoff=0.8)
    return f"{name} is not a setting" + (f"; did you mean {close[0]}?" if close else "; `cfmodel settings` lists them")
