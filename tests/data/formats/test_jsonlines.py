"""JSON lines: fields, ids as text, and bad lines."""

import pytest

from cfmodel.config import ColumnNames
from cfmodel.errors import DataError


def test_json_ids_may_be_numbers_in_one_line_and_text_in_another(read, write):
    path = write("x.jsonl", f'{{"user":7,"item":{2**70},"rating":1}}\n\n{{"rating":"2.5","user":"007","item":3.0}}\n')
    assert read(path)[1] == [("7", str(2**70), 1.0, None), ("007", "3", 2.5, None)]


def test_a_json_field_may_first_appear_in_a_later_object_of_the_first_block(read, write):
    path = write("x.jsonl", '{"user":1,"item":2,"rating":3}\n{"user":1,"item":3,"rating":4,"timestamp":5}\n')
    with pytest.raises(DataError, match=r"^x.jsonl, row 1: timestamp is missing; .* --set ingest.columns.timestamp="):
        read(path)
    assert len(read(path, columns=ColumnNames(timestamp=""))[1]) == 2


@pytest.mark.parametrize("number", ["7", "7.0", "7.00", "7e0", '"7"'])
def test_a_whole_json_number_is_its_decimal_text(number, read, write):
    path = write("x.jsonl", f'{{"user":{number},"item":"2.5","rating":3.5}}\n')
    assert read(path)[1] == [("7", "2.5", 3.5, None)]


def test_blanks_are_part_of_a_json_id(read, write):
    assert read(write("x.jsonl", '{"user":" 7","item":"a b","rating":3}\n'))[1] == [(" 7", "a b", 3.0, None)]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{oops}", "is not one JSON object: '{oops}'"),
        ('{"user":1,"item":2,"rating":3},{}', "is not one JSON object"),
        ("[1]", "is not one JSON object"),
        ('{"user":1,"rating":3}', "movie_id is empty"),
        ('{"user":{"id":1},"item":2,"rating":3}', "user_id {'id': '1'} is neither text nor a number"),
        ('{"user":1,"item":2,"rating":NaN}', "rating is empty"),
        ('{"user":2.5,"item":2,"rating":3}', "user_id 2.5 is not a whole number; correct or remove the row"),
        ('{"user":1,"item":NaN,"rating":3}', "movie_id is empty"),
        ('{"user":1,"item":9007199254740993.5,"rating":3}', "movie_id 9007199254740993.5 is not a whole number"),
        ('{"user":1,"item":2}', "rating is empty"),
    ],
)
def test_a_bad_json_line_is_refused_with_its_row(line, problem, read, write):
    with pytest.raises(DataError, match=rf"^x.jsonl, row 2: {problem}".replace("{", r"\{").replace("[", r"\[")):
        read(write("x.jsonl", f'{{"user":1,"item":2,"rating":3}}\n{line}\n'))


@pytest.mark.parametrize(
    ("user", "item", "rating", "moment"),
    [
        ('{"$numberLong":"9007199254740993"}', '"m"', '{"$numberDouble":"4.5"}', '{"$date":"2020-01-01T00:00:00Z"}'),
        ('{"$numberInt":"9007199254740993"}', '{"$symbol":"m"}', "4.5", '{"$date":{"$numberLong":"1577836800000"}}'),
        ("9007199254740993", '{"$oid":"m"}', '{"$numberDecimal":"4.50"}', '{"$date":1577836800000}'),
        ('{"$numberDecimal":"9007199254740993"}', '{"$uuid":"m"}', '"4.5"', '{"$numberLong":"1577836800"}'),
    ],
)
def test_a_value_of_mongodbs_extended_json_is_one_value(user, item, rating, moment, read, write):
    line = f'{{"_id":{{"$oid":"5f"}},"user":{user},"item":{item},"rating":{rating},"timestamp":{moment}}}\n'
    assert read(write("x.json", line))[1] == [("9007199254740993", "m", 4.5, 1_577_836_800)]


def test_extended_json_that_is_no_rating_is_a_bad_row(read, write):
    lines = [
        '{"user":1,"item":2,"rating":{"$numberDouble":"NaN"}}',
        '{"user":1,"item":2,"rating":{"$numberDouble":"-Infinity"}}',
        '{"user":{"$numberDouble":"1.5"},"item":2,"rating":3}',
        '{"user":{"$numberLong":"1","more":2},"item":2,"rating":3}',
        '{"user":{"$ref":"users"},"item":2,"rating":3}',
    ]
    path = write("x.json", '{"user":1,"item":2,"rating":3}\n' + "\n".join(lines))
    ref, rows = read(path, on_bad_row="quarantine", max_bad_fraction=1)
    assert (len(rows), ref.accounts.quarantined) == (1, 5)
