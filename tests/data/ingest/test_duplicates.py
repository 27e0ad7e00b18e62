"""Duplicates: several ratings of one movie by one user."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stored_ratings import rows_in

from cfmodel.config import IngestSettings
from cfmodel.data.ingest.ingest import ingest
from cfmodel.data.storage import read_ratings_file
from cfmodel.errors import DataError
from cfmodel.refs import Accounts

ROWS = "u,m,1,50\nv,m,2,10\nu,m,4,20\nu,n,5,30\nu,m,3,50\n"


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("last", [("v", "m", 2.0, 10), ("u", "n", 5.0, 30), ("u", "m", 3.0, 50)]),
        ("mean", [("v", "m", 2.0, 10), ("u", "n", 5.0, 30), ("u", "m", (1 + 4 + 3) / 3, 50)]),
    ],
)
def test_the_newest_rating_or_the_mean_of_all_replaces_duplicates(policy, expected, read, write):
    ref, rows = read(write("x.csv", ROWS), on_duplicate=policy)
    assert rows == expected
    assert ref.accounts == Accounts(rows_in=5, kept=3, merged=2)
    assert (ref.rows, ref.users, ref.movies, ref.rating_max) == (3, 2, 2, 5.0)


def test_without_timestamps_the_last_in_the_source_stays(read, write):
    write("set/a.csv", "1,1,3\n1,1,4\n2,1,1\n")
    path = write("set/b.csv", "1,1,5\n")
    assert read(path.parent)[1] == [("2", "1", 1.0, None), ("1", "1", 5.0, None)]


def test_duplicates_can_stop_the_run(read, write):
    with pytest.raises(
        DataError, match=r"^3 ratings share 1 \(user, movie\) pairs, the first of them user 'u' and movie 'm'; .*'mean'"
    ):
        read(write("x.csv", ROWS), on_duplicate="stop")


def test_distinct_pairs_are_not_duplicates(read, write):
    ref, rows = read(write("x.csv", "1,12,3\n11,2,3\n1,2,3\n"), on_duplicate="stop")
    assert (ref.accounts.merged, len(rows)) == (0, 3)


@given(
    pairs=st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 4), st.integers(1, 5), st.integers(0, 9)), min_size=1, max_size=60
    ),
    policy=st.sampled_from(["last", "mean"]),
)
@settings(deadline=None, max_examples=25)
def test_merging_agrees_with_a_dictionary(pairs, policy, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    path = folder / "x.csv"
    path.write_text("".join(f"{user},{movie},{rating},{time}\n" for user, movie, rating, time in pairs))
    ref = ingest(str(path), IngestSettings(on_duplicate=policy), folder=folder)
    table = rows_in(read_ratings_file(ref.path / "ratings.parquet"))
    expected: dict[tuple[str, str], list[tuple[int, int, int]]] = {}
    for place, (user, movie, rating, time) in enumerate(pairs):
        expected.setdefault((str(user), str(movie)), []).append((time, place, rating))
    found = {row[:2]: row for row in table}
    assert found.keys() == expected.keys()
    for pair, ratings in expected.items():
        newest = max(ratings)
        assert found[pair][3] == newest[0]
        mean = np.mean([rating for _, _, rating in ratings])
        assert found[pair][2] == pytest.approx(newest[2] if policy == "last" else mean)


def test_duplicates_are_found_across_row_groups(read, write, monkeypatch):
    monkeypatch.setattr("cfmodel.data.formats.compressed.BLOCK_BYTES", 200)
    monkeypatch.setattr("cfmodel.data.ingest.ratings_sink._ROW_GROUP_ROWS", 50)
    lines = [f"{user % 100},m{user % 100},{1 + user // 100},{user}\n" for user in range(300)]
    ref, rows = read(write("x.csv", "".join(lines)))
    assert sorted(rows) == sorted((str(user), f"m{user}", 3.0, 200 + user) for user in range(100))
    assert ref.accounts == Accounts(rows_in=300, kept=100, merged=200)


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("1600000001100", "1600000001900"),
        ("1600000001.1", "1600000001.9"),
        ("1600000001000001", "1600000001000002"),
        ("1600000001000000001", "1600000001000000002"),
        ("2020-09-13T12:26:41.100Z", "2020-09-13T12:26:41.9Z"),
        ("2020-09-13 12:26:41.000000001", "2020-09-13 12:26:41.000000002"),
    ],
)
def test_of_two_ratings_within_a_second_the_newer_stays(older, newer, read, write):
    rows = [f"u,b,1,{newer}\n", f"u,b,5,{older}\n"]
    for order in (rows, rows[::-1]):
        assert [row[2] for row in read(write("x.csv", "".join(order)))[1]] == [1.0]
