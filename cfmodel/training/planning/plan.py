"""The plan of one phase of training: data, model and settings, with every default resolved."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch

from cfmodel.config import MonitorSettings, TrainSettings
from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.errors import DataError
from cfmodel.model import CollaborativeFiltering
from cfmodel.training.batching.batches import Batches, Stream, batches_for, default_batch_size, generator
from cfmodel.training.batching.row_counts import RowCounts
from cfmodel.training.epoch_records import Phase
from cfmodel.training.planning.regularization import default_regularization


@dataclass(frozen=True, eq=False)
class TrainingPlan:
    """What a phase of training does; made once and handed through.

    Attributes:
        train: Ratings to learn from, rows in range.
        val: Ratings to validate on, rows negative where cold; None: there are none.
        num_users: Rows of the user tables.
        num_movies: Rows of the movie tables.
        counts: Training ratings of each row.
        settings: What to learn and how; `settings.epochs` is the horizon of the schedule.
        device: Where to learn.
        model: Class of the model.
        phase: What the records call this training.
        epochs: Most epochs to run.
        batch_size: Ratings in a step.
        regularization: Weight of the penalty.
        monitor: How closely to watch; None: not at all.
    """

    train: RatingArrays
    val: RatingArrays | None
    num_users: int
    num_movies: int
    counts: RowCounts
    settings: TrainSettings
    device: torch.device
    model: type[CollaborativeFiltering]
    phase: Phase
    epochs: int
    batch_size: int
    regularization: float
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
    ) -> Self:
        """Resolve defaults.

        Args:
            train: See the attributes, as for all but these:
            val: None or empty: all epochs are run, and the last is kept.
            num_users: As above.
            num_movies: As above.
            settings: As above.
            device: As above.
            model: As above.
            phase: As above.
            epochs: Stop after so many of `settings.epochs`; None: run them all.
            batch_size: None: as the settings say.
            monitor: It changes nothing that is learned.

        Raises:
            DataError: There is no training rating.
        """
        if len(train) == 0:
            raise DataError("train: 0 ratings, at least 1 is needed; check the split's fractions and minimum counts")
        counts = RowCounts.of(train, num_users=num_users, num_movies=num_movies)
        strength = default_regularization(train, counts) if settings.regularization is None else settings.regularization
        return cls(
            train=train,
            val=val,
            num_users=num_users,
            num_movies=num_movies,
            counts=counts,
            settings=settings.for_rows(num_users + num_movies),
            device=device,
            model=model,
            phase=phase,
            epochs=min(epochs or settings.epochs, settings.epochs),
            batch_size=batch_size or settings.batch_size or default_batch_size(len(train)),
            regularization=strength,
            monitor=monitor if monitor.enabled else None,
        )

    def at_rate(self, factor: float) -> Self:
        """Return the plan with the learning rate multiplied by a factor."""
        rate = self.settings.learning_rate * factor
        return replace(self, settings=self.settings.model_copy(update={"learning_rate": rate}))

    def initial_model(self) -> CollaborativeFiltering:
        """Return the untrained model on its device, its embeddings drawn from the seed's own stream for that."""
        model = self.model(
            self.num_users,
            self.num_movies,
            self.settings.embedding_dim,
            global_mean=float(np.mean(self.train.rating, dtype=np.float64)),
            init_std=self.settings.init_std,
            generator=generator(self.settings.seed, Stream.INITIALISATION),
        )
        return model.to(self.device)

    def batches(self) -> Batches:
        """Return how the training ratings are dealt into batches."""
        return batches_for(
            self.train,
            self.settings,
            self.device,
            num_users=self.num_users,
            num_movies=self.num_movies,
            batch_size=self.batch_size,
            counts=self.counts,
        )
