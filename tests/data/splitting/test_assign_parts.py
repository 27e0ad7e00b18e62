"""Split strategies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_splits import FEW_EXAMPLES, PARTS, RATINGS_LISTS, divide, random_rows, rows_of

from cfmodel.config import IngestSettings, SplitSettings
from cfmodel.data.ingest.ingest import ingest
from cfmodel.data.splitting.split import split
from cfmodel.errors import DataError

strategies = st.sampled_from(["random", "per_user_latest", "temporal"])


@FEW_EXAMPLES
@given(rows=RATINGS_LISTS, strategy=strategies, seed=st.integers(0, 2**31 - 1))
def test_the_parts_are_disjoint_and_complete(rows, strategy, seed, tmp_path):
    _, parts = divide(rows, tmp_path, strategy=strategy, seed=seed, test_fraction=0.3, val_fraction=0.3)
    assert sorted(parts["train"] + parts["val"] + parts["test"]) == sorted(rows)


@FEW_EXAMPLES
@given(rows=RATINGS_LISTS, strategy=strategies, shuffler=st.randoms(use_true_random=False))
def test_the_order_of_the_source_does_not_matter(rows, strategy, shuffler, tmp_path):
    _, parts = divide(rows, tmp_path, strategy=strategy, test_fraction=0.3, val_fraction=0.3)
    shuffled = list(rows)
    shuffler.shuffle(shuffled)
    assert divide(shuffled, tmp_path, strategy=strategy, test_fraction=0.3, val_fraction=0.3)[1] == parts


@FEW_EXAMPLES
@given(rows=RATINGS_LISTS, count=st.integers(140, 400))
def test_in_a_random_split_new_ratings_do_not_move_old_ones(rows, count, tmp_path):
    _, now = divide(rows, tmp_path, test_fraction=0.3, val_fraction=0.3)
    _, before = divide(rows[:count], tmp_path, test_fraction=0.3, val_fraction=0.3)
    for part in PARTS:
        assert set(before[part]) == set(now[part]) & set(rows[:count])


@FEW_EXAMPLES
@given(rows=RATINGS_LISTS, count=st.integers(20, 100))
def test_predefined_parts_are_disjoint_and_complete_and_test_is_the_given_file(rows, count, tmp_path):
    _, parts = divide(rows[count:], tmp_path, test=rows[:count], val_fraction=0.3)
    assert parts["test"] == sorted(rows[:count])
    assert sorted(parts["train"] + parts["val"]) == sorted(rows[count:])


def test_a_random_split_has_the_given_shares_and_depends_on_the_seed(tmp_path):
    data = ingest("synthetic:users=500,movies=200,ratings=20000", IngestSettings(), folder=tmp_path)
    asked = {"test_fraction": 0.2, "val_fraction": 0.25}
    one, two = (split(data, SplitSettings(seed=seed, **asked), folder=tmp_path) for seed in (1, 2))
    assert one.test_rows == pytest.approx(4000, rel=0.06)
    assert one.val_rows == pytest.approx(4000, rel=0.06)
    both = set(rows_of(one, "test")) & set(rows_of(two, "test"))
    assert len(both) == pytest.approx(800, rel=0.15)  # a fifth of a fifth: the seeds are independent


def test_a_rating_is_in_the_same_part_on_every_machine(tmp_path):
    _, parts = divide(random_rows(users=6, movies=6, ratings=30), tmp_path, test_fraction=0.3, val_fraction=0.3)
    assert {part: len(rows) for part, rows in parts.items()} == {"train": 19, "val": 4, "test": 7}
    assert [row[:2] for row in parts["test"]][:3] == [("u0", "m1"), ("u3", "m1"), ("u4", "m1")]


def test_the_newest_ratings_of_each_user_are_test_and_the_next_are_val(tmp_path):
    rows = [("a", f"m{moment}", 3.0, moment) for moment in range(10)] + [("b", "m0", 4.0, 99)]
    _, parts = divide(rows, tmp_path, strategy="per_user_latest", test_fraction=0.2, val_fraction=0.25)
    assert [row[3] for row in parts["test"]] == [8, 9]
    assert [row[3] for row in parts["val"]] == [6, 7]
    assert ("b", "m0", 4.0, 99) in parts["train"]


def test_ratings_within_a_second_are_ordered_by_their_fraction(tmp_path):
    moments = {"z": 100, "m": 500, "a": 900, "k": -(10**7), "l": -(2 * 10**7)}
    rows = [("u1", movie, 3.0, 1_600_000_000_000 + moment) for movie, moment in moments.items()]
    given = {"test_fraction": 0.2, "val_fraction": 0.25}
    for strategy in ("per_user_latest", "temporal"):
        _, parts = divide(rows, tmp_path, strategy=strategy, **given)
        assert [[row[1] for row in parts[part]] for part in ("test", "val")] == [["a"], ["m"]]


def test_ratings_of_the_same_moment_are_ordered_by_movie_id(tmp_path):
    rows = [("a", movie, 3.0, 7) for movie in ("9", "10", "b", "a")]
    _, parts = divide(rows, tmp_path, strategy="per_user_latest", test_fraction=0.25, val_fraction=0.34)
    assert [part[0][1] for part in (parts["test"], parts["val"])] == ["b", "a"]


@FEW_EXAMPLES
@given(rows=RATINGS_LISTS, test_fraction=st.floats(0.1, 0.95), val_fraction=st.floats(0.1, 0.95))
def test_every_user_keeps_a_rating_in_train_if_the_newest_are_test(rows, test_fraction, val_fraction, tmp_path):
    given = {"strategy": "per_user_latest", "test_fraction": test_fraction, "val_fraction": val_fraction}
    try:
        _, parts = divide(rows, tmp_path, **given)
    except DataError:
        return  # a part would be empty
    assert {row[0] for row in parts["train"]} == {row[0] for row in rows}
    newest_trained = {row[0]: row[3] for row in sorted(parts["train"], key=lambda row: row[3])}
    assert all(row[3] >= newest_trained[row[0]] for row in parts["val"] + parts["test"])


def test_one_point_in_time_divides_all_ratings_and_ties_are_test(tmp_path):
    rows = [(f"u{moment}", f"m{place}", 3.0, moment) for moment in range(10) for place in range(3)]
    _, parts = divide(rows, tmp_path, strategy="temporal", test_fraction=0.25, val_fraction=0.1)
    assert {row[3] for row in parts["test"]} == {7, 8, 9}  # 8 of 30 wanted, 9 are as new
    assert {row[3] for row in parts["val"]} == {6}
    assert {row[3] for row in parts["train"]} == set(range(6))


@pytest.mark.parametrize("strategy", ["per_user_latest", "temporal"])
def test_a_strategy_that_needs_timestamps_is_refused_without_them(strategy, tmp_path):
    with pytest.raises(DataError, match=rf"split.strategy = '{strategy}' needs timestamps.*split.strategy = 'random'"):
        divide([row[:3] for row in random_rows()], tmp_path, strategy=strategy)
