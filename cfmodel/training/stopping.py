"""Early stopping on the RMSE on val."""

import math
from dataclasses import dataclass


@dataclass
class EarlyStopping:
    """The best epoch so far, and whether to stop.

    Attributes:
        patience: Epochs without a better val RMSE after which to stop.
        best_epoch: The epoch with the lowest val RMSE so far, the earliest of equals; 0 before the first, or if the
            start was better.
        best_val_rmse: That RMSE, in rating units.
        falling_epoch: The epoch after the start with the lowest one: embeddings take a few epochs to help at all.
        falling_val_rmse: That RMSE.
    """

    patience: int
    best_epoch: int = 0
    best_val_rmse: float = math.inf
    falling_epoch: int = 0
    falling_val_rmse: float = math.inf
    _last_epoch: int = 0

    def improves(self, epoch: int, val_rmse: float) -> bool:
        """Record an epoch, 0 for the start; return whether it is the best so far."""
        self._last_epoch = epoch
        if epoch and val_rmse < self.falling_val_rmse:
            self.falling_epoch, self.falling_val_rmse = epoch, val_rmse
        if not val_rmse < self.best_val_rmse:
            return False
        self.best_epoch, self.best_val_rmse = epoch, val_rmse
        return True

    @property
    def is_due(self) -> bool:
        """Whether the RMSE has not fallen for `patience` epochs."""
        return self._last_epoch - self.falling_epoch >= self.patience
