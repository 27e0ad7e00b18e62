"""All settings, validated, with unit and range.

One declaration per setting is the source of the check, the error message with the dotted name, the form in Prefect's
UI, the TOML file and docs/settings.md. There are three layers: the defaults here, a deployment's parameters or a TOML
file, and the overrides of one run.
"""

import math
import tomllib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from cfmodel.errors import ConfigError
from cfmodel.system.addresses import WITHOUT_SECRETS, holds_password, holds_secret, redact

#: Most rows of users and movies for which `train.adam = "auto"` updates all rows; with more, that is most of a step.
_MANY_ROWS = 50_000


#: An address, which is stored and shown. Its JSON Schema, which Prefect's server checks first, refuses secrets.
Address = Annotated[str, Field(json_schema_extra={"pattern": WITHOUT_SECRETS})]


#: Registered models of real ratings and of generated ones, unless a setting names another.
MODEL, SYNTHETIC_MODEL = "cfmodel", "cfmodel-synthetic"


def is_synthetic(source: str) -> bool:
    """Return whether a source is generated ratings: `synthetic`, or that with a size."""
    return source.partition(":")[0] == "synthetic"


def _power_of_two(number: int | None) -> int | None:
    if number is not None and number & (number - 1):
        raise ValueError("must be a power of two")
    return number


class Settings(BaseModel):
    """A frozen section that refuses unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ColumnNames(Settings):
    """Names of the source's columns; common names are recognised."""

    user_id: str | None = Field(None, description="Column with user ids; null: recognised by its name.")
    movie_id: str | None = Field(None, description="Column with movie ids; null: recognised by its name.")
    rating: str | None = Field(None, description="Column with ratings; null: recognised by its name.")
    timestamp: str | None = Field(
        None, description="Column with timestamps; null: recognised by its name, if there is one; empty: none."
    )
    ignored: tuple[str, ...] = Field(
        (), description="For the wide layout: columns to ignore, by name or number, as neither user nor movie."
    )


class DriftSettings(Settings):
    """How far a source may drift from the previous run; a limit that is null only records the drift."""

    max_volume_change: float | None = Field(
        None,
        gt=0,
        description="Largest change in the number of ratings, as a share of the previous number; null: no limit.",
    )
    max_mean_shift: float | None = Field(
        None,
        gt=0,
        description="Largest shift of the mean rating, in standard deviations of the previous ratings; null: no limit.",
    )
    max_new_share: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Largest share of users, or of movies, that the previous run did not have; null: no limit.",
    )


#: Spellings of a missing value as pandas and databases write them.
_MISSING = (
    "",
    *("NA", "N/A", "n/a", "<NA>", "#N/A", "#NA", "#N/A N/A", "NaN", "nan", "NAN", "-NaN", "-nan", "1.#QNAN", "1.#IND"),
    *("NULL", "Null", "null", "(null)", "<null>", "None", "nil", "\\N", "-", "--", "?", "."),
)


