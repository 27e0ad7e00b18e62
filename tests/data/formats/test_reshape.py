"""Texts whose rows are not lines: sections, paragraphs, and JSON objects in an array or over several lines."""

import json

import pytest

from cfmodel.data.formats.reshape import as_rows, shape_of
from cfmodel.errors import DataError


@pytest.fixture(params=[11, 4_000_000])
def blocks_of(request, monkeypatch):
    """Read in small blocks, then in large ones."""
    monkeypatch.setattr("cfmodel.data.formats.compressed.BLOCK_BYTES", request.param)


NETFLIX = "7:\n1801,3,2005-09-06\n1802,5,2005-05-13\n12:\n1801,4,2005-10-19\n1803,1,2004-04-22\n"
RATED = [
    ("1801", "7", 3.0, 1_125_964_800),
    ("1802", "7", 5.0, 1_115_942_400),
    ("1801", "12", 4.0, 1_129_680_000),
    ("1803", "12", 1.0, 1_082_592_000),
]


@pytest.mark.usefixtures("blocks_of")
@pytest.mark.parametrize(
    "text",
    [
        NETFLIX,
        NETFLIX.rstrip("\n"),
        NETFLIX.replace("\n", "\r\n"),
        NETFLIX.replace(",", "\t"),
        NETFLIX.replace(",", ";"),
        NETFLIX.replace("12:", "\n9:\n12: "),
    ],
)
def test_rows_below_the_name_of_their_movie_are_ratings_of_it(text, read, write):
    ref, rows = read(write("x.txt", text))
    assert rows == RATED
    assert ref.accounts.rows_in == 4


def test_a_bad_row_below_the_name_of_a_movie_has_its_number(read, write):
    with pytest.raises(DataError, match=r"^x.txt, row 3: rating 'x' is not a number"):
        read(write("x.txt", NETFLIX.replace("1801,4", "1801,x")))


@pytest.mark.usefixtures("blocks_of")
def test_rows_below_the_name_of_their_user_are_ratings_by_them(read, write):
    """As in KDD Cup 2011: `user|number of ratings`, then movie, rating, day and time of day."""
    path = write("x.txt", "0|2\n507\t90\t3\t12:33:00\n21\t0\t3\t12:34:00\n1|1\n507\t50\t4\t01:02:03\n")
    assert read(path)[1] == [("0", "507", 90.0, None), ("0", "21", 0.0, None), ("1", "507", 50.0, None)]


REVIEWS = """product/productId: B001
review/userId: A3
review/profileName: d "x" y
review/score: 5.0
review/time: 1303862400
review/text: good: better, best

product/productId: B002
review/userId: A4
review/score: 3.0
review/time: 1303862401
review/text:
"""


@pytest.mark.usefixtures("blocks_of")
@pytest.mark.parametrize("text", [REVIEWS, REVIEWS.replace("\n\n", "\n"), REVIEWS.replace("\n", "\r\n") + "\r\n \r\n"])
def test_a_paragraph_of_keys_and_values_is_a_rating(text, read, write):
    assert read(write("x.txt", text))[1] == [
        ("A3", "B001", 5.0, 1_303_862_400),
        ("A4", "B002", 3.0, 1_303_862_401),
    ]


def test_a_paragraph_that_is_no_rating_is_a_bad_row(read, write):
    text = REVIEWS + "\nreview/userId: A5\nreview/score: 2\n\nonly words\n\n" + REVIEWS.replace("A", "C")
    with pytest.raises(DataError, match="row 3: movie_id is empty"):
        read(write("x.txt", text.replace("review/time", "review/then")))
    ref, rows = read(write("x.txt", text), on_bad_row="quarantine", max_bad_fraction=1)
    assert [row[0] for row in rows] == ["A3", "A4", "C3", "C4"]
    assert ref.accounts.quarantined == 2


