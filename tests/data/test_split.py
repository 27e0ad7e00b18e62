import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cfmodel.config import IngestSettings, SplitSettings
from cfmodel.data.ingest import ingest
from cfmodel.data.parts import concatenate, load_part, load_together, load_vocabularies
from cfmodel.data.split import RowsSplit, split
from cfmodel.digests import is_whole, sha256_of_file
from cfmodel.errors import ConfigError, DataError, DigestError
from cfmodel.schema import RATINGS

PARTS = ("train", "val", "test")
few = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def stored(rows, folder, name="x"):
    """Ingest rows of (user, movie, rating[, timestamp])."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.csv"
    path.write_text("".join(",".join(str(field) for field in row) + "\n" for row in rows))
    return ingest(str(path), IngestSettings(header=False), folder=folder / "data")


def divided(rows, folder, *, test=None, **given):
    """Split rows and return the ref and the rows of each part, sorted."""
    if test is not None:
        given |= {"strategy": "predefined", "test_source": "test.csv"}
    test_ref = None if test is None else stored(test, folder, "test")
    ref = split(stored(rows, folder), SplitSettings(**given), folder=folder / "data", test=test_ref)
    return ref, {part: rows_of(ref, part) for part in PARTS}


def rows_of(ref, part):
    table = pq.read_table(ref.path / f"{part}.parquet")
    assert table.schema.equals(RATINGS)
    rows = sorted(tuple(row.values()) for row in table.to_pylist())
    return [row if row[3] is not None else row[:3] for row in rows]


def planted(users=30, movies=20, ratings=300, *, seed=0):
    rng = np.random.default_rng(seed)
    pairs = rng.choice(users * movies, ratings, replace=False)
    moments = rng.integers(0, 100, ratings)
    return [
        (f"u{pair // movies}", f"m{pair % movies}", float(pair % 5 + 1), int(moment))
        for pair, moment in zip(pairs, moments, strict=True)
    ]


# A block per user, so that every strategy finds something for each part.
ratings_lists = st.integers(0, 2**31).flatmap(
    lambda seed: st.integers(150, 400).map(lambda count: planted(ratings=count, seed=seed))
)
strategies = st.sampled_from(["random", "per_user_latest", "temporal"])


@few
@given(rows=ratings_lists, strategy=strategies, seed=st.integers(0, 2**31 - 1))
def test_the_parts_are_disjoint_and_complete(rows, strategy, seed, tmp_path):
    _, parts = divided(rows, tmp_path, strategy=strategy, seed=seed, test_fraction=0.3, val_fraction=0.3)
    assert sorted(parts["train"] + parts["val"] + parts["test"]) == sorted(rows)


@few
@given(rows=ratings_lists, strategy=strategies, shuffler=st.randoms(use_true_random=False))
def test_the_order_of_the_source_does_not_matter(rows, strategy, shuffler, tmp_path):
    _, parts = divided(rows, tmp_path, strategy=strategy, test_fraction=0.3, val_fraction=0.3)
    shuffled = list(rows)
    shuffler.shuffle(shuffled)
    assert divided(shuffled, tmp_path, strategy=strategy, test_fraction=0.3, val_fraction=0.3)[1] == parts


@few
@given(rows=ratings_lists, count=st.integers(140, 400))
def test_at_random_newer_ratings_move_no_old_one(rows, count, tmp_path):
    _, now = divided(rows, tmp_path, test_fraction=0.3, val_fraction=0.3)
    _, before = divided(rows[:count], tmp_path, test_fraction=0.3, val_fraction=0.3)
    for part in PARTS:
        assert set(before[part]) == set(now[part]) & set(rows[:count])


@few
@given(rows=ratings_lists, count=st.integers(20, 100))
def test_predefined_parts_are_disjoint_and_complete_and_test_is_the_file_given(rows, count, tmp_path):
    _, parts = divided(rows[count:], tmp_path, test=rows[:count], val_fraction=0.3)
    assert parts["test"] == sorted(rows[:count])
    assert sorted(parts["train"] + parts["val"]) == sorted(rows[count:])


def test_at_random_the_shares_are_those_asked_for_and_the_seed_decides(tmp_path):
    data = ingest("synthetic:users=500,movies=200,ratings=20000", IngestSettings(), folder=tmp_path)
    asked = {"test_fraction": 0.2, "val_fraction": 0.25}
    one, two = (split(data, SplitSettings(seed=seed, **asked), folder=tmp_path) for seed in (1, 2))
    assert one.test_rows == pytest.approx(4000, rel=0.06)
    assert one.val_rows == pytest.approx(4000, rel=0.06)
    both = set(rows_of(one, "test")) & set(rows_of(two, "test"))
    assert len(both) == pytest.approx(800, rel=0.15)  # a fifth of a fifth: the seeds are independent


def test_a_rating_falls_in_the_same_part_on_every_machine(tmp_path):
    _, parts = divided(planted(users=6, movies=6, ratings=30), tmp_path, test_fraction=0.3, val_fraction=0.3)
    assert {part: len(rows) for part, rows in parts.items()} == {"train": 19, "val": 4, "test": 7}
    assert [row[:2] for row in parts["test"]][:3] == [("u0", "m1"), ("u3", "m1"), ("u4", "m1")]


def test_the_same_split_made_twice_is_the_same_to_the_byte(tmp_path):
    one, _ = divided(planted(), tmp_path / "a")
    two, _ = divided(planted(), tmp_path / "b")
    assert one.digest == two.digest
    assert one.path.name == two.path.name
    for name in ("users.parquet", "movies.parquet"):
        assert sha256_of_file(one.path / name) == sha256_of_file(two.path / name)


def test_the_newest_ratings_of_each_user_are_tested_and_the_next_validated(tmp_path):
    rows = [("a", f"m{moment}", 3.0, moment) for moment in range(10)] + [("b", "m0", 4.0, 99)]
    _, parts = divided(rows, tmp_path, strategy="per_user_latest", test_fraction=0.2, val_fraction=0.25)
    assert [row[3] for row in parts["test"]] == [8, 9]
    assert [row[3] for row in parts["val"]] == [6, 7]
    assert ("b", "m0", 4.0, 99) in parts["train"]


def test_of_ratings_of_the_same_second_the_last_movie_ids_are_tested(tmp_path):
    rows = [("a", movie, 3.0, 7) for movie in ("9", "10", "b", "a")]
    _, parts = divided(rows, tmp_path, strategy="per_user_latest", test_fraction=0.25, val_fraction=0.34)
    assert [part[0][1] for part in (parts["test"], parts["val"])] == ["b", "a"]


@few
@given(rows=ratings_lists, test_fraction=st.floats(0.1, 0.95), val_fraction=st.floats(0.1, 0.95))
def test_every_user_keeps_a_rating_in_train_when_the_newest_are_tested(rows, test_fraction, val_fraction, tmp_path):
    given = {"strategy": "per_user_latest", "test_fraction": test_fraction, "val_fraction": val_fraction}
    try:
        _, parts = divided(rows, tmp_path, **given)
    except DataError:
        return  # a part would be empty
    assert {row[0] for row in parts["train"]} == {row[0] for row in rows}
    newest_trained = {row[0]: row[3] for row in sorted(parts["train"], key=lambda row: row[3])}
    assert all(row[3] >= newest_trained[row[0]] for row in parts["val"] + parts["test"])


def test_one_instant_divides_all_and_ties_at_it_are_tested(tmp_path):
    rows = [(f"u{moment}", f"m{place}", 3.0, moment) for moment in range(10) for place in range(3)]
    _, parts = divided(rows, tmp_path, strategy="temporal", test_fraction=0.25, val_fraction=0.1)
    assert {row[3] for row in parts["test"]} == {7, 8, 9}  # 8 of 30 wanted, 9 are as new
    assert {row[3] for row in parts["val"]} == {6}
    assert {row[3] for row in parts["train"]} == set(range(6))


def test_rare_users_are_left_out_first_and_then_rare_movies(tmp_path):
    rows = [(f"u{user}", f"m{movie}", 3.0) for user in range(20) for movie in range(10)]
    rows += [("rare", f"m{movie}", 1.0) for movie in range(3)]  # a user with 3 ratings
    rows += [("u0", "seldom", 1.0), ("rare", "seldom", 1.0)]  # 2 ratings; 1 once the user is gone
    ref, parts = divided(rows, tmp_path, min_ratings_per_user=5, min_ratings_per_movie=2)
    kept = parts["train"] + parts["val"] + parts["test"]
    assert (ref.dropped_rows, len(kept)) == (5, 200)
    assert {row[2] for row in kept} == {3.0}


def test_vocabulary_mean_and_range_come_from_train_alone(tmp_path):
    train = [(f"u{user}", f"m{movie}", 2.0 + user % 2) for user in range(10) for movie in range(10)]
    ref, parts = divided(train, tmp_path, test=[("only-tested", "m0", 5.0), ("u0", "only-tested", 0.5)])
    users, movies = load_vocabularies(ref)
    assert "only-tested" not in users.ids.to_pylist() + movies.ids.to_pylist()
    assert (ref.users, ref.movies, ref.rating_min, ref.rating_max) == (len(users), len(movies), 2.0, 3.0)
    assert ref.global_mean == pytest.approx(np.mean([row[2] for row in parts["train"]]))


def test_a_part_is_read_back_as_rows_of_the_vocabularies(tmp_path):
    train = [(f"u{user}", f"m{movie}", 3.0, 7) for user in range(9) for movie in range(9)]
    ref, parts = divided(train, tmp_path, test=[("new", "m0", 5.0, 8), ("u0", "new", 0.5, 9)])
    users, movies = load_vocabularies(ref)
    test = load_part(ref, "test", users=users, movies=movies)
    assert test.user_idx.tolist() == [-1, 0]
    assert test.movie_idx.tolist() == [0, -1]
    assert (test.rating.tolist(), test.timestamp.tolist()) == ([5.0, 0.5], [8, 9])
    assert [array.dtype for array in (test.user_idx, test.movie_idx, test.rating, test.timestamp)] == [
        np.int32,
        np.int32,
        np.float32,
        np.int64,
    ]
    assert load_part(ref, "test", users=users, movies=movies, timestamps=False).timestamp is None
    assert test[1:].user_idx.tolist() == [0]
    assert test[1:].timestamp.tolist() == [9]
    read = load_part(ref, "train", users=users, movies=movies)
    ids = zip(users.decode(read.user_idx), movies.decode(read.movie_idx), strict=True)
    assert sorted(ids) == sorted(row[:2] for row in parts["train"])


def test_parts_are_joined_and_their_vocabularies_too(tmp_path):
    ref, parts = divided(planted(), tmp_path)
    users, movies = load_vocabularies(ref, parts=("train", "val"))
    assert set(users.ids.to_pylist()) == {row[0] for row in parts["train"] + parts["val"]}
    joined = concatenate(*(load_part(ref, part, users=users, movies=movies) for part in ("train", "val")))
    assert len(joined) == ref.train_rows + ref.val_rows
    assert joined.user_idx.min() == 0
    assert joined.timestamp is not None


def test_parts_read_together_are_the_parts_and_share_their_memory(tmp_path):
    ref, _ = divided(planted(), tmp_path)
    users, movies = load_vocabularies(ref)
    together, parts = load_together(ref, ("train", "test"), users=users, movies=movies)
    assert list(parts) == ["train", "test"]
    assert len(together) == ref.train_rows + ref.test_rows
    for name, part in parts.items():
        alone = load_part(ref, name, users=users, movies=movies)
        for column in ("user_idx", "movie_idx", "rating"):
            assert getattr(part, column).tolist() == getattr(alone, column).tolist()
            assert np.shares_memory(getattr(part, column), getattr(together, column))
        assert part.timestamp is None


def test_a_part_carries_no_id_of_another_part(tmp_path):
    rows = [(f"u{n // 4}", f"m{n % 4}-{n // 40}", 3.0, n) for n in range(200)]
    ref, parts = divided(rows, tmp_path, strategy="temporal")
    users, movies = load_vocabularies(ref, parts=("train", "val"))
    assert set(users.ids.to_pylist()) == {row[0] for row in parts["train"] + parts["val"]}
    assert set(movies.ids.to_pylist()) == {row[1] for row in parts["train"] + parts["val"]}
    assert (load_part(ref, "test", users=users, movies=movies).user_idx == -1).any()


@pytest.mark.parametrize("name", ["train", "val", "test", "users", "movies"])
def test_a_split_that_lost_a_file_is_not_whole(tmp_path, name):
    ref, _ = divided(planted(), tmp_path)
    (ref.path / f"{name}.parquet").unlink()
    assert not is_whole(ref)


def test_without_timestamps_a_part_has_none(tmp_path):
    ref, _ = divided([row[:3] for row in planted()], tmp_path)
    users, movies = load_vocabularies(ref)
    assert load_part(ref, "val", users=users, movies=movies).timestamp is None


def test_the_data_set_is_left_as_it_was(tmp_path):
    data = stored(planted(), tmp_path)
    before = {path.name: path.stat().st_mtime_ns for path in data.path.iterdir()}
    split(data, SplitSettings(), folder=tmp_path / "data")
    assert is_whole(data)
    assert {path.name: path.stat().st_mtime_ns for path in data.path.iterdir()} == before


def test_an_equal_split_is_used_again_and_a_damaged_one_made_anew(tmp_path):
    first, _ = divided(planted(), tmp_path)
    assert divided(planted(), tmp_path)[0] == first
    manifest = json.loads((first.path / "manifest.json").read_text())
    assert sorted(manifest["sha256"]) == sorted(f"{name}.parquet" for name in (*PARTS, "users", "movies"))
    for name in ("train", "users"):
        (first.path / f"{name}.parquet").write_bytes(b"damaged")
        assert divided(planted(), tmp_path)[0].digest == first.digest
    assert divided(planted(), tmp_path, seed=5)[0].path != first.path


def test_the_ref_tells_what_was_split(tmp_path):
    data = ingest("synthetic:users=60,movies=40,ratings=900,noise=0.3", IngestSettings(), folder=tmp_path)
    records = []
    ref = split(data, SplitSettings(), folder=tmp_path, on_record=records.append)
    assert (ref.data_digest, ref.source, ref.strategy, ref.noise_floor) == (data.digest, data.source, "random", 0.3)
    assert ref.train_rows + ref.val_rows + ref.test_rows == 900
    assert is_whole(ref)
    assert records[-1] == RowsSplit(900, 1.0)


@pytest.mark.parametrize("strategy", ["per_user_latest", "temporal"])
def test_a_strategy_that_needs_timestamps_is_refused_without_them(strategy, tmp_path):
    with pytest.raises(DataError, match=rf"split.strategy = '{strategy}' needs timestamps.*split.strategy = 'random'"):
        divided([row[:3] for row in planted()], tmp_path, strategy=strategy)


def test_a_pair_in_both_predefined_files_is_refused_by_name(tmp_path):
    rows = planted()
    with pytest.raises(DataError, match=r"2 \(user, movie\) pairs are in both .* user 'u\d+' and movie 'm\d+'"):
        divided(rows, tmp_path, test=[*rows[:2], ("new", "new", 1.0, 0)])


@pytest.mark.parametrize(
    ("rows", "given", "message"),
    [
        ([("a", "m", 3.0, 1)], {}, r"leaves none of the 1 ratings in .*split\.\w+_fraction"),
        ([("a", "m", 3.0, 1), ("b", "m", 3.0, 1)], {"strategy": "temporal"}, "none of the 2 ratings in train"),
        ([("a", "m", 3.0, 1), ("b", "m", 3.0, 2)], {"strategy": "per_user_latest"}, "in val; raise split.val_fraction"),
        (planted(), {"test_fraction": 1e-9}, "in test; raise split.test_fraction"),
        (planted(), {"val_fraction": 1e-9}, "in val; raise split.val_fraction"),
        (
            planted(),
            {"min_ratings_per_user": 1000},
            r"none of the 300 ratings is left; lower split.min_ratings_per_user",
        ),
    ],
)
def test_an_empty_part_is_refused_with_the_setting_to_change(rows, given, message, tmp_path):
    with pytest.raises(DataError, match=message):
        divided(rows, tmp_path, **given)


def test_test_ratings_go_with_predefined_alone(tmp_path):
    data = stored(planted(), tmp_path)
    with pytest.raises(ConfigError, match=r"needs test ratings; set split.test_source"):
        split(data, SplitSettings(strategy="predefined", test_source="x"), folder=tmp_path)
    with pytest.raises(ConfigError, match="takes no test ratings"):
        split(data, SplitSettings(), folder=tmp_path, test=data)


def test_damaged_data_and_damaged_parts_are_refused(tmp_path):
    ref, _ = divided(planted(), tmp_path)
    users, movies = load_vocabularies(ref)
    table = pq.read_table(ref.path / "val.parquet")
    pq.write_table(pa.concat_tables([table, table]), ref.path / "val.parquet")
    with pytest.raises(DigestError, match="run the split again"):
        load_part(ref, "val", users=users, movies=movies)
    (ref.path / "val.parquet").unlink()
    with pytest.raises(DigestError, match=r"val.parquet: cannot be read"):
        load_part(ref, "val", users=users, movies=movies)
    data = stored(planted(), tmp_path)
    (data.path / "ratings.parquet").write_bytes(b"damaged")
    with pytest.raises(DigestError, match="ingest them again"):
        split(data, SplitSettings(seed=9), folder=tmp_path)


@pytest.mark.skipif("CFMODEL_DATA_DIR" not in os.environ, reason="CFMODEL_DATA_DIR is not set: no real ratings here")
def test_the_canonical_fold_gives_the_published_counts_and_global_mean_error(tmp_path):
    folder = Path(os.environ["CFMODEL_DATA_DIR"]) / "ml-100k"
    if not (folder / "u1.base").is_file():
        pytest.skip(f"{folder} holds no u1.base")
    train, test = (ingest(str(folder / f"u1.{name}"), IngestSettings(), folder=tmp_path) for name in ("base", "test"))
    asked = SplitSettings(strategy="predefined", test_source=str(folder / "u1.test"))
    ref = split(train, asked, folder=tmp_path, test=test)
    assert (ref.train_rows + ref.val_rows, ref.test_rows) == (80_000, 20_000)
    users, movies = load_vocabularies(ref, parts=("train", "val"))
    read = {part: load_part(ref, part, users=users, movies=movies) for part in PARTS}
    mean = concatenate(read["train"], read["val"]).rating.mean(dtype=np.float64)
    assert np.sqrt(np.mean((read["test"].rating - mean) ** 2)) == pytest.approx(1.1537, abs=5e-5)
