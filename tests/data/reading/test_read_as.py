"""The line that says what a source was taken for."""

import json

import pyarrow as pa
import pyarrow.parquet as pq

from cfmodel.data.ingest.profile import read_profile
from cfmodel.data.reading.read_as import read_as

CHANGE = " (set ingest.columns to change)"


def test_every_kind_of_file_says_what_it_was_taken_for(read, write, tmp_path):
    columns = {"user": ["é"], "item": [2], "rating": [3.0], "time": pa.array([10**12], pa.timestamp("us"))}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    lines = {
        write("a.csv", "userId,movieId,rating,timestamp,x\n1,2,3,1260759144000,y\n"): (
            "header; 'userId' user, 'movieId' movie, 'rating' rating, 'timestamp' milliseconds, 1 not used; "
            "utf-8, comma"
        ),
        write("b.dat", "é::2::3::1260759144\n".encode("latin-1")): (
            "no header; column 1 user, 2 movie, 3 rating, 4 seconds; latin-1, '::'"
        ),
        write("c.tsv", "1\t2\t3\n"): "no header; column 1 user, 2 movie, 3 rating, no times; utf-8, tab",
        write("d.jsonl", json.dumps({"stars": 3, "user_id": "a", "business_id": "b", "date": "2015-11-17"}) + "\n"): (
            "JSON lines; 'user_id' user, 'business_id' movie, 'stars' rating, 'date' ISO 8601; utf-8"
        ),
        tmp_path / "a.parquet": (
            "Parquet; 'user' user, 'item' movie, 'rating' rating, 'time' timestamps without a time zone, taken as UTC"
        ),
    }
    for path, line in lines.items():
        ref, _ = read(path)
        assert ref.read_as == f"read as: {line}{CHANGE}"
        assert read_profile(ref.path).read_as == ref.read_as


def test_a_wide_table_says_its_users_and_movies(read, write):
    ref, _ = read(write("x.csv", "user,a,b,c\nu1,1.5,2,-3\n"), layout="wide")
    assert ref.read_as == f"read as: header; wide, 'user' user, 3 movies from 'a' to 'c'; utf-8, comma{CHANGE}"


def test_several_files_are_one_line_which_says_where_they_differ(read, write):
    assert read_as([("a", "x"), ("b", "x")]) == f"read as: x{CHANGE}"
    assert read_as([("a", "x"), ("b", "y"), ("c", "x")]) == f"read as: a and 1 more: x | b: y{CHANGE}"
    write("set/a.csv", "user,item,rating,time\n1,2,3,1260759144\n")
    path = write("set/b.tsv", "user\titem\trating\ttime\n1\t3\t3\t1260759144123\n")
    line = read(path.parent)[0].read_as
    assert line.startswith("read as: a.csv: header; ")
    assert " seconds; utf-8, comma | b.tsv: header; " in line
    assert line.endswith(f" milliseconds; utf-8, tab{CHANGE}")


def test_a_reused_data_set_still_says_what_it_was_taken_for(read, write):
    path = write("x.csv", "1,2,3\n")
    first, again = read(path)[0], read(path)[0]
    assert again.reused
    assert (again.read_as, again.warnings) == (first.read_as, first.warnings)
    assert first.warnings
