"""Prefetched epochs."""

import numpy as np
from training_engines import MOVIES, USERS, drawn

from cfmodel.training.batching.batches import Batches
from cfmodel.training.engines.cuda.batch_prefetch import BatchPrefetch


def test_prefetched_epochs_are_those_of_the_batches() -> None:
    batches = Batches(drawn(640), num_users=USERS, num_movies=MOVIES, batch_size=32, seed=3, blocks=2)
    prefetch = BatchPrefetch(batches, epochs=6, pinned=False)
    for epoch in (1, 2, 3, 5, 6, 2, 3):  # in order, with one left out, and again from an earlier one on
        shuffled, expected = prefetch.take(epoch), list(batches.of(epoch))
        assert shuffled.places.tolist() == np.concatenate(expected).tolist()
        assert shuffled.sizes == [len(batch) for batch in expected]
    prefetch.close()
