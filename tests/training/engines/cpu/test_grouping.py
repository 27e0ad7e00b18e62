"""Ratings grouped within the cells of their batches."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.training.batching.batches import Batches
from cfmodel.training.engines.cpu.grouping import FIRST, LAST, MOVIE_FIRST, USER_FIRST, cells_of
from cfmodel.training.engines.cpu.thread_team import ThreadTeam


def random_ratings(count: int, users: int, movies: int, seed: int) -> RatingArrays:
    rng = np.random.default_rng(seed)
    rows = (rng.integers(0, number, count).astype(np.int32) for number in (users, movies))
    return RatingArrays(*rows, rng.random(count).astype(np.float32))


@settings(deadline=None, max_examples=40)
@given(count=st.integers(1, 400), seed=st.integers(0, 99), blocks=st.sampled_from([1, 2, 4, 8]))
def test_cells_have_the_ratings_in_the_order_of_the_batches_and_each_row_once(
    count: int, seed: int, blocks: int
) -> None:
    ratings = random_ratings(count, 30, 20, seed)
    batches = Batches(ratings, num_users=30, num_movies=20, batch_size=50, seed=seed, blocks=blocks)
    cells, order = cells_of(ratings, batches, ThreadTeam(1)), batches.order()
    assert cells.by_user.others.tolist() == ratings.movie_idx[order].tolist()
    assert cells.by_user.values.tolist() == ratings.rating[order].tolist()
    for part in cells.parts:
        first, last = int(part[FIRST]), int(part[LAST])
        users, movies = cells.by_user, cells.by_movie
        rows = users.rows[part[USER_FIRST] : part[USER_FIRST + 1]]
        ends = users.starts[part[USER_FIRST] : part[USER_FIRST + 1] + 1]
        assert len(set(rows.tolist())) == len(rows)
        assert np.repeat(rows, np.diff(ends)).tolist() == ratings.user_idx[order[first:last]].tolist()
        slots = movies.values[first:last]
        assert sorted(slots.tolist()) == list(range(last - first))
        own = order[first:last][slots]
        rows = movies.rows[part[MOVIE_FIRST] : part[MOVIE_FIRST + 1]]
        ends = movies.starts[part[MOVIE_FIRST] : part[MOVIE_FIRST + 1] + 1]
        assert len(set(rows.tolist())) == len(rows)
        assert np.repeat(rows, np.diff(ends)).tolist() == ratings.movie_idx[own].tolist()
        assert movies.others[first:last].tolist() == ratings.user_idx[own].tolist()


@pytest.mark.parametrize("threads", [2, 3])
def test_the_groups_do_not_depend_on_the_number_of_threads(threads: int) -> None:
    ratings = random_ratings(60_000, 900, 700, 0)
    batches = Batches(ratings, num_users=901, num_movies=701, batch_size=500, seed=0, blocks=8)
    alone, team = ThreadTeam(1), ThreadTeam(threads)
    one, several = cells_of(ratings, batches, alone), cells_of(ratings, batches, team)
    assert one.parts.tolist() == several.parts.tolist()
    for first, second in ((one.by_user, several.by_user), (one.by_movie, several.by_movie)):
        assert first.others.tolist() == second.others.tolist()
        assert first.values.tolist() == second.values.tolist()
    for part in one.parts:
        users, movies = slice(part[USER_FIRST], part[USER_FIRST + 1]), slice(part[MOVIE_FIRST], part[MOVIE_FIRST + 1])
        assert one.by_user.rows[users].tolist() == several.by_user.rows[users].tolist()
        assert one.by_movie.starts[movies].tolist() == several.by_movie.starts[movies].tolist()
    team.close()
    alone.close()


def test_the_input_does_not_change() -> None:
    ratings = random_ratings(200, 30, 20, 0)
    before = [column.copy() for column in (ratings.user_idx, ratings.movie_idx, ratings.rating)]
    cells_of(ratings, Batches(ratings, num_users=30, num_movies=20, batch_size=50, seed=0, blocks=2), ThreadTeam(2))
    for column, expected in zip((ratings.user_idx, ratings.movie_idx, ratings.rating), before, strict=True):
        np.testing.assert_array_equal(column, expected)


@pytest.mark.parametrize("blocks", [2, 4])
def test_a_cell_without_ratings_is_an_empty_part(blocks: int) -> None:
    one = RatingArrays(np.zeros(5, np.int32), np.zeros(5, np.int32), np.ones(5, np.float32))
    cells = cells_of(one, Batches(one, num_users=8, num_movies=8, batch_size=5, seed=0, blocks=blocks), ThreadTeam(2))
    sizes = cells.parts[:, LAST] - cells.parts[:, FIRST]
    assert sorted(sizes.tolist()) == [0] * (blocks**2 - 1) + [5]
