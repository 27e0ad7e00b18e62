"""Batches: every rating once per epoch, in an order that depends on seed and epoch alone."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.training.batching.batches import (
    LARGEST_BATCH,
    SMALLEST_BATCH,
    Batches,
    DeviceRatings,
    Stream,
    blocks_for_whole_batches,
    default_batch_size,
    default_blocks,
    generator,
)


def numbered(count: int) -> RatingArrays:
    """Ratings whose values are their rows."""
    rows = np.arange(count, dtype=np.int32)
    return RatingArrays(rows, rows, rows.astype(np.float32))


def random_ratings(count: int, users: int, movies: int, seed: int = 0) -> RatingArrays:
    rng = np.random.default_rng(seed)
    rows = (rng.integers(0, number, count).astype(np.int32) for number in (users, movies))
    return RatingArrays(*rows, np.ones(count, np.float32))


@settings(deadline=None, max_examples=50)
@given(
    count=st.integers(1, 300),
    size=st.integers(1, 400),
    seed=st.integers(0, 2**31 - 1),
    epoch=st.integers(1, 99),
    blocks=st.sampled_from([1, 2, 4, 8, 16]),
)
def test_batches_cover_every_rating_exactly_once(count: int, size: int, seed: int, epoch: int, blocks: int) -> None:
    ratings = random_ratings(count, 9, 20, seed)
    batches = Batches(ratings, num_users=9, num_movies=20, batch_size=size, seed=seed, blocks=blocks)
    found = list(batches.of(epoch))
    assert sorted(np.concatenate(found).tolist()) == list(range(count))
    assert 1 <= len(found) <= batches.steps
    assert min(map(len, found)) >= 1
    order = batches.order()
    assert sorted(order.tolist()) == list(range(count))


def test_batches_of_a_small_set_have_equal_sizes_give_or_take_one() -> None:
    batches = Batches(random_ratings(1000, 40, 30), num_users=40, num_movies=30, batch_size=30, seed=0)
    sizes = [len(places) for places in batches.of(1)]
    assert batches.blocks == 1
    assert len(sizes) == batches.steps == 33
    assert max(sizes) - min(sizes) <= 1


def test_cells_of_a_visit_share_neither_users_nor_movies() -> None:
    ratings = random_ratings(5000, 60, 50)
    batches = Batches(ratings, num_users=60, num_movies=50, batch_size=100, seed=0, blocks=8)
    order = batches.order()
    seen: list[int] = []
    for visit, number in batches.visits_of(3):
        cells = [order[batches.starts[cell] : batches.starts[cell + 1]] for cell in visit]
        for rows in (ratings.user_idx, ratings.movie_idx):
            own = [set(rows[cell].tolist()) for cell in cells]
            assert sum(map(len, own)) == len(set().union(*own))
        assert len(visit) == 4
        assert number == batches.per_visit
        seen += visit.tolist()
    assert sorted(seen) == list(range(64))


def test_blocks_have_about_equal_numbers_of_ratings() -> None:
    ratings = random_ratings(20_000, 4000, 3000)
    batches = Batches(ratings, num_users=4000, num_movies=3000, batch_size=100, seed=0, blocks=4)
    cells = np.diff(batches.starts).reshape(4, 4)
    assert cells.sum(axis=0).min() > 0.9 * cells.sum() / 4
    assert cells.sum(axis=1).min() > 0.9 * cells.sum() / 4


@given(ratings=st.integers(1, 10**9), rows=st.integers(1, 10**7))
def test_there_are_several_blocks_only_if_rows_are_many_and_cells_stay_large(ratings: int, rows: int) -> None:
    blocks = default_blocks(ratings, rows)
    assert blocks & (blocks - 1) == 0
    assert blocks == 1 or ratings / blocks**2 >= 8192
    assert blocks == 1 or rows / (blocks // 2) > 1024


@given(ratings=st.integers(1, 10**9), rows=st.integers(1, 10**7), size=st.integers(1, 10**6))
def test_blocks_for_whole_batches_are_few_enough_for_four_batches_a_visit(ratings: int, rows: int, size: int) -> None:
    blocks = blocks_for_whole_batches(ratings, rows, size)
    visits = blocks**2 // min(blocks, 4)
    assert blocks & (blocks - 1) == 0
    assert blocks == 1 or ratings / visits >= 4 * size
    # And not fewer than that takes.
    twice = (2 * blocks) ** 2 // min(2 * blocks, 4)
    assert blocks == default_blocks(ratings, rows) or ratings / twice < 4 * size


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    def order(seed: int, epoch: int) -> list[list[int]]:
        batches = Batches(random_ratings(1000, 5, 5), num_users=5, num_movies=5, batch_size=100, seed=seed)
        return [places.tolist() for places in batches.of(epoch)]

    first = order(7, 3)
    torch.rand(5)
    assert first == order(7, 3)
    assert first != order(7, 4)
    assert first != order(8, 3)


def test_every_pair_of_ratings_is_in_the_same_batch_as_often_as_by_chance() -> None:
    count, epochs = 20, 2000
    batches = Batches(random_ratings(count, 3, 3), num_users=3, num_movies=3, batch_size=5, seed=0)
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


def test_copying_ratings_to_a_device_does_not_change_the_input() -> None:
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
    ("count", "size"), [(0, 32), (5_000, 32), (72_000, 256), (100_000, 512), (1_000_000, 4096), (20_000_000, 65_536)]
)
def test_default_batches_of_known_sets(count: int, size: int) -> None:
    assert default_batch_size(count) == size
