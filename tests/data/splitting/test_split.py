"""Splitting of data sets: reuse by content, what is written, and what is refused."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from small_splits import PARTS, divide, random_rows, store

from cfmodel.config import IngestSettings, SplitSettings
from cfmodel.data.ingest.ingest import ingest
from cfmodel.data.splitting.parts import concatenate, load_part, load_vocabularies
from cfmodel.data.splitting.split import RowsSplit, split
from cfmodel.data.storage import is_whole
from cfmodel.errors import ConfigError, DataError
from cfmodel.housekeeping.folders import last_used
from cfmodel.system.digests import sha256_of_file


def test_the_same_split_twice_is_equal_to_the_byte(tmp_path):
    one, _ = divide(random_rows(), tmp_path / "a")
    two, _ = divide(random_rows(), tmp_path / "b")
    assert one.digest == two.digest
    assert one.path.name == two.path.name
    for name in ("users.parquet", "movies.parquet"):
        assert sha256_of_file(one.path / name) == sha256_of_file(two.path / name)


def test_rare_users_are_dropped_first_and_then_rare_movies(tmp_path):
    rows = [(f"u{user}", f"m{movie}", 3.0) for user in range(20) for movie in range(10)]
    rows += [("rare", f"m{movie}", 1.0) for movie in range(3)]  # a user with 3 ratings
    rows += [("u0", "seldom", 1.0), ("rare", "seldom", 1.0)]  # 2 ratings; 1 once the user is gone
    ref, parts = divide(rows, tmp_path, min_ratings_per_user=5, min_ratings_per_movie=2)
    kept = parts["train"] + parts["val"] + parts["test"]
    assert (ref.dropped_rows, len(kept)) == (5, 200)
    assert {row[2] for row in kept} == {3.0}


def test_vocabulary_mean_and_range_come_only_from_train(tmp_path):
    train = [(f"u{user}", f"m{movie}", 2.0 + user % 2) for user in range(10) for movie in range(10)]
    ref, parts = divide(train, tmp_path, test=[("only-tested", "m0", 5.0), ("u0", "only-tested", 0.5)])
    users, movies = load_vocabularies(ref)
    assert "only-tested" not in users.ids.to_pylist() + movies.ids.to_pylist()
    assert (ref.users, ref.movies, ref.rating_min, ref.rating_max) == (len(users), len(movies), 2.0, 3.0)
    assert ref.global_mean == pytest.approx(np.mean([row[2] for row in parts["train"]]))


def test_the_data_set_is_not_changed(tmp_path):
    data = store(random_rows(), tmp_path)
    before = {path.name: path.stat().st_mtime_ns for path in data.path.iterdir()}
    split(data, SplitSettings(), folder=tmp_path / "data")
    assert is_whole(data)
    assert {path.name: path.stat().st_mtime_ns for path in data.path.iterdir()} == before


def test_an_equal_split_is_reused_and_a_damaged_one_is_made_again(tmp_path):
    first, _ = divide(random_rows(), tmp_path)
    assert divide(random_rows(), tmp_path)[0] == first
    manifest = json.loads((first.path / "manifest.json").read_text())
    assert sorted(manifest["sha256"]) == sorted(f"{name}.parquet" for name in (*PARTS, "users", "movies"))
    for name in ("train", "users"):
        (first.path / f"{name}.parquet").write_bytes(b"damaged")
        assert divide(random_rows(), tmp_path)[0].digest == first.digest
    assert divide(random_rows(), tmp_path, seed=5)[0].path != first.path


def test_a_ref_says_whether_its_split_was_reused(tmp_path):
    first, again = divide(random_rows(), tmp_path)[0], divide(random_rows(), tmp_path)[0]
    assert (first.reused, again.reused) == (False, True)
    (first.path / "val.parquet").write_bytes(b"damaged")
    made_again = divide(random_rows(), tmp_path)[0]
    assert not made_again.reused
    assert made_again.data.reused
    assert "reused" not in (first.path / "manifest.json").read_text()


def test_a_reused_split_counts_as_just_used(tmp_path):
    folder = divide(random_rows(), tmp_path)[0].path
    for each in (*folder.iterdir(), folder):
        os.utime(each, (0, 0))
    divide(random_rows(), tmp_path)
    assert last_used(folder).year > 1970


def test_the_ref_describes_the_split(tmp_path):
    data = ingest("synthetic:users=60,movies=40,ratings=900,noise=0.3", IngestSettings(), folder=tmp_path)
    records = []
    ref = split(data, SplitSettings(), folder=tmp_path, on_record=records.append)
    assert (ref.data_digest, ref.source, ref.strategy, ref.noise_floor) == (data.digest, data.source, "random", 0.3)
    assert ref.train_rows + ref.val_rows + ref.test_rows == 900
    assert is_whole(ref)
    assert records[-1] == RowsSplit(900, 1.0)


def test_a_pair_in_both_predefined_files_is_refused_with_its_ids(tmp_path):
    rows = random_rows()
    with pytest.raises(DataError, match=r"2 \(user, movie\) pairs are in both .* user 'u\d+' and movie 'm\d+'"):
        divide(rows, tmp_path, test=[*rows[:2], ("new", "new", 1.0, 0)])


@pytest.mark.parametrize(
    ("rows", "given", "message"),
    [
        ([("a", "m", 3.0, 1)], {}, r"puts none of the 1 ratings in .* need at least 3 ratings"),
        (random_rows(), {"test_fraction": 1e-9}, "in test; raise split.test_fraction"),
        (random_rows(), {"val_fraction": 1e-9}, "in val; raise split.val_fraction"),
        (
            random_rows(),
            {"min_ratings_per_user": 1000},
            r"none of the 300 ratings is left; lower split.min_ratings_per_user",
        ),
    ],
)
def test_an_empty_part_is_refused_with_the_setting_to_change(rows, given, message, tmp_path):
    with pytest.raises(DataError, match=message):
        divide(rows, tmp_path, **given)


def test_test_ratings_are_allowed_only_with_predefined(tmp_path):
    data = store(random_rows(), tmp_path)
    with pytest.raises(ConfigError, match=r"needs test ratings; set split.test_source"):
        split(data, SplitSettings(strategy="predefined", test_source="x"), folder=tmp_path)
    with pytest.raises(ConfigError, match="takes no test ratings"):
        split(data, SplitSettings(), folder=tmp_path, test=data)


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
