"""Epochs dealt into batches by threads of their own, while the device is still at an earlier one."""

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from cfmodel.training.batching.batches import Batches
from cfmodel.training.planning.devices import available_cores

#: Most epochs dealt at a time: each takes 12 bytes a rating while it is, and 4 until it is taken.
_MOST_AHEAD = 4


class DealtEpoch(NamedTuple):
    """The ratings of an epoch, step by step: places in the batches' order, int32, shape (N,), and each step's size."""

    places: Tensor
    sizes: list[int]


class BatchPrefetch:
    """Deals the epochs after the one that is asked for, so that the device need not wait for them.

    Args:
        batches: What deals.
        epochs: The last epoch there can be.
        pinned: Whether to put them where a GPU can fetch them by itself.
    """

    def __init__(self, batches: Batches, *, epochs: int, pinned: bool) -> None:
        self._batches, self._epochs, self._pinned = batches, epochs, pinned
        self._ahead = max(1, min(_MOST_AHEAD, available_cores() - 1))
        self._threads = ThreadPoolExecutor(self._ahead, "cfmodel-deal")
        self._dealt: deque[tuple[int, Future[DealtEpoch]]] = deque()

    def take(self, epoch: int) -> DealtEpoch:
        """Return an epoch, and have the next ones dealt."""
        if not self._dealt or self._dealt[0][0] != epoch:
            self._drop()
            self._deal(epoch)
        _, dealt = self._dealt.popleft()
        found = dealt.result()
        following = self._dealt[-1][0] + 1 if self._dealt else epoch + 1
        for later in range(following, min(epoch + self._ahead, self._epochs) + 1):
            self._deal(later)
        return found

    def close(self) -> None:
        """Let the threads end; what they are at is finished."""
        self._drop()
        self._threads.shutdown(wait=True)

    def _deal(self, epoch: int) -> None:
        self._dealt.append((epoch, self._threads.submit(self._dealt_epoch, epoch)))

    def _dealt_epoch(self, epoch: int) -> DealtEpoch:
        batches = list(self._batches.of(epoch))
        places = torch.from_numpy(np.concatenate(batches, dtype=np.int32))
        return DealtEpoch(places.pin_memory() if self._pinned else places, [len(batch) for batch in batches])

    def _drop(self) -> None:
        while self._dealt:
            self._dealt.popleft()[1].cancel()