def test_paragraphs_without_blank_lines_are_cut_where_the_first_key_comes_again(monkeypatch):
    monkeypatch.setattr("cfmodel.data.formats.reshape._MOST_BYTES", 50)
    text = "".join(f"user: {user}\nitem: a\nrating: 3\n" for user in range(30)).encode()
    blocks = (text[at : at + 40] for at in range(0, len(text), 40))
    rows = b"".join(as_rows(blocks, "paragraphs", "", file="x")).decode().splitlines()
    assert [json.loads(row) for row in rows] == [{"user": str(at), "item": "a", "rating": "3"} for at in range(30)]


OBJECTS = [{"user": 7, "item": "a }, {", "rating": 3.5}, {"user": "josé", "item": "b\n]", "rating": 4, "more": [{}, 1]}]


@pytest.mark.usefixtures("blocks_of")
@pytest.mark.parametrize(
    "text",
    [
        json.dumps(OBJECTS),
        json.dumps(OBJECTS, indent=2, ensure_ascii=False),
        "[\n" + ",\n".join(map(json.dumps, OBJECTS)) + "\n]\n",
        "\n".join(json.dumps(row, indent="\t") for row in OBJECTS),
        json.dumps(OBJECTS, indent=1).replace("\n", "\r\n"),
        ",\n".join(map(json.dumps, OBJECTS)),
        "".join(map(json.dumps, OBJECTS)),
        "".join(f"\x1e{json.dumps(row)}\n" for row in OBJECTS),
    ],
)
def test_json_objects_are_ratings_whatever_is_between_them(text, read, write):
    assert read(write("x.json", text))[1] == [("7", "a }, {", 3.5, None), ("josé", "b\n]", 4.0, None)]


@pytest.mark.usefixtures("blocks_of")
@pytest.mark.parametrize("bad", ['{"user":2,"item":2,"rating":}', '{"user":2,"item":"2"', '{"user":\0}', "oops"])
def test_an_object_that_is_no_json_is_one_bad_row(bad, read, write):
    path = write("x.json", f'[{{"user":1,"item":2,"rating":3}},\n{bad}}},\n{{"user":3,"item":2,"rating":3}}]')
    ref, rows = read(path, on_bad_row="quarantine", max_bad_fraction=1)
    assert [row[0] for row in rows] == ["1", "3"]
    assert ref.accounts.quarantined == 1


def test_a_truncated_array_has_a_bad_last_row(read, write):
    with pytest.raises(DataError, match=r"x.json, row 2: is not one JSON object: '{\"user\": \"jos"):
        read(write("x.json", json.dumps(OBJECTS)[:-20]))


@pytest.mark.parametrize("lines", [["1,2,3"], ["a: b", "1,2,3", "4,5,6"], ["5|3", "7|3"], ['{"user":1}'], ["7:", "8:"]])
def test_lines_that_are_rows_have_no_shape(lines):
    assert shape_of(lines) is None


@pytest.mark.usefixtures("blocks_of")
def test_a_quote_after_a_backslash_is_one_within_quotes(read, write):
    """As Spark and MySQL write them: a backslash stands before a quote or a backslash."""
    text = 'user,movie,rating\n7,"Say \\"Hi, there\\"",3\n8,"a\\\\b\\n",4\n9,"5\\"",5\n1,"c\nd \\"e\\" f",2\n'
    movies = ['Say "Hi, there"', "a\\b\\n", '5"', 'c\nd "e" f']
    assert [row[1] for row in read(write("x.csv", text))[1]] == movies


def test_a_backslash_at_the_end_of_a_field_is_text(read, write):
    path = write("x.csv", 'user,movie,rating\n7,"C:\\",3\n8,"a ""b""\\""",4\n')
    assert [row[1] for row in read(path)[1]] == ["C:\\", 'a "b"\\"']


def test_a_backslash_before_a_quote_is_seen_below_the_first_hundred_rows(read, write):
    rows = "".join(f'"{user}";"b";"5"\n' for user in range(300))
    path = write("x.csv", f'"User-ID";"ISBN";"Book-Rating"\n{rows}"300";"\\"0432534220\\"";"6"\n')
    assert read(path)[1][-1][:2] == ("300", '"0432534220"')
