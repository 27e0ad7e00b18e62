"""The rows that models are compared on, with models really trained."""

import numpy as np
import pytest
from teams import Team

from cfmodel.data.splitting.parts import load_part
from cfmodel.errors import DataError
from cfmodel.promotion.comparison_rows import common_rows


def test_a_model_that_does_not_say_what_it_was_trained_on_is_not_compared(team: Team) -> None:
    parts = team.split()
    model = team.recommender_of(team.challenger(epochs=1, parts=parts))
    object.__setattr__(model, "history", None)
    with pytest.raises(DataError, match="does not say which ratings it was trained on"):
        common_rows(parts, model)


def test_predictions_on_the_common_rows_are_the_models_own(team: Team) -> None:
    parts = team.split()
    model = team.recommender_of(team.challenger(epochs=1, parts=parts))
    rows = common_rows(parts, model)
    test = load_part(parts, "test", users=model.users, movies=model.movies)
    assert rows.is_kept.all()
    np.testing.assert_array_equal(rows.predictions[0], model.predict_rows(test.user_idx, test.movie_idx))
    assert rows.users == len(np.unique(test.user_idx))
