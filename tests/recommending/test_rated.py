from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_recommenders import ratings_of

from cfmodel.recommending.rated import History, SeenMovies

Pair = tuple[int, int]


def movies_of(seen: SeenMovies) -> list[list[int]]:
    return [seen.movie_idx[start:end].tolist() for start, end in zip(seen.starts[:-1], seen.starts[1:], strict=True)]


def test_a_pair_both_learned_from_and_held_out_counts_as_learned_from() -> None:
    history = History.of([ratings_of([(1, 2), (0, 3)])], [ratings_of([(0, 3), (0, 1), (2, 0)])], num_users=3)
    assert movies_of(history.seen) == [[1, 3], [2], [0]]
    assert movies_of(history.trained) == [[3], [2], []]


def test_the_movies_learned_from_are_grouped_by_user() -> None:
    held_out = ratings_of([(0, 0), (1, 1), (1, 2), (3, 0)])
    history = History.of([ratings_of([(0, 1), (0, 2), (2, 0), (3, 3)])], [held_out], num_users=5)
    assert movies_of(history.trained) == [[1, 2], [], [0], [3], []]


def test_ratings_with_a_cold_side_are_skipped() -> None:
    history = History.of([ratings_of([(0, 0)])], [ratings_of([(-1, 0), (0, -1), (0, 1)])], num_users=1)
    assert movies_of(history.seen) == [[0, 1]]


def test_a_history_is_read_back_as_written(tmp_path: Path) -> None:
    history = History.of([ratings_of([(0, 2), (2, 1)])], [ratings_of([(2, 0)])], num_users=3)
    history.write(tmp_path / "history")
    again = History.read(tmp_path / "history")
    assert movies_of(again.seen) == movies_of(history.seen)
    assert again.is_trained.tolist() == history.is_trained.tolist()


def test_tensors_that_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    history = History(SeenMovies(np.array([0, 3]), np.array([1], np.int32)), np.array([True]))
    history.write(tmp_path / "history")
    with pytest.raises(ValueError, match="do not fit together"):
        History.read(tmp_path / "history")


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), max_size=30),
    st.lists(st.tuples(st.integers(-1, 4), st.integers(-1, 8)), max_size=30),
    st.integers(1, 12),
)
def test_exactly_the_given_pairs_are_contained(pairs: list[Pair], asked: list[Pair], at_once: int) -> None:
    given_pairs, questions = ratings_of(pairs), ratings_of(asked)
    seen = SeenMovies.of(given_pairs.user_idx, given_pairs.movie_idx, 5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cfmodel.recommending.rated._BLOCK", at_once)
        found = seen.contains(questions.user_idx, questions.movie_idx)
    assert found.tolist() == [pair in set(pairs) for pair in asked]
