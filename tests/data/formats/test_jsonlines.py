"""JSON lines: fields, ids as text, and bad lines."""

import pytest

from cfmodel.config import ColumnNames
from cfmodel.errors import DataError


def test_json_ids_may_be_numbers_in_one_line_and_text_in_another(read, write):
    path = write("x.jsonl", f'{{"user":7,"item":{2**70},"rating":1}}\n\n{{"rating":"2.5","user":"007","item":3.0}}\n')
    assert read(path)[1] == [("7", str(2**70), 1.0, None), ("007", "3", 2.5, None)]


def test_a_json_field_may_first_appear_in_a_later_object_of_the_first_block(read, write):
    path = write("x.jsonl", '{"user":1,"item":2,"rating":3}\n{"user":1,"item":3,"rating":4,"timestamp":5}\n')
    with pytest.raises(DataError, match=r"^x.jsonl, row 1: timestamp is missing; .* ingest.columns.timestamp = ''"):
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
