"""Reading of files block by block, in every format."""

import gzip
import json
from typing import get_args

import pyarrow as pa
import pytest
from refusals import remedy_of

from cfmodel.data.formats.sniff import FileFormat
from cfmodel.data.reading.read_file import READERS
from cfmodel.errors import DataError

ROWS = [("1", "31", 2.5, 1260759144), ("007", "31", 4.0, 1260759179), ("7", "b,c", 5.0, 1260759180)]


def text(separator, header="", rows=ROWS):
    quoted = [(user, f'"{movie}"' if separator in movie else movie, *rest) for user, movie, *rest in rows]
    return header + "".join(separator.join(str(field) for field in row) + "\n" for row in quoted)


JSON_LINES = "".join(
    json.dumps({"user": user, "asin": movie, "overall": rating, "ts": moment, "text": "a\nb"}) + "\n"
    for user, movie, rating, moment in [(1, 31, 2.5, 1260759144), *ROWS[1:]]
)

FILES = {
    "ratings.csv": text(",", "userId,movieId,rating,timestamp\n"),
    "excel.csv": "\ufeff" + text(";", "User-ID;ISBN;Book-Rating;Date\n").replace("\n", "\r\n"),
    "ratings.tsv": text("\t", "user_id\titem_id\tstars\ttime\n"),
    "u.data": text("\t"),
    "u1.base": text("\t"),
    "ratings.dat": text("::"),
    "bars.txt": text("|"),
    "headless.csv": text(","),
    "lines.jsonl": JSON_LINES,
    "no-last-newline.csv": text(",", "userId,movieId,rating,timestamp\n").rstrip("\n"),
    "more-columns.csv": "review,uid,product_id,score,ts\n"
    + "".join(f'"good, ""bad""\nand so on",{u},"{m}",{r},{t}\n' for u, m, r, t in ROWS),
}


@pytest.mark.parametrize("packed", ["", ".gz", ".zst"])
@pytest.mark.parametrize("name", FILES)
def test_every_format_gives_the_same_ratings(name, packed, read, write):
    content = FILES[name].encode()
    if packed:
        content = gzip.compress(content) if packed == ".gz" else pa.compress(content, codec="zstd", asbytes=True)
    ref, rows = read(write(name + packed, content))
    assert rows == ROWS
    assert (ref.rows, ref.users, ref.movies, ref.rating_min, ref.rating_max) == (3, 3, 2, 2.5, 5.0)
    assert ref.has_timestamps
    assert ref.noise_floor is None


def test_row_numbers_of_later_blocks_count_from_the_start_of_the_file(read, write, monkeypatch):
    monkeypatch.setattr("cfmodel.data.formats.compressed.BLOCK_BYTES", 100)
    good, bad = "".join(f"{user},2,3\n" for user in range(500)), "1,2,x\n"
    write("set/a.csv", good)
    path = write("set/b.csv", good + bad)
    with pytest.raises(DataError, match=r"^b.csv, row 501: rating 'x'"):
        read(path.parent)


def test_each_kind_of_file_has_a_reader():
    assert set(READERS) == set(get_args(FileFormat.__annotations__["kind"]))


@remedy_of("cfmodel/data/reading/read_file.py", "is another header")
@pytest.mark.parametrize("on_bad_row", ["stop", "quarantine"])
@pytest.mark.parametrize(("first", "second"), [("user,item,rating\n", "item,user,rating"), ("", "rating,user,movie")])
def test_another_header_further_down_ends_the_run_since_no_row_below_it_would_be_right(
    first, second, on_bad_row, read, write
):
    above, below = "".join(f"{at},1,3\n" for at in range(300)), "4,5,2\n3,6,4\n"
    path = write("x.csv", f"{first}{above}{second}\n{below}")
    with pytest.raises(DataError, match=rf"row 301: is another header, '{second}'.* file of their own") as told:
        read(path, on_bad_row=on_bad_row)
    assert ("write a header above the first row" in str(told.value)) == (not first)
    write("set/a.csv", f"{first or 'user,movie,rating' + chr(10)}{above}")
    path = write("set/b.csv", f"{second}\n{below}")
    assert len(read(path.parent)[1]) == 302
