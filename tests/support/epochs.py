"""Records of epochs."""

from cfmodel.tables import TABLES
from cfmodel.training.epoch_records import EpochRecord, Phase


def epoch(number: int, phase: Phase = "fit", *, val_rmse: float | None = 0.9, best: bool = False) -> EpochRecord:
    """Return the record of an epoch."""
    return EpochRecord(
        phase=phase,
        epoch=number,
        epochs=5,
        step=10 * number,
        train_loss=1.0 / number,
        train_rmse=0.8,
        val_rmse=val_rmse,
        best=best,
        learning_rate=0.001,
        grad_norms=dict.fromkeys((table.name for table in TABLES), 0.25),
        total_grad_norm=0.5,
        clipped_fraction=0.1,
        seconds=0.2,
        ratings_per_second=1e6,
    )
