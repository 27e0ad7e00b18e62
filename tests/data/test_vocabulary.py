"""Vocabularies: ids to rows and back."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from cfmodel.data.vocabulary import Vocabulary
from cfmodel.errors import DataError, VocabularyError


def test_ids_are_distinct_and_sorted_bytewise():
    assert Vocabulary.of(["b", "9", "10", "é", "a", "9"]).ids.to_pylist() == ["10", "9", "a", "b", "é"]


@pytest.mark.parametrize(
    "ids",
    [
        [7, "007", "x"],
        pa.array(["7", "007", "x"]),
        pa.chunked_array([["7"], ["007", "x"]]),
        pa.array(["7", "007", "x"]).dictionary_encode(),
        np.array(["7", "007", "x"]),
        np.array([7, "007", "x"], dtype=object),
        pd.Series(["7", "007", "x"]),
        pd.Series([7, "007", "x"], dtype=object),
    ],
    ids=["list", "array", "chunked", "dictionary", "numpy", "objects", "series", "series-of-objects"],
)
def test_an_integer_is_its_decimal_text_and_an_unknown_id_is_minus_one(ids):
    assert Vocabulary.of(["7", "8", "x"]).encode(ids).tolist() == [0, -1, 2]


@pytest.mark.parametrize("ids", [[7, 9], np.array([7, 9], np.int32), pd.Series([7, 9]), pa.array([7, 9])])
def test_integers_of_any_kind_are_encoded(ids):
    rows = Vocabulary.of(["7", "007"]).encode(ids)
    assert rows.tolist() == [1, -1]
    assert rows.dtype == np.int32


def test_large_integers_keep_every_digit():
    vocabulary = Vocabulary.of([9007199254740993, 9007199254740992])
    assert vocabulary.row_of(9007199254740993) == 1
    assert Vocabulary.of([2**80, 1]).row_of(2**80) == 1


def test_no_ids_give_no_rows():
    assert Vocabulary.of(["a"]).encode([]).tolist() == []
    assert len(Vocabulary.of([])) == 0


@pytest.mark.parametrize(
    "ids",
    [
        ["a", None],
        ["a", float("nan")],
        ["a", pd.NA],
        pd.Series(["a", None]),
        pd.Series(["a", pd.NA], dtype="string"),
        pd.Series(["a", None], dtype="category"),
        pa.array(["a", None]),
    ],
)
def test_a_missing_id_is_unknown(ids):
    assert Vocabulary.of(["a", "nan", "None"]).encode(ids).tolist() == [1, -1]


@pytest.mark.parametrize(
    "ids",
    [
        [1.0, None, 2.5, 123456789012.0, 1e300],
        np.array([1.0, np.nan, 2.5, 123456789012.0, -np.inf]),
        np.array([1, None, np.float32(2.5), 123456789012.0, 1e300], dtype=object),
        pa.array([1.0, float("nan"), 2.5, 123456789012.0, 1e300]),
        pa.chunked_array([[1.0, None, 2.5], [123456789012.0, 1e300]]),
        pd.Series([1, None, 2.5, 123456789012, 1e300]),
        pd.Series([1, None, 2.5, 123456789012, 1e300], dtype="Float64"),
    ],
)
def test_a_whole_float_is_its_integers_decimal_text(ids):
    assert Vocabulary.of(["1", "2.5", "123456789012", "nan"]).encode(ids).tolist() == [0, -1, 2, 1, -1]


@pytest.mark.parametrize("ids", [[2.0**53], np.array([1.0, 2.0**60]), pd.Series([None, 2**62 + 1])])
def test_a_float_that_may_be_several_integers_is_refused(ids):
    """2^53 and 2^53 + 1 are the same float, and two ids."""
    with pytest.raises(VocabularyError, match=r"id \d+ is a float, .* several whole numbers; give it as text"):
        Vocabulary.of(["9007199254740992", "9007199254740993"]).encode(ids)
    assert Vocabulary.of(["9007199254740992", "9007199254740993"]).encode([2**53 + 1]).tolist() == [1]


def test_integers_with_a_missing_one_are_encoded_in_every_pandas_type():
    vocabulary = Vocabulary.of(["1", "2"])
    for ids in (pd.Series([None, 2]), pd.Series([None, 2], dtype="Int64"), pd.Series([None, 2], dtype=object)):
        assert vocabulary.encode(ids).tolist() == [-1, 1]


@pytest.mark.parametrize("ids", [[True, "a"], [True, False], np.array([True]), pa.array([True]), [["a"]]])
def test_ids_that_are_neither_text_nor_integers_are_refused(ids):
    with pytest.raises(VocabularyError, match="text or integers"):
        Vocabulary.of(["a"]).encode(ids)


def test_an_unknown_id_is_refused_with_similar_ones():
    with pytest.raises(VocabularyError, match=r"id '104' is not among the 100 known ids; similar ids: '1"):
        Vocabulary.of([str(id) for id in range(4, 104)]).row_of(104)


def test_decoding_reverses_encoding_and_refuses_rows_out_of_range():
    vocabulary = Vocabulary.of(["a", "b", "c"])
    assert vocabulary.decode(vocabulary.encode(["c", "a"])) == ["c", "a"]
    with pytest.raises(VocabularyError, match=r"rows must be in \[0, 3\)"):
        vocabulary.decode([-1])


def test_a_vocabulary_is_read_back_from_its_file(tmp_path):
    vocabulary = Vocabulary.of(["b", "a", "007"])
    vocabulary.write(tmp_path / "ids.parquet")
    assert Vocabulary.read(tmp_path / "ids.parquet").ids.equals(vocabulary.ids)


def test_a_file_with_unsorted_ids_is_refused(tmp_path):
    Vocabulary(pa.array(["b", "a"])).write(tmp_path / "ids.parquet")
    with pytest.raises(DataError, match="not sorted"):
        Vocabulary.read(tmp_path / "ids.parquet")
