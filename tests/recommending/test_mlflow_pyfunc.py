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
    answers = predictor.predict(table, params=None)
    assert answers.name == "prediction"
    assert answers.dtype == np.float64
    assert answers.index.tolist() == [7, 5, 3]
    expected = Recommender.load(folder).predict(["1", "2", "1"], ["x", "10", "11"])
    assert answers.tolist() == expected.tolist()


def test_integers_mean_their_decimal_text(predictor: RecommenderService) -> None:
    answers = (predictor.predict(request(users, movies)).tolist() for users, movies in (([1], [10]), (["1"], ["10"])))
    assert next(answers) == next(answers)


@pytest.mark.parametrize(
    "users", [[1.0, 2.0], pd.array([1, 2], dtype="Int64"), pd.array([1, 2], dtype="Float64"), [1.0, "2"]]
)
def test_whole_numbers_of_any_type_mean_their_decimal_text(predictor: RecommenderService, users: list[object]) -> None:
    expected = predictor.predict(request(["1", "2"], ["10", "11"]))
    assert predictor.predict(request(users, [10.0, 11.0])).tolist() == expected.tolist()


@pytest.mark.parametrize("users", [[None, 1], [None, "1"], pd.array([None, 1], dtype="Int64"), [float("nan"), 1.0]])
def test_a_missing_id_counts_as_unknown(predictor: RecommenderService, users: list[object]) -> None:
    expected = predictor.predict(request(["who", "1"], ["10", "10"]))
    assert predictor.predict(request(users, [10, 10])).tolist() == expected.tolist()


def test_unknown_ids_beside_known_ones_are_answered_without_a_warning(predictor: RecommenderService) -> None:
    assert predictor.predict(request(["1", "who"], ["what", "10"])).tolist() == [3.0, 3.0]


def test_one_new_user_is_answered_without_a_warning(predictor: RecommenderService) -> None:
    assert predictor.predict(request(["who", "who"], ["x", "10"])).tolist() == [3.0, 3.0]


def test_a_request_with_unknown_ids_only_is_answered_with_a_warning(predictor: RecommenderService) -> None:
    with pytest.warns(
        UserWarning, match=r"none of the 2 ids in (user|movie)_id .* probably of the wrong kind"
    ) as warned:
        assert predictor.predict(request(["u1", "u2"], ["y", "z"])).tolist() == [3.0, 3.0]
    assert len(warned) == 2


def test_a_column_of_many_unknown_ids_is_answered_with_a_warning(predictor: RecommenderService) -> None:
    users = [f"user-{n}" for n in range(10)]
    with pytest.warns(UserWarning, match=r"none of the 10 ids in user_id"):
        predictor.predict(request(users, ["10"] * 10))


def test_an_empty_request_has_an_empty_answer(predictor: RecommenderService) -> None:
    assert len(predictor.predict(request([], []))) == 0


def test_a_request_without_user_id_and_rated_is_refused(predictor: RecommenderService) -> None:
    with pytest.raises(DataError, match="no column user_id and no column rated, only item; give user_id and movie_id"):
        predictor.predict(pd.DataFrame({"item": ["x"]}))


def test_user_ids_alone_are_answered_with_lists(predictor: RecommenderService) -> None:
    table = pd.DataFrame({"user_id": ["2", 1, "who"]})
    lists = predictor.predict(table, params={"k": 2})
    assert lists.columns.tolist() == ["user_id", "movie_id", "score", "rank"]
    assert lists["user_id"].tolist() == ["2", "2", 1, 1, "who", "who"]
    assert lists["rank"].tolist() == [1, 2] * 3
    known = lists[lists["user_id"] != "who"]
    pairs = known[["user_id", "movie_id"]].reset_index(drop=True)
    np.testing.assert_allclose(known["score"].clip(1, 5), predictor.predict(pairs), atol=1e-6)


def test_new_users_get_ratings_and_lists_from_their_own_ratings(predictor: RecommenderService) -> None:
    rated = [{"10": 5, "11": 1.0}, {}]
    lists = predictor.predict(pd.DataFrame({"rated": rated}), params={"k": 3})
    assert lists["movie_id"].tolist()[:1] == ["x"]
    assert len(lists) == 1 + 3
    ratings = predictor.predict(pd.DataFrame({"rated": rated, "movie_id": ["x", "x"]}))
    assert ratings.tolist() == pytest.approx(lists[lists["movie_id"] == "x"]["score"].clip(1, 5).tolist())


def test_a_given_rating_moves_the_prediction_of_that_movie_towards_it(predictor: RecommenderService) -> None:
    movies = pd.DataFrame({"rated": [{"10": 5}, {"10": 1}, {}], "movie_id": ["10"] * 3})
    high, low, without = predictor.predict(movies)
    assert low < without < high


@pytest.mark.parametrize("rated", ["10=5", None, {"10": "many"}, [["10", 5]]])
def test_ratings_that_do_not_map_ids_to_numbers_are_refused(predictor: RecommenderService, rated: object) -> None:
    with pytest.raises(DataError, match="row 0 of the request: rated must map movie ids to ratings"):
        predictor.predict(pd.DataFrame({"rated": [rated]}))


@pytest.mark.parametrize("k", [0, 1001])
def test_a_list_length_out_of_range_is_refused(predictor: RecommenderService, k: int) -> None:
    with pytest.raises(ConfigError, match="k must be from 1 to 1,000"):
        predictor.predict(pd.DataFrame({"user_id": ["1"]}), params={"k": k})
