"""The short result of a run."""

import pytest

from cfmodel.summaries.run_summary import accuracy_rows, step_seconds, training_summary


def test_a_predictor_without_an_rmse_has_no_row_and_one_without_an_mae_an_empty_one() -> None:
    rows = accuracy_rows({"test/rmse": 0.91236, "test/mae": 0.7, "test/global_mean_rmse": 1.2})
    assert rows == [
        {"predictor": "model", "test RMSE": 0.9124, "test MAE": 0.7},
        {"predictor": "global mean", "test RMSE": 1.2, "test MAE": None},
    ]


def test_steps_are_in_the_order_they_run() -> None:
    seconds = {"time/train_seconds": 2.0, "time/ingest_seconds": 1.0, "time/other_seconds": 3.0}
    assert list(step_seconds(seconds).items()) == [("ingest", 1.0), ("train", 2.0)]


def test_the_best_epoch_is_left_out_where_none_was_chosen() -> None:
    metrics = {"train/ratings": 1000, "train/batch_size": 32, "train/epochs": 3}
    assert training_summary(metrics) == "on 1,000 ratings in batches of 32 for 3 epochs"
    best = {"best_epoch": 2, "best_val_rmse": 0.95}
    assert training_summary(metrics | best).endswith("for 3 epochs, of which 2 was best (val RMSE 0.9500)")


@pytest.mark.parametrize(
    ("best", "words"),
    [
        (0, "of which none was better than the start (val RMSE 12.5000)"),
        (3, "of which the last was best (val RMSE 12.5000): with more train.epochs it may fall further"),
    ],
)
def test_a_best_epoch_at_an_end_is_told(best: int, words: str) -> None:
    metrics = {"train/ratings": 1000, "train/batch_size": 32, "train/epochs": 3, "best_epoch": best}
    assert training_summary(metrics | {"best_val_rmse": 12.5}).endswith(f"for 3 epochs, {words}")
