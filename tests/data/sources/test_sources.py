"""Sources by name: files, folders, globs and public data sets."""

import gzip
import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cfmodel.config import IngestSettings
from cfmodel.data.ingest.ingest import ingest
from cfmodel.errors import DataError


def files_of(ref):
    return [file["name"] for file in json.loads((ref.path / "manifest.json").read_text())["files"]]


@pytest.mark.parametrize("pattern", ["*.csv", ""])
def test_a_glob_and_a_folder_are_read_in_order_of_names(pattern, read, write, tmp_path):
    write("set/b.csv", "user,item,rating\n3,1,1\n")
    write("set/a.csv", "2,1,1\n")
    write("set/.hidden.csv", "x")
    write("set/README", "x")
    _, rows = read(tmp_path / "set" / pattern)
    assert [row[0] for row in rows] == ["2", "3"]


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("ratings.csv", "movies.csv"),
        ("ratings.csv", "links.csv"),
        ("ratings.csv.gz", "tags.csv"),
        ("ratings.dat", "movies.dat"),
        ("ratings.dat", "users.dat"),
        ("u.data", "u.item"),
        ("u.data.gz", "u.item.gz"),
    ],
)
def test_in_a_movielens_folder_only_the_ratings_file_is_read(name, other, read, write, tmp_path):
    content = b"1::2::3\n"
    write(f"set/{name}", gzip.compress(content) if name.endswith(".gz") else content)
    write(f"set/{other}", "movieId,title\n1,x\n")
    write("set/README.txt", "x")
    ref, rows = read(tmp_path / "set")
    assert rows == [("1", "2", 3.0, None)]
    assert files_of(ref) == [name]


@pytest.mark.parametrize("name", ["ratings.csv", "ratings.dat", "u.data", "ratings.parquet"])
def test_in_any_other_folder_every_file_is_read_and_named(name, read, write, tmp_path):
    if name.endswith("parquet"):
        (tmp_path / "set").mkdir()
        pq.write_table(pa.table({"user": ["1"], "item": ["2"], "rating": [3]}), tmp_path / "set" / name)
    else:
        write(f"set/{name}", "1::2::3\n")
    write("set/ratings-2024.csv", "3,4,5\n")
    ref, rows = read(tmp_path / "set")
    assert sorted(row[0] for row in rows) == ["1", "3"]
    assert files_of(ref) == sorted([name, "ratings-2024.csv"])


@pytest.mark.parametrize("source", ["nowhere.csv", "nowhere/*.csv", "ml-99m", "~nobody-at-all/x.csv"])
def test_a_missing_source_is_refused_with_what_can_be_given(source, read):
    with pytest.raises(
        DataError, match="no such file, folder or glob; give one, `synthetic`, or a public data set: ml-100k"
    ):
        read(source)


def test_a_folder_without_ratings_is_refused_with_what_it_holds(read, write):
    path = write("set/notes.pdf", "x")
    with pytest.raises(DataError, match=r"no file of ratings .* it holds notes.pdf"):
        read(path.parent)


@pytest.mark.skipif("CFMODEL_DATA_DIR" not in os.environ, reason="CFMODEL_DATA_DIR is not set: no real ratings here")
@pytest.mark.parametrize(
    ("name", "expected"), [("ml-100k", (100_000, 943, 1682)), ("ml-latest-small", (100_004, 671, 9066))]
)
def test_an_unpacked_data_set_is_found_by_name(name, expected, tmp_path):
    if not (Path(os.environ["CFMODEL_DATA_DIR"]) / name).is_dir():
        pytest.skip(f"CFMODEL_DATA_DIR holds no {name}")
    ref = ingest(name, IngestSettings(), folder=tmp_path)
    assert (ref.rows, ref.users, ref.movies) == expected
    assert not (tmp_path / "downloads").exists()


def test_nested_folders_of_parquet_parts_are_read(read, tmp_path):
    for place, part in enumerate(("day=1/part-0.parquet", "day=1/part-1.parquet", "day=2/deep/part-0.parquet")):
        path = tmp_path / "set" / part
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"user": [f"u{place}"], "item": [place], "rating": [1.0]}), path)
    (tmp_path / "set" / "_SUCCESS").touch()
    (tmp_path / "set" / "day=1" / "_temporary.csv").write_text("x")
    rows = read(tmp_path / "set")[1]
    assert [row[0] for row in rows] == ["u0", "u1", "u2"]


@pytest.mark.parametrize("pattern", ["", "a[1].csv", "*.csv", "[ab]*.csv", "**/*.csv"])
def test_brackets_in_the_name_of_what_exists_are_no_pattern(pattern, read, write, tmp_path):
    write("all [old]/a[1].csv", "7,a,3\n")
    write("all o/b.csv", "8,a,3\n")
    assert [row[0] for row in read(tmp_path / "all [old]" / pattern)[1]] == ["7"]
    assert [row[0] for row in read(tmp_path / "all [o]" / "b*")[1]] == ["8"]


def test_in_a_recbole_folder_only_the_interactions_are_read(read, write):
    write("set/toy.inter", "user_id:token\titem_id:token\trating:float\n7\ta\t3\n")
    write("set/toy.user", "user_id:token\tage:token\n7\t30\n")
    write("set/toy.item", "item_id:token\ttitle:token_seq\na\tA\n")
    path = write("set/README.txt", "x")
    ref, rows = read(path.parent)
    assert rows == [("7", "a", 3.0, None)]
    assert files_of(ref) == ["toy.inter"]


def test_empty_parts_of_a_folder_hold_no_rows(read, write):
    write("set/_SUCCESS", "")
    write("set/.part-00000.csv.crc", b"crc\0\1\2")
    write("set/part-00000.csv", "")
    write("set/part-00001.csv", "user_id,movie_id,rating\n7,a,3\n")
    write("set/part-00002.csv.gz", gzip.compress(b""))
    write("set/part-00003.csv", "user_id,movie_id,rating")
    path = write("set/part-00004.csv", b"\xef\xbb\xbf\r\n")
    assert read(path.parent)[1] == [("7", "a", 3.0, None)]


@pytest.mark.parametrize(
    ("mark", "kind"),
    [("_delta_log/0.json", "a Delta"), (".hoodie/x", "a Hudi"), ("metadata/v1.metadata.json", "an Iceberg")],
)
def test_a_table_with_a_history_is_refused_since_its_folder_holds_old_rows(mark, kind, read, write, tmp_path):
    write("set/part-0.csv", "7,a,3\n")
    write(f"set/{mark}", "{}")
    with pytest.raises(
        DataError, match=f"set: is {kind} table, whose folder also holds rows that were replaced; write"
    ):
        read(tmp_path / "set")


@pytest.mark.parametrize("name", ["part-00000", "part-m-00001", "000000_0"])
def test_parts_without_an_ending_are_read_as_hadoop_names_them(name, read, write):
    write("set/_SUCCESS", "")
    write("set/README", "x")
    assert read(write(f"set/{name}", "7,a,3\n").parent)[1] == [("7", "a", 3.0, None)]


def test_the_remedy_for_a_folder_of_unknown_endings_works(read, write, tmp_path):
    path = write("set/ratings_0000_part_00", "7|a|3\n")
    with pytest.raises(DataError, match=r"it holds ratings_0000_part_00; .* give a glob of them, such as '.*/set/\*'"):
        read(path.parent)
    assert len(read(f"{path.parent}/*")[1]) == 1
