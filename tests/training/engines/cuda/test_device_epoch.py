"""An epoch on the device."""

import torch
from training_engines import USERS, drawn

from cfmodel.training.batching.batches import DeviceRatings
from cfmodel.training.engines.cuda.device_epoch import DeviceEpoch


def test_each_step_gets_its_ratings_and_its_rate_with_padding_marked() -> None:
    ratings = drawn(10)
    epoch = DeviceEpoch(DeviceRatings.of(ratings, torch.device("cpu")), num_users=USERS, steps=3, dtype=torch.float64)
    order = torch.tensor([9, 8, 7, 6, 5, 4, 3, 2, 1, 0], dtype=torch.int32)
    epoch.begin(order, [4, 3, 3], [0.1, 0.2, 0.3], done=1)
    batch = epoch.batch(torch.arange(4))
    assert batch.kept.tolist() == [True, True, True, False]
    assert batch.rows[0, :3].tolist() == ratings.user_idx[[5, 4, 3]].tolist()
    assert batch.rows[1, :3].tolist() == (ratings.movie_idx[[5, 4, 3]] + USERS).tolist()
    assert batch.rating[:3].tolist() == ratings.rating[[5, 4, 3]].tolist()
    assert epoch.rate().tolist() == [0.2]
    numbers = torch.arange(9, dtype=torch.float64)
    epoch.end_step(numbers, torch.tensor([4, 2, 3]))
    assert epoch.rate().tolist() == [0.3]
    log = epoch.read([3], first=1)
    assert (log.loss.tolist(), log.grad_norms.tolist()) == ([0.0], [[5.0, 6.0, 7.0, 8.0]])
    assert log.scalars is not None
    assert (log.scalars.user[0], log.scalars.movie[0]) == (ratings.user_idx[5], ratings.movie_idx[5])