class IngestSettings(Settings):
    """How a source of ratings is read, and what happens to bad rows."""

    separator: str | None = Field(
        None, min_length=1, description="Separator between two fields, such as ';' or '::'; null: recognised."
    )
    header: bool | None = Field(None, description="Whether the first row names the columns; null: recognised.")
    encoding: (
        Literal["utf-8", "utf-16", "latin-1", "windows-1252", "windows-1251", "shift_jis", "gb18030", "euc-kr", "big5"]
        | None
    ) = Field(
        None, description="Encoding of text files; null: recognised as UTF-8, UTF-16, Windows-1252 or else Latin-1."
    )
    decimal: Literal[".", ","] | None = Field(
        None, description="Decimal mark of numbers; null: recognised for each number."
    )
    timestamp_unit: Literal["s", "ms", "us", "ns"] | None = Field(
        None, description="Unit of numeric timestamps; null: recognised by their size."
    )
    timestamp_format: str | None = Field(
        None,
        description="Format of timestamps by Python's strptime, such as '%d.%m.%Y %H:%M'; without %z they are UTC; "
        "null: numbers and ISO 8601.",
    )
    layout: Literal["long", "wide"] = Field(
        "long", description="long: a row per rating; wide: a row per user, a column per movie, ratings in the cells."
    )
    missing: tuple[str, ...] = Field(_MISSING, description="Spellings of a missing value, in any column.")
    not_rated: float | None = Field(
        None, description="Number that means no rating, such as 99 in Jester; null: there is none."
    )
    rating_range: tuple[float, float] | None = Field(
        None,
        description="Lowest and highest allowed rating; null: any finite number, and the range is inferred.",
    )
    on_bad_row: Literal["stop", "quarantine"] = Field(
        "stop",
        description="stop: a bad row ends the run; quarantine: bad rows are set aside with a reason.",
    )
    max_bad_fraction: float = Field(
        0.01,
        ge=0,
        le=1,
        description="Largest share of rows that may be set aside; with more, the run ends.",
    )
    on_duplicate: Literal["stop", "last", "mean"] = Field(
        "last",
        description="Several ratings of one movie by one user: stop: an error; last: keep the newest; mean: take their "
        "mean, with the newest timestamp.",
    )
    columns: ColumnNames = Field(ColumnNames(), description="Names of the source's columns.")
    drift: DriftSettings = Field(DriftSettings(), description="How far a source may drift between two runs.")

    @model_validator(mode="after")
    def _range_rises(self) -> Self:
        if self.rating_range is not None and not self.rating_range[0] < self.rating_range[1]:
            raise ValueError(f"rating_range must rise, not {list(self.rating_range)}")
        return self

    @field_validator("timestamp_format")
    @classmethod
    def _format_gives_a_day(cls, format: str | None) -> str | None:
        if format is not None:
            noon = datetime(2023, 11, 26, 12, tzinfo=UTC)
            try:
                read = datetime.strptime(noon.strftime(format), format)
            except ValueError as error:
                raise ValueError(f"is not a format ({error}); an example is '%d.%m.%Y %H:%M'") from None
            if read.date() != noon.date():
                raise ValueError("gives no day; it needs year, month and day, such as '%d.%m.%Y %H:%M'")
        return format

    @model_validator(mode="after")
    def _one_way_to_read_times(self) -> Self:
        if self.timestamp_format is not None and self.timestamp_unit is not None:
            raise ValueError("timestamp_format and timestamp_unit exclude each other; set one of them")
        return self

    @model_validator(mode="after")
    def _not_rated_is_a_number(self) -> Self:
        if self.not_rated is not None and not math.isfinite(self.not_rated):
            raise ValueError(f"not_rated must be a finite number, not {self.not_rated}; nan always means missing")
        return self

    @property
    def of_the_data(self) -> str:
        """Return the settings that change the data as JSON; the limits on drift do not."""
        return self.model_dump_json(exclude={"drift"})


