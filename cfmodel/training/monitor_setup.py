"""The monitor of a training: told of the model's tables, its optimizer and its ratings."""

import torch

from cfmodel.gradients.measuring.monitor import Monitor
from cfmodel.gradients.measuring.monitored_table import MonitoredTable, Sensitivity
from cfmodel.gradients.measuring.pace import MonitorPlan
from cfmodel.model import CollaborativeFiltering
from cfmodel.training.batching.batches import DeviceRatings
from cfmodel.training.engines.base import Engine
from cfmodel.training.epoch_records import OnRecord
from cfmodel.training.planning.plan import TrainingPlan
from cfmodel.training.prediction_spread import PredictionSpread


def monitor_of(engine: Engine, plan: TrainingPlan, *, steps: int, on_record: OnRecord) -> Monitor:
    """Return a monitor of a model that is about to be trained.

    Args:
        engine: What trains it.
        plan: How, and how closely to watch.
        steps: Steps of an epoch.
        on_record: Takes each record as it is made.
    """
    assert plan.monitor is not None
    model, settings = engine.model, plan.settings
    ratings, weights = DeviceRatings.sharing(plan.train, plan.device), model.weights()
    tables = {
        table.name: MonitoredTable(
            weights[table.name], table.side, table.width is None, plan.regularization if table.penalized else 0.0
        )
        for table in model.TABLES
    }
    return Monitor(
        tables,
        ratings.rating,
        {side: torch.from_numpy(of_side).to(plan.device) for side, of_side in plan.counts._asdict().items()},
        plan=MonitorPlan(
            phase=plan.phase,
            epochs=plan.epochs,
            batch_size=plan.batch_size,
            steps=steps,
            learning_rate=settings.learning_rate,
            max_grad_norm=settings.max_grad_norm,
            regularization=plan.regularization,
            phases=2 if settings.refit else 1,
            all_rows=settings.adam == "all_rows",
        ),
        settings=plan.monitor,
        emit=on_record,
        second_moments=lambda: engine.adam().second_moments,
        spreads=PredictionSpread(model, ratings).find,
        sensitivity=sensitivity_of(type(model)),
    )


def sensitivity_of(model: type[CollaborativeFiltering]) -> Sensitivity:
    """Return how a prediction moves with the rows it looks up: d<p, q>/dp = q, and 1 for a term of one side alone."""
    products = [(term.user, term.movie) for term in model.TERMS if term.user and term.movie]
    return Sensitivity(len(model.TERMS) - len(products), tuple(name for pair in products for name in pair))
