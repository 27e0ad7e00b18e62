"""The lines of a run on the terminal."""

from pathlib import Path

import pytest

from cfmodel.promotion.decision import Decision, ModelComparison
from cfmodel.refs import Accounts, DatasetRef
from cfmodel.terminal import describe
from cfmodel.training.epoch_records import StartRecord


@pytest.mark.parametrize(
    ("accounts", "expected"),
    [
        (Accounts(rows_in=1_200, kept=1_200), "1,200 ratings from 0.5 to 5 of 30 users and 20 movies"),
        (
            Accounts(rows_in=1_200, kept=1_200, headers=2),
            "1,200 ratings from 0.5 to 5 of 30 users and 20 movies, 2 repeated headers",
        ),
        (
            Accounts(rows_in=1_210, kept=1_200, quarantined=7, merged=2, unrated=1),
            "1,200 ratings from 0.5 to 5 of 30 users and 20 movies, 7 set aside, 2 merged, 1 not rated",
        ),
    ],
)
def test_the_line_of_a_data_set_has_its_scale_and_the_rows_left_out(accounts: Accounts, expected: str) -> None:
    data = DatasetRef(
        path=Path("x"),
        digest="d",
        source="x.csv",
        source_digest="s",
        rows=1_200,
        users=30,
        movies=20,
        rating_min=0.5,
        rating_max=5.0,
        has_timestamps=True,
        accounts=accounts,
        seconds=0.1,
    )
    assert describe(data) == expected


def test_the_line_of_the_start_says_where_biases_are_and_how_good_they_are() -> None:
    assert describe(StartRecord("fit", 0.93218, "closed_form")) == "start  biases in closed form, val RMSE 0.9322"
    assert describe(StartRecord("fit", 17.5, "zero")) == "start  biases at zero, val RMSE 17.5000"


def test_the_line_of_a_decision_names_the_registered_model() -> None:
    measured = ModelComparison(1000, 200, 0, None, None, None)
    decided = Decision(
        "promoted", ("the first champion",), "my-model", "1", None, measured, None, "2026-01-01T00:00:00Z"
    )
    assert describe(decided) == "my-model version 1 promoted: the first champion"
