"""Construction of the monitor of a training."""

import torch

from cfmodel.gradients.measuring.monitor import Monitor
from cfmodel.gradients.measuring.monitored_table import MonitoredTable, Sensitivity
from cfmodel.gradients.measuring.sampling_schedule import MonitorPlan
from cfmodel.model import CollaborativeFiltering
from cfmodel.training.batching.batches import DeviceRatings
from cfmodel.training.engines.protocol import Engine
from cfmodel.training.epoch_records import OnRecord
from cfmodel.training.planning.plan import TrainingPlan
from cfmodel.training.prediction_spread import PredictionSpread


def build_monitor(engine: Engine, plan: TrainingPlan, *, steps: int, on_record: OnRecord) -> Monitor:
    """Return the monitor of a training.

    Args:
        engine: The engine with the untrained or restored model.
        plan: The plan, with monitor settings.
        steps: Most steps of an epoch.
        on_record: Receives each record.
    """
    assert plan.monitor is not None
    model, settings = engine.model, plan.settings
    ratings, weights = DeviceRatings.sharing(plan.train, plan.device), model.weights()
    penalty = plan.penalty_weights()
    tables = {
        table.name: MonitoredTable(weights[table.name], table.side, table.width is None, penalty[table.name])
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
            regularization=plan.penalty.embedding,
            phases=2 if settings.refit else 1,
            all_rows=settings.adam == "all_rows",
        ),
        settings=plan.monitor,
        emit=on_record,
        second_moments=lambda: engine.adam().second_moments,
        spreads=PredictionSpread(model, ratings).measure,
        sensitivity=sensitivity_of(type(model)),
    )


def sensitivity_of(model: type[CollaborativeFiltering]) -> Sensitivity:
    """Return the derivative of a prediction by its rows: d<p, q>/dp = q, and 1 for a term of one side alone."""
    products = [(term.user, term.movie) for term in model.TERMS if term.user and term.movie]
    return Sensitivity(len(model.TERMS) - len(products), tuple(name for pair in products for name in pair))
