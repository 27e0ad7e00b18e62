"""The plan of one phase of training: data, model and settings, with every default resolved."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from cfmodel.column_statistics import RatingScale
from cfmodel.config import MonitorSettings, TrainSettings
from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.errors import DataError
from cfmodel.model import CollaborativeFiltering
from cfmodel.tables import Side
from cfmodel.training.batching.batches import Batches, Stream, batches_for, default_batch_size, generator
from cfmodel.training.batching.row_counts import RowCounts
from cfmodel.training.epoch_records import Phase
from cfmodel.training.planning.prior import Floats, Penalty, estimate_biases


@dataclass(frozen=True, eq=False)
class TrainingPlan:
    """The plan of one phase.

    Attributes:
        train: Training ratings, standardized, rows in range.
        val: Validation ratings, standardized alike, rows negative if cold; None: no validation.
        scale: Mean and standard deviation of the training ratings.
        rating_range: Lowest and highest training rating, in rating units.
        num_users: Rows of the user tables.
        num_movies: Rows of the movie tables.
        counts: Training ratings of each row.
        settings: Training settings; the learning rate's schedule runs over `settings.epochs`.
        device: Where to train.
        model: Class of the model.
        phase: The phase, for the records.
        epochs: Most epochs to run.
        batch_size: Ratings in a step.
        penalty: Strengths of the penalty.
        start: Initial biases by side, standardized, shape (rows,).
        monitor: Settings of the monitor; None: no monitor.
    """

    train: RatingArrays
    val: RatingArrays | None
    scale: RatingScale
    rating_range: tuple[float, float]
    num_users: int
    num_movies: int
    counts: RowCounts
    settings: TrainSettings
    device: torch.device
    model: type[CollaborativeFiltering]
    phase: Phase
    epochs: int
    batch_size: int
    penalty: Penalty
    start: Mapping[Side, Floats]
    monitor: MonitorSettings | None

    @classmethod
    def of(
        cls,
        train: RatingArrays,
        val: RatingArrays | None,
        *,
        num_users: int,
        num_movies: int,
        settings: TrainSettings,
        device: torch.device = torch.device("cpu"),
        model: type[CollaborativeFiltering] = CollaborativeFiltering,
        phase: Phase = "fit",
        epochs: int | None = None,
        batch_size: int | None = None,
        monitor: MonitorSettings = MonitorSettings(),
        scale: RatingScale | None = None,
    ) -> Self:
        """Resolve every default, and standardize the ratings, which are given in rating units; see the attributes.

        Without val all epochs are run and the last weights are the result. `epochs` stops after that many of
        `settings.epochs`; None: run them all.

        Raises:
            DataError: There is no training rating.
        """
        if len(train) == 0:
            raise DataError("train: 0 ratings, at least 1 is needed; check the split's fractions and minimum counts")
        scale = scale or RatingScale.of(train.rating)
        rating_range = float(train.rating.min()), float(train.rating.max())
        train, val = train.standardized(scale), val and val.standardized(scale)
        counts = RowCounts.of(train, num_users=num_users, num_movies=num_movies)
        estimate, start, level = estimate_biases(train, counts), {}, 0.0
        if settings.bias_start == "closed_form":
            start, level = estimate.biases, estimate.level
            shift = RatingScale(level)
            train, val = train.standardized(shift), val and val.standardized(shift)
        return cls(
            train=train,
            val=val,
            scale=RatingScale(scale.in_rating_units(level), scale.std),
            rating_range=rating_range,
            num_users=num_users,
            num_movies=num_movies,
            counts=counts,
            settings=settings.for_rows(num_users + num_movies),
            device=device,
            model=model,
            phase=phase,
            epochs=settings.epochs if epochs is None else min(epochs, settings.epochs),
            batch_size=batch_size or settings.batch_size or default_batch_size(len(train)),
            penalty=Penalty(settings.regularization, estimate.pull),
            start=start,
            monitor=monitor if monitor.enabled else None,
        )

    def at_rate(self, factor: float) -> Self:
        """Return the plan with the learning rate multiplied by a factor."""
        return self.with_rate(self.settings.learning_rate * factor)

    def with_rate(self, learning_rate: float) -> Self:
        """Return the plan with another learning rate."""
        return replace(self, settings=self.settings.model_copy(update={"learning_rate": learning_rate}))

    def initial_model(self) -> CollaborativeFiltering:
        """Return the untrained model on its device, drawn from the seed's stream for initial embeddings."""
        model = self.model(
            self.num_users,
            self.num_movies,
            self.settings.embedding_dim,
            scale=self.scale,
            init_std=self.settings.init_std,
            generator=generator(self.settings.seed, Stream.INITIALISATION),
        )
        for side, biases in self.start.items():
            if (table := self.model.bias_table(side)) is not None:
                model.weights()[table.name].data[:, 0] = torch.from_numpy(biases)
        return model.to(self.device)

    def penalty_weights(self) -> dict[str, Tensor]:
        """Return the penalty's weight for each rating of a row, by table, on the device, shape (rows,)."""
        weights = self.penalty.weights(self.model, self.counts)
        return {name: torch.from_numpy(of_table).to(self.device) for name, of_table in weights.items()}

    def batches(self) -> Batches:
        """Return the batches of the training ratings."""
        return batches_for(
            self.train,
            self.settings,
            self.device,
            num_users=self.num_users,
            num_movies=self.num_movies,
            batch_size=self.batch_size,
            counts=self.counts,
        )
