"""Every rating once an epoch, in an order that seed and epoch decide."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cfmodel.data.parts import RatingArrays
from cfmodel.training.batches import (
    LARGEST_BATCH,
    SMALLEST_BATCH,
    Batches,
    DeviceRatings,
    Stream,
    default_batch_size,
    generator,
)


def numbered(count: int) -> RatingArrays:
    """Ratings that tell their own row."""
    rows = np.arange(count, dtype=np.int32)
    return RatingArrays(rows, rows, rows.astype(np.float32))


@settings(deadline=None, max_examples=30)
@given(
    count=st.integers(1, 300),
    size=st.integers(1, 400),
    seed=st.integers(0, 2**31 - 1),
    epoch=st.integers(1, 99),
    block=st.integers(1, 400),
)
def test_batches_cover_every_rating_exactly_once(count: int, size: int, seed: int, epoch: int, block: int) -> None:
    users = np.random.default_rng(seed).integers(0, 9, count).astype(np.int32)
    batches = Batches(users, num_users=9, batch_size=size, seed=seed, block_ratings=block)
    found = list(batches.of(epoch))
    assert sorted(np.concatenate(found).tolist()) == list(range(count))
    assert len(found) == batches.steps
    assert max(map(len, found)) <= batches.largest
    assert sorted(batches.order().tolist()) == list(range(count))


def test_batches_of_a_block_have_the_same_size_give_or_take_one() -> None:
    users = np.repeat(np.arange(40, dtype=np.int32), 25)
    batches = Batches(users, num_users=40, batch_size=30, seed=0, block_ratings=400)
    sizes = [len(places) for places in batches.of(1)]
    assert batches.steps == len(sizes) == 33 or abs(len(sizes) - 33) <= 2
    assert max(sizes) - min(sizes) <= 2


def test_ratings_of_a_step_come_from_one_block_of_users() -> None:
    users = np.repeat(np.arange(40, dtype=np.int32), 25)
    batches = Batches(users, num_users=40, batch_size=50, seed=0, block_ratings=250)
    order = batches.order()
    blocks = [frozenset(users[order[first:last]]) for first, last in pairwise(batches.starts)]
    assert len(blocks) == 4
    assert sorted(user for block in blocks for user in block) == list(range(40))
    for places in batches.of(3):
        assert any(set(users[order[places]]) <= block for block in blocks)


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    def drawn(seed: int, epoch: int) -> list[list[int]]:
        batches = Batches(np.zeros(1000, np.int32), num_users=1, batch_size=100, seed=seed)
        return [places.tolist() for places in batches.of(epoch)]

    first = drawn(7, 3)
    torch.rand(5)
    assert first == drawn(7, 3)
    assert first != drawn(7, 4)
    assert first != drawn(8, 3)


def test_every_pair_of_ratings_meets_in_a_batch_about_as_often_as_chance_has_it() -> None:
    count, epochs = 20, 2000
    batches = Batches(np.zeros(count, np.int32), num_users=1, batch_size=5, seed=0)
    together = np.zeros((count, count))
    for epoch in range(1, epochs + 1):
        for places in batches.of(epoch):
            together[np.ix_(places, places)] += 1
    met = together[np.triu_indices(count, 1)] / epochs
    # 4 of the 19 others; six standard deviations of a share of 2,000.
    assert np.abs(met - 4 / 19).max() < 6 * np.sqrt(4 / 19 * 15 / 19 / epochs)


def test_streams_of_one_seed_differ() -> None:
    drawn = [tuple(torch.rand(4, generator=generator(0, stream)).tolist()) for stream in Stream]
    assert len(set(drawn)) == len(drawn)


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
