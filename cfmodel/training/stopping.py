"""Early stopping on the RMSE on val."""

import math
from dataclasses import dataclass


@dataclass
class EarlyStopping:
    """The best epoch so far, and whether to stop.

    Attributes:
        patience: Epochs without a better val RMSE after which to stop.
        best_epoch: The epoch with the lowest val RMSE so far, the earliest of equals; 0 before the first.
        best_val_rmse: That RMSE, in rating units.
    """

    patience: int
    best_epoch: int = 0
    best_val_rmse: float = math.inf
    _last_epoch: int = 0

    def improves(self, epoch: int, val_rmse: float) -> bool:
        """Record an epoch; return whether it is the best so far."""
        self._last_epoch = epoch
        if not val_rmse < self.best_val_rmse:
            return False
        self.best_epoch, self.best_val_rmse = epoch, val_rmse
        return True

    @property
    def is_due(self) -> bool:
        """Whether none of the last `patience` epochs was an improvement."""
        return self._last_epoch - self.best_epoch >= self.patience
