"""Every rating once an epoch, in an order that seed and epoch decide."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cfmodel.data.parts import RatingArrays
from cfmodel.training.batches import (
    LARGEST_BATCH,
    SMALLEST_BATCH,
    DeviceRatings,
    Stream,
    default_batch_size,
    epoch_order,
    generator,
)


def numbered(count: int) -> RatingArrays:
    """Ratings that tell their own row."""
    rows = np.arange(count, dtype=np.int32)
    return RatingArrays(rows, rows, rows.astype(np.float32))


@settings(deadline=None, max_examples=30)
@given(count=st.integers(1, 300), size=st.integers(1, 400), seed=st.integers(0, 2**31 - 1), epoch=st.integers(1, 99))
def test_batches_cover_every_rating_exactly_once(count: int, size: int, seed: int, epoch: int) -> None:
    ratings = DeviceRatings.of(numbered(count), torch.device("cpu"))
    batches = list(ratings[epoch_order(count, seed=seed, epoch=epoch)].batches(size))
    assert sorted(torch.cat([batch.rating for batch in batches]).tolist()) == list(range(count))
    assert {len(batch) for batch in batches[:-1]} <= {size}
    for batch in batches:
        assert batch.user_idx.tolist() == batch.movie_idx.tolist() == batch.rating.tolist()


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    order = epoch_order(1000, seed=7, epoch=3)
    torch.rand(5)
    assert torch.equal(order, epoch_order(1000, seed=7, epoch=3))
    assert not torch.equal(order, epoch_order(1000, seed=7, epoch=4))
    assert not torch.equal(order, epoch_order(1000, seed=8, epoch=3))


def test_streams_of_one_seed_differ() -> None:
    first, second = (torch.rand(4, generator=generator(0, stream)) for stream in Stream)
    assert not torch.equal(first, second)


def test_moving_ratings_to_a_device_leaves_the_input_alone() -> None:
    ratings = numbered(3)
    DeviceRatings.of(ratings, torch.device("cpu")).rating.add_(1)
    assert ratings.rating.tolist() == [0, 1, 2]


@given(count=st.integers(0, 10**10))
def test_a_default_batch_is_a_power_of_two_within_its_limits(count: int) -> None:
    size = default_batch_size(count)
    assert size & (size - 1) == 0
    assert SMALLEST_BATCH <= size <= LARGEST_BATCH
    assert size <= default_batch_size(2 * count + 1)


@pytest.mark.parametrize(
    ("count", "size"), [(0, 32), (5_000, 32), (72_000, 256), (100_000, 512), (1_000_000, 4096), (20_000_000, 8192)]
)
def test_default_batches_of_known_sets(count: int, size: int) -> None:
    assert default_batch_size(count) == size
