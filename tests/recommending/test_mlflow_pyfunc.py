from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from cfmodel.column_statistics import RatingScale
from cfmodel.data.vocabulary import Vocabulary
from cfmodel.errors import ConfigError, DataError
from cfmodel.model import CollaborativeFiltering
from cfmodel.recommending.mlflow_pyfunc import RecommenderService
from cfmodel.recommending.recommender import Recommender


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    model = CollaborativeFiltering(
        2, 3, 4, scale=RatingScale(3.0), init_std=0.7, generator=torch.Generator().manual_seed(1)
    )
    Recommender(model, Vocabulary.of(["1", "2"]), Vocabulary.of(["10", "11", "x"]), 1.0, 5.0).save(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def predictor(folder: Path) -> RecommenderService:
    return RecommenderService(Recommender.load(folder))


def request(users: list[object], movies: list[object]) -> pd.DataFrame:
    return pd.DataFrame({"user_id": users, "movie_id": movies})


def test_predictions_keep_the_order_and_the_index_of_the_request(predictor: RecommenderService, folder: Path) -> None:
    table = request(["1", "2", "1"], ["x", "10", "11"]).set_index(pd.Index([7, 5, 3]))
    answers = predictor.predict(table, params=None)["prediction"]
    assert answers.dtype == np.float64
    assert answers.index.tolist() == [7, 5, 3]
    expected = Recommender.load(folder).predict(["1", "2", "1"], ["x", "10", "11"])
    assert answers.tolist() == expected.tolist()


def test_integers_mean_their_decimal_text(predictor: RecommenderService) -> None:
    answers = (
        predictor.predict(request(users, movies)).values.tolist() for users, movies in (([1], [10]), (["1"], ["10"]))
    )
    assert next(answers) == next(answers)


@pytest.mark.parametrize(
    "users", [[1.0, 2.0], pd.array([1, 2], dtype="Int64"), pd.array([1, 2], dtype="Float64"), [1.0, "2"]]
)
def test_whole_numbers_of_any_type_mean_their_decimal_text(predictor: RecommenderService, users: list[object]) -> None:
    expected = predictor.predict(request(["1", "2"], ["10", "11"]))
    assert predictor.predict(request(users, [10.0, 11.0])).equals(expected)


@pytest.mark.parametrize("users", [[None, 1], [None, "1"], pd.array([None, 1], dtype="Int64"), [float("nan"), 1.0]])
def test_a_missing_id_counts_as_unknown(predictor: RecommenderService, users: list[object]) -> None:
    expected = predictor.predict(request(["who", "1"], ["10", "10"]))
    assert predictor.predict(request(users, [10, 10])).equals(expected)


def test_unknown_ids_beside_known_ones_are_answered_without_a_warning(predictor: RecommenderService) -> None:
    assert predictor.predict(request(["1", "who"], ["what", "10"]))["prediction"].tolist() == [3.0, 3.0]


def test_one_new_user_is_answered_without_a_warning(predictor: RecommenderService) -> None:
    assert predictor.predict(request(["who", "who"], ["x", "10"]))["prediction"].tolist() == [3.0, 3.0]


def test_a_request_with_unknown_ids_only_is_answered_with_a_warning(predictor: RecommenderService) -> None:
    with pytest.warns(
        UserWarning, match=r"none of the 2 ids in (user|movie)_id .* probably of the wrong kind"
    ) as warned:
        assert predictor.predict(request(["u1", "u2"], ["y", "z"]))["prediction"].tolist() == [3.0, 3.0]
    assert len(warned) == 2


def test_a_column_of_many_unknown_ids_is_answered_with_a_warning(predictor: RecommenderService) -> None:
    users = [f"user-{n}" for n in range(10)]
    with pytest.warns(UserWarning, match=r"none of the 10 ids in user_id"):
        predictor.predict(request(users, ["10"] * 10))


def test_an_empty_request_has_an_empty_answer(predictor: RecommenderService) -> None:
    assert len(predictor.predict(request([], []))) == 0


def test_a_request_without_user_id_and_rated_is_refused(predictor: RecommenderService) -> None:
    with pytest.raises(DataError, match="no column user_id and no column rated; give user_id and movie_id"):
        predictor.predict(pd.DataFrame({"item": ["x"]}))


def test_user_ids_alone_are_answered_with_lists(predictor: RecommenderService) -> None:
    table = pd.DataFrame({"user_id": ["2", 1, "who"]})
    lists = predictor.predict(table, params={"k": 2})
    assert lists.columns.tolist() == ["user_id", "movie_id", "score", "rank", "user_known"]
    assert lists["user_known"].tolist() == [True] * 4 + [False] * 2
    assert lists["user_id"].tolist() == ["2", "2", 1, 1, "who", "who"]
    assert lists["rank"].tolist() == [1, 2] * 3
    known = lists[lists["user_id"] != "who"]
    pairs = known[["user_id", "movie_id"]].reset_index(drop=True)
    np.testing.assert_allclose(known["score"].clip(1, 5), predictor.predict(pairs)["prediction"], atol=1e-6)


def test_new_users_get_ratings_and_lists_from_their_own_ratings(predictor: RecommenderService) -> None:
    rated = [{"10": 5, "11": 1.0}, {}]
    lists = predictor.predict(pd.DataFrame({"rated": rated}), params={"k": 3})
    assert lists["movie_id"].tolist()[:1] == ["x"]
    assert len(lists) == 1 + 3
    ratings = predictor.predict(pd.DataFrame({"rated": rated, "movie_id": ["x", "x"]}))
    assert ratings["prediction"].tolist() == pytest.approx(lists[lists["movie_id"] == "x"]["score"].clip(1, 5).tolist())


def test_a_given_rating_moves_the_prediction_of_that_movie_towards_it(predictor: RecommenderService) -> None:
    movies = pd.DataFrame({"rated": [{"10": 5}, {"10": 1}, {}], "movie_id": ["10"] * 3})
    high, low, without = predictor.predict(movies)["prediction"]
    assert low < without < high


def test_every_answer_says_which_ids_are_known(predictor: RecommenderService) -> None:
    pairs = predictor.predict(request(["1", "who", "2"], ["x", "10", "what"]))
    assert pairs["user_known"].tolist() == [True, False, True]
    assert pairs["movie_known"].tolist() == [True, True, False]
    rated = pd.DataFrame({"rated": [{"10": 5, "what": 3}, {}], "movie_id": ["x", "what"]})
    assert predictor.predict(rated)[["movie_known", "rated_known"]].to_numpy().tolist() == [[True, 1], [False, 0]]


def test_a_cell_that_is_a_list_stands_for_a_row_each(predictor: RecommenderService) -> None:
    pairs = request(["1", "2"], ["10", "x"])
    expected = predictor.predict(pairs)
    for cells in (["1", "2"], np.array([1, 2]), (1.0, 2.0)):
        listed = pd.DataFrame({"user_id": [cells], "movie_id": [["10", "x"]]})
        assert predictor.predict(listed).equals(expected)
    one_user = pd.DataFrame({"user_id": ["1"], "movie_id": [["10", "x"]]})
    assert predictor.predict(one_user).equals(predictor.predict(request(["1", "1"], ["10", "x"])))
    assert len(predictor.predict(pd.DataFrame({"user_id": [[]], "movie_id": [[]]}))) == 0


@pytest.mark.parametrize("stars", [99, 0.99, -1, float("inf"), float("nan")])
def test_a_rating_outside_the_learned_range_is_refused_with_the_range(
    predictor: RecommenderService, stars: float
) -> None:
    with pytest.raises(DataError, match=r"row 0 of the request: rating .* of movie 10 is not within 1 to 5"):
        predictor.predict(pd.DataFrame({"rated": [{"x": 1, "10": stars}]}))
    predictor.predict(pd.DataFrame({"rated": [{"x": 1, "10": 5}]}))


@pytest.mark.parametrize("rated", ["10=5", None, {"10": "many"}, {"10": True}, [["10", 5]]])
def test_ratings_that_do_not_map_ids_to_numbers_are_refused(predictor: RecommenderService, rated: object) -> None:
    with pytest.raises(DataError, match="row 0 of the request: rated must map movie ids to ratings"):
        predictor.predict(pd.DataFrame({"rated": [rated]}))


@pytest.mark.parametrize("k", [0, 1001])
def test_a_list_length_out_of_range_is_refused(predictor: RecommenderService, k: int) -> None:
    with pytest.raises(ConfigError, match="k must be from 1 to 1,000"):
        predictor.predict(pd.DataFrame({"user_id": ["1"]}), params={"k": k})