class SplitSettings(Settings):
    """How ratings are divided into train, val and test."""

    strategy: Literal["random", "per_user_latest", "temporal", "predefined"] = Field(
        "random",
        description="How test ratings are chosen. random: by a seeded hash of user and movie; per_user_latest: each "
        "user's newest ratings; temporal: all ratings after one point in time; predefined: those of `test_source`.",
    )
    test_source: Address | None = Field(None, description="For predefined only: the source of the test ratings.")
    test_fraction: float = Field(
        0.1, gt=0, lt=1, description="Share of the ratings that go to test; not used by predefined."
    )
    val_fraction: float = Field(0.1, gt=0, lt=1, description="Share of the remaining ratings that go to val.")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Seed of the random choice of test and val ratings.")
    min_ratings_per_user: int = Field(1, ge=1, description="Leave out users with fewer ratings in the whole data set.")
    min_ratings_per_movie: int = Field(
        1, ge=1, description="Leave out movies with fewer ratings in the whole data set."
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
    """The model, and how it is trained."""

    embedding_dim: int = Field(50, ge=1, le=4096, description="Length of the embedding of a user or a movie.")
    learning_rate: float = Field(0.003, gt=0, le=10, description="Adam's learning rate, in weight units per step.")
    batch_size: int | None = Field(
        None, ge=1, description="Ratings per step; null: a power of two that grows with the number of ratings."
    )
    blocks: int | None = Field(
        None,
        ge=1,
        le=1024,
        description="Number of blocks of users and of movies, a power of two; a step takes ratings from a few pairs of "
        "blocks. More blocks are faster, fewer mix the ratings better; null: as many as make a pair's rows fit into "
        "a core's cache.",
    )
    epochs: int = Field(15, ge=1, description="Most passes over the training ratings; training may stop earlier.")
    max_grad_norm: float = Field(
        1.0, gt=0, description="Gradients with a larger total L2 norm are scaled down to this norm."
    )
    regularization: float = Field(
        0.85,
        ge=0,
        description="Strength of the pull of embeddings to zero: beside the sum of squared errors the loss has this, "
        "times the root of a row's number of ratings, times its squared L2 norm.",
    )
    bias_start: Literal["closed_form", "zero"] = Field(
        "closed_form",
        description="Where biases start. closed_form: at the best biases without embeddings, estimated from the "
        "training ratings; zero: at zero, as in the textbook.",
    )
    init_std: float = Field(0.01, ge=0, description="Standard deviation of the initial embeddings.")
    schedule: Literal["constant", "linear", "cosine"] = Field(
        "linear",
        description="How the learning rate falls over `epochs`. constant: not at all; linear: in a straight line; "
        "cosine: as half a cosine.",
    )
    adam: Literal["auto", "all_rows", "touched_rows"] = Field(
        "auto",
        description="Rows that Adam updates in a step. all_rows: all rows, also by momentum alone; touched_rows: only "
        "the rows of the batch; auto: all_rows up to 50,000 users and movies together, touched_rows beyond.",
    )
    engine: Literal["auto", "fused", "autograd"] = Field(
        "auto",
        description="Implementation of the steps; all learn the same. auto: the fastest one for the device; fused: "
        "compiled for CPU or CUDA; autograd: by PyTorch.",
    )
    patience: int = Field(3, ge=1, description="Stop training after this many epochs without a better val RMSE.")
    on_diverged: Literal["stop", "retry"] = Field(
        "stop",
        description="What to do when loss, gradient or weights are no longer finite. stop: end the run; retry: resume "
        "once from the epoch before, with a tenth of the learning rate.",
    )
    refit: bool = Field(
        True, description="Whether to train again on train and val together, for the best number of epochs."
    )
    seed: int = Field(
        0, ge=0, le=2**31 - 1, description="Seed of the initial embeddings and of the order of the batches."
    )

    _blocks_halve = field_validator("blocks")(_power_of_two)

    def for_rows(self, number: int) -> "TrainSettings":
        """Return the settings with `adam` decided for a number of rows of users and movies together."""
        if self.adam != "auto":
            return self
        return self.model_copy(update={"adam": "all_rows" if number <= _MANY_ROWS else "touched_rows"})

    @property
    def trained_parts(self) -> tuple[str, ...]:
        """Return the parts of a split that the final model is trained on."""
        return ("train", "val") if self.refit else ("train",)

    @property
    def held_out_parts(self) -> tuple[str, ...]:
        """Return the parts of a split that the final model is not trained on."""
        return ("test",) if self.refit else ("val", "test")


class MonitorSettings(Settings):
    """How closely training is measured; nothing here changes what is learned."""

    enabled: bool = Field(True, description="Whether to record gradients and embedding tables during training.")
    sample_every: int | None = Field(
        None,
        ge=1,
        description="Measure one step in this many closely, a power of two; null: chosen once, from the budget.",
    )
    budget_fraction: float = Field(
        0.02, gt=0, le=1, description="Share of the training time for recording, from a million ratings on."
    )
    budget_seconds: float = Field(0.05, gt=0, description="Seconds per run for recording, below a million ratings.")

    _intervals_nest = field_validator("sample_every")(_power_of_two)


class HealthSettings(Settings):
    """What an unhealthy training leads to."""

    on_unhealthy: Literal["warn", "stop"] = Field(
        "warn",
        description="warn: record verdicts; stop: a verdict of severity error also ends the run, early if possible.",
    )


class EvaluationSettings(Settings):
    """What is measured on the test ratings."""

    k: tuple[int, ...] = Field((10,), min_length=1, description="Lengths of the ranked lists to measure.")
    relevance_threshold: float | None = Field(
        None,
        description="Lowest rating of a relevant movie; null: three quarters up the training range (4 stars of 5).",
    )
    ranking_users: int | None = Field(
        10_000,
        ge=1,
        description="Most users to measure lists for and to treat as new users, drawn by seed; null: all.",
    )
    max_unknown_fraction: float = Field(
        0.99,
        gt=0,
        le=1,
        description="Share of unknown ids in a test column from which they count as the wrong kind of id.",
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Seed that draws these users.")

    @model_validator(mode="after")
    def _lengths_are_positive(self) -> Self:
        if any(k < 1 for k in self.k):
            raise ValueError(f"every length in k must be 1 or more, not {list(self.k)}")
        return self


class PromotionSettings(Settings):
    """When a newly trained model replaces the champion."""

    model_name: str | None = Field(
        None,
        min_length=1,
        pattern=r"^[^/:]+$",
        description="Name of the registered model; null: cfmodel, and cfmodel-synthetic for generated ratings.",
    )
    automatic: bool = Field(
        True, description="Whether a run decides on promotion at its end; false: `cfmodel promote` decides."
    )
    confidence: float = Field(
        0.95,
        gt=0,
        lt=1,
        description="Confidence of the bootstrap interval, which must be wholly on the challenger's side.",
    )
    resamples: int = Field(1000, ge=100, le=100_000, description="Bootstrap resamples of the users.")
    min_users: int = Field(
        50,
        ge=2,
        description="Fewest users with ratings that neither model was trained on; with fewer, nothing is decided.",
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Seed of the bootstrap.")

    def name_for(self, source: str) -> str:
        """Return the name of the registered model for the ratings of a source.

        All real sources have one name: an address changes with a date in it, the folder or the machine, although the
        ratings are of one catalogue, and another catalogue is told by what is in it (`cfmodel.promotion.lineage`).
        """
        return self.model_name or (SYNTHETIC_MODEL if is_synthetic(source) else MODEL)


class ScoringSettings(Settings):
    """How recommendations are made."""

    k: int = Field(10, ge=1, le=1000, description="Movies to recommend to each user.")
    memory_megabytes: int = Field(
        256, ge=1, description="Most memory for the scores of a block of users, on CPU or GPU."
    )
    users_per_file: int = Field(50_000, ge=1, description="Users per Parquet file of the recommendations.")
    min_coverage: float = Field(
        0.001,
        ge=0,
        le=1,
        description="Smallest share of the catalogue in the lists; checked when every user is scored.",
    )
    titles: Path | None = Field(
        None, description="CSV file with movie ids and titles; null: the file beside the ratings, if there is one."
    )


class TrackingSettings(Settings):
    """Where a run is recorded."""

    # An error message must not repeat an address: it may hold a password.
    model_config = ConfigDict(hide_input_in_errors=True)

    uri: Address | None = Field(
        None, description="Address of the MLflow store; null: MLFLOW_TRACKING_URI, else sqlite:///mlflow.db."
    )
    experiment: str | None = Field(
        None, min_length=1, description="MLflow experiment of the run; null: MLFLOW_EXPERIMENT_NAME, else cfmodel."
    )
    run_name: str | None = Field(None, description="Name of the run; null: MLflow chooses one.")
    wait_seconds: float = Field(
        60.0, ge=0, description="Seconds a run waits at its end for a store that cannot be reached, before it fails."
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
    """Where a run happens; nothing here changes what is learned."""

    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|cuda(:\d+)?)$",
        description="auto: CUDA if available, else the CPU; cpu; cuda: CUDA or an error; cuda:1: the second GPU.",
    )
    threads: int | None = Field(None, ge=1, description="CPU threads for torch; null: torch's own choice.")
    checkpoint_seconds: float = Field(
        30.0,
        ge=0,
        description="Shortest time between two checkpoints, in seconds; writing them takes at most a hundredth of the "
        "training time.",
    )
    data_dir: Path = Field(
        Path("data"), description="Data folder: ingested ratings, splits, downloads, models, checkpoints."
    )


class KeepSettings(Settings):
    """What `cfmodel clean` keeps: what is needed, was used lately, or is among the newest of its kind."""

    days: float = Field(30.0, ge=0, description="Keep everything used within this many days.")
    datasets: int | None = Field(3, ge=0, description="Newest ingested data sets to keep at any age; null: all.")
    splits: int | None = Field(3, ge=0, description="Newest splits to keep at any age; null: all.")
    models: int | None = Field(10, ge=0, description="Newest models on this disk to keep at any age; null: all.")
    gradients: int | None = Field(
        10, ge=0, description="Newest gradient archives on this disk to keep at any age; null: all."
    )
    checkpoints: int | None = Field(
        3, ge=0, description="Newest unfinished runs to keep the checkpoints of at any age; null: all."
    )
    spools: int | None = Field(
        10, ge=0, description="Newest journals of fully recorded runs to keep at any age; null: all."
    )
    recommendations: int | None = Field(
        3, ge=0, description="Newest sets of recommendations to keep at any age; null: all."
    )
    runs: int | None = Field(100, ge=0, description="Newest ended MLflow runs to keep at any age; null: all.")
    versions: int | None = Field(10, ge=0, description="Newest model versions to keep at any age; null: all.")


class PipelineSettings(Settings):
    """All settings of a pipeline run, by section."""

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
            ConfigError: A name is unknown or a value out of range; the message has the full dotted name.
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
        """Read settings from a TOML file with a table per section; None: the defaults.

        Raises:
            ConfigError: The file is missing, is not TOML, or holds a bad setting.
        """
        if path is None:
            return cls.of(overrides=overrides)
        try:
            sections = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ConfigError(f"{path}: no such settings file") from None
        except (ValueError, RecursionError) as error:  # malformed, not UTF-8, a number of thousands of digits, too deep
            raise ConfigError(f"{path}: not a TOML file: {error}") from None
        return cls.of(sections, overrides=overrides)

    def at(self, tracking_uri: str) -> "PipelineSettings":
        """Return the same settings with another `tracking.uri`."""
        return self.model_copy(update={"tracking": self.tracking.model_copy(update={"uri": tracking_uri})})

    def flat(self) -> dict[str, Any]:
        """Return every setting by dotted name, in the order of declaration."""
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
    """Set one leaf of a tree of dicts, and copy the branches on the way."""
    *branches, leaf = dotted.split(".")
    for branch in branches:
        below = tree.get(branch, {})
        if not isinstance(below, Mapping):
            raise ConfigError(_unknown(dotted))
        tree[branch] = dict(below)
        tree = tree[branch]
    tree[leaf] = value


def _refusal(error: ValidationError) -> str:
    """Return which settings are refused and why."""
    lines: list[str] = []
    for problem in error.errors():
        name = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            lines.extend(_unknown(leaf) for leaf, _ in _leaves({name: problem["input"]}))
        else:
            reason = problem["msg"].removeprefix("Value error, ")
            given = "" if isinstance(problem["input"], Mapping) else redact(f" (given: {problem['input']!r})")
            lines.append(f"{name}: {reason[0].lower()}{reason[1:]}{given}")
    return "; ".join(lines)


def _unknown(name: str) -> str:
    known = [dotted for dotted, _ in setting_fields()]
    close = get_close_matches(name, known, n=1, cutoff=0.8)
    return f"{name} is not a setting" + (f"; did you mean {close[0]}?" if close else "; `cfmodel settings` lists them")
