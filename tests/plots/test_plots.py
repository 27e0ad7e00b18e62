"""The plots' contents, and that they can be drawn without a display."""

from io import BytesIO

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.evaluation.slices import ErrorByPopularity, PredictedAgainstTrue, error_by_popularity
from cfmodel.evaluation.slices import predicted_against_true as spread
from cfmodel.model import CollaborativeFiltering
from cfmodel.plots import plots
from cfmodel.plots.plots import Curve

CURVES: dict[str, Curve] = {
    "train/rmse": [(1, 1.0), (2, 0.9), (3, 0.8)],
    "val/rmse": [(1, 1.1), (2, 0.95), (3, 0.97)],
    **{f"grad_norm/{table}": [(1, 0.4), (2, 0.2), (3, 0.1)] for table in CollaborativeFiltering.table_names()},
}


@pytest.fixture(scope="module")
def predictions() -> PredictedAgainstTrue:
    ratings = np.array([1, 1, 2, 4, 5], np.float32)
    return spread(ratings, np.array([2, 3, 2, 4, 5], np.float32), rating_min=1.0, rating_max=5.0)


@pytest.fixture(scope="module")
def errors() -> ErrorByPopularity:
    movies = np.array([0, 1, 2, 19, 19], np.int32)
    test = RatingArrays(np.zeros(5, np.int32), movies, np.full(5, 3, np.float32), None)
    return error_by_popularity(test, np.array([3, 4, 5, 3, 3], np.float32), counts=np.arange(20))


def saved(figure: Figure) -> bytes:
    target = BytesIO()
    figure.savefig(target, format="png")
    return target.getvalue()


def test_a_plot_is_saved_as_matplotlib_itself_would() -> None:
    assert plots.png(plots.learning_curves(CURVES)) == saved(plots.learning_curves(CURVES))


def labels(axes: Axes) -> list[str]:
    return axes.get_legend_handles_labels()[1]


def test_learning_curves_show_both_rmses_and_mark_the_best_epoch() -> None:
    top, bottom = plots.learning_curves(CURVES).get_axes()
    assert labels(top) == ["train", "val"]
    np.testing.assert_array_equal(top.get_lines()[1].get_ydata(), [1.1, 0.95, 0.97])
    assert [text.get_text() for text in top.texts] == ["best val RMSE 0.9500\nat epoch 2"]
    assert labels(bottom) == list(CollaborativeFiltering.table_names())
    assert (bottom.get_yscale(), bottom.get_xlabel()) == ("log", "epoch")
    assert "rating units" in top.get_ylabel()


def test_a_refit_is_a_curve_of_its_own() -> None:
    top = plots.learning_curves({**CURVES, "refit/train/rmse": [(1, 1.0), (2, 0.9)]}).get_axes()[0]
    assert labels(top) == ["train", "val", "refit on train\nand val: train"]


def test_a_gradient_of_zero_is_drawn_on_a_plain_scale() -> None:
    curves = {**CURVES, f"grad_norm/{CollaborativeFiltering.table_names()[0]}": [(1, 0.0)]}
    assert plots.learning_curves(curves).get_axes()[1].get_yscale() == "linear"


@pytest.mark.parametrize("curves", [{}, {"train/rmse": [(1, 1.0)]}], ids=["nothing", "one epoch"])
def test_learning_curves_of_short_runs_can_be_drawn(curves: dict[str, Curve]) -> None:
    assert len(plots.png(plots.learning_curves(curves))) > 5_000


def test_predictions_are_shown_at_each_true_rating_with_its_count(predictions: PredictedAgainstTrue) -> None:
    figure = plots.draw_predicted_against_true(predictions)
    axes = figure.get_axes()[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1\n2", "2\n1", "4\n1", "5\n1"]
    medians = next(line for line in axes.get_lines() if line.get_label() == "median")
    np.testing.assert_allclose(medians.get_ydata(), [2.5, 2, 4, 5])
    assert len(plots.png(figure)) > 10_000


def test_errors_are_shown_per_tenth_of_the_catalogue_and_cold_only_where_some_are(errors: ErrorByPopularity) -> None:
    figure = plots.draw_error_by_popularity(errors)
    top, bottom = figure.get_axes()
    names = [tick.get_text() for tick in bottom.get_xticklabels()]
    assert (len(names), names[0], names[-1]) == (10, "0–\n1", "18–\n19")
    rmse = np.asarray(top.get_lines()[0].get_ydata())
    np.testing.assert_allclose(rmse[[0, 1, 9]], [np.sqrt(0.5), 2, 0])
    assert np.isnan(rmse[2])
    assert len(plots.png(figure)) > 10_000


def test_drawing_needs_no_display_and_leaves_no_figure_behind(predictions: PredictedAgainstTrue) -> None:
    import matplotlib.pyplot as plt

    plots.png(plots.draw_predicted_against_true(predictions))
    assert plt.get_fignums() == []


@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e6, -3.0])
@pytest.mark.parametrize("levels", [1, 150])
def test_equal_ratings_and_many_levels_are_drawn_without_a_warning(scale: float, levels: int) -> None:
    """Warnings are errors here; matplotlib's would stand on the terminal of a run."""
    ratings = scale * (np.arange(300) % levels + 1).astype(np.float32)
    low, high = float(ratings.min()), float(ratings.max())
    plots.png(plots.draw_predicted_against_true(spread(ratings, ratings.copy(), rating_min=low, rating_max=high)))
    plots.png(plots.learning_curves({"train/rmse": [(1, 0.0)], "val/rmse": [(1, 0.0)]}))
    movies = np.zeros(300, np.int32)
    test = RatingArrays(movies, movies, ratings, None)
    plots.png(plots.draw_error_by_popularity(error_by_popularity(test, ratings, counts=np.array([300]))))
