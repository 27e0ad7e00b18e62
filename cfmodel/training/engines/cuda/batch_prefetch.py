"""Batches of later epochs, shuffled in background threads while the device trains."""

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from cfmodel.training.batching.batches import Batches
from cfmodel.training.planning.devices import available_cores

#: Most epochs prefetched: each takes 12 bytes a rating while it is shuffled, and 4 until it is used.
_MOST_AHEAD = 4


class ShuffledEpoch(NamedTuple):
    """The ratings of an epoch by step: places in `Batches.order`, int32, shape (N,), and the size of each step."""

    places: Tensor
    sizes: list[int]


class BatchPrefetch:
    """Shuffles the epochs after the one that is taken, so that the device need not wait for them.

    Args:
        batches: Batches of the training ratings.
        epochs: The last epoch.
        pinned: Whether to return pinned memory, from which a GPU copies asynchronously.
    """

    def __init__(self, batches: Batches, *, epochs: int, pinned: bool) -> None:
        self._batches, self._epochs, self._pinned = batches, epochs, pinned
        self._ahead = max(1, min(_MOST_AHEAD, available_cores() - 1))
        self._threads = ThreadPoolExecutor(self._ahead, "cfmodel-shuffle")
        self._queue: deque[tuple[int, Future[ShuffledEpoch]]] = deque()

    def take(self, epoch: int) -> ShuffledEpoch:
        """Return an epoch, and start to shuffle the next ones."""
        if not self._queue or self._queue[0][0] != epoch:
            self._clear()
            self._submit(epoch)
        _, future = self._queue.popleft()
        shuffled = future.result()
        following = self._queue[-1][0] + 1 if self._queue else epoch + 1
        for later in range(following, min(epoch + self._ahead, self._epochs) + 1):
            self._submit(later)
        return shuffled

    def close(self) -> None:
        """End the threads, once the epochs in progress are shuffled."""
        self._clear()
        self._threads.shutdown(wait=True)

    def _submit(self, epoch: int) -> None:
        self._queue.append((epoch, self._threads.submit(self._shuffle, epoch)))

    def _shuffle(self, epoch: int) -> ShuffledEpoch:
        batches = list(self._batches.of(epoch))
        places = torch.from_numpy(np.concatenate(batches, dtype=np.int32))
        return ShuffledEpoch(places.pin_memory() if self._pinned else places, [len(batch) for batch in batches])

    def _clear(self) -> None:
        while self._queue:
            self._queue.popleft()[1].cancel()
