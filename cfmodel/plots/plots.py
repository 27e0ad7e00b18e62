"""Plots of a run: numbers in, matplotlib figures out, without a display or global state."""

import itertools
import logging
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cfmodel.evaluation.slices import ErrorByPopularity, PredictedAgainstTrue
from cfmodel.system.decimals import rmse_text
from cfmodel.training.range_test import RangeTest

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: A metric by step: (epoch, value) pairs, rising.
Curve = Sequence[tuple[int, float]]

_NORM = "grad_norm/"

BLUE, ORANGE, GREEN, PINK = "#0072b2", "#d55e00", "#009e73", "#cc79a7"  # distinguishable to colour-blind readers
INK, GREY, PALE = "#222222", "#767676", "#e6e6e6"
_DPI = 150


def learning_curves(curves: Mapping[str, Curve]) -> "Figure":
    """Draw RMSE by epoch, and below it the gradient norm of each table.

    Of the metrics `train/rmse`, `val/rmse`, `refit/train/rmse` and `grad_norm/<table>`, in this order, those that
    are there are drawn.
    """
    figure = new_figure(9, 7)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    style_axes(top, title="Learning curves", ylabel="RMSE (rating units)")
    refit = ("refit/train/rmse", "refit on train\nand val: train", GREEN, "--")
    for key, label, colour, style in (("train/rmse", "train", BLUE, "-"), ("val/rmse", "val", ORANGE, "-"), refit):
        _draw(top, curves.get(key, ()), label=label, colour=colour, style=style)
    _mark_best(top, curves.get("val/rmse", ()))
    style_axes(bottom, xlabel="epoch", ylabel="gradient norm before clipping\n(mean over steps)")
    # The norms of users and movies often overlap: dashes let the line below show.
    looks = ((BLUE, "-"), (GREEN, "-"), (ORANGE, "--"), (PINK, "--"), (INK, ":"), (GREY, ":"))
    norms = {key.removeprefix(_NORM): curve for key, curve in curves.items() if key.startswith(_NORM)}
    for (table, curve), (colour, style) in zip(norms.items(), itertools.cycle(looks), strict=False):
        _draw(bottom, curve, label=table, colour=colour, style=style)
    _log_scale_if_positive(bottom)
    _whole_epochs(bottom, curves)
    for axes in (top, bottom):
        _legend_beside(axes)
    return figure


def draw_predicted_against_true(data: PredictedAgainstTrue) -> "Figure":
    """Draw the distribution of predictions at each true rating as a heat map, with quantiles."""
    figure = new_figure(8, 6)
    axes = figure.subplots()
    xlabel = "true rating, with the number of test ratings"
    style_axes(axes, title="Predicted against true", xlabel=xlabel, ylabel="predicted rating")
    shares = data.histogram / np.maximum(data.rows, 1)[:, None]
    darkest = shares[data.rows * 100 >= data.rows.sum()].max()  # ignore levels with only a few ratings
    edges = _edges(data.levels)
    image = axes.pcolormesh(edges, data.prediction_edges, shares.T, cmap="Blues", vmax=darkest, rasterized=True)
    bar = figure.colorbar(image, ax=axes, label="share of the predictions at a true rating", pad=0.02)
    bar.outline.set_visible(False)
    low, high = data.prediction_edges[[0, -1]]
    axes.plot([low, high], [low, high], color=GREY, linestyle="--", linewidth=1.2, label="perfect")
    _quantile_bars(axes, data)
    axes.set_xlim(*edges[[0, -1]])
    set_limits(axes, low, high)
    _count_ticks(axes, data)
    axes.grid(visible=False)
    axes.legend(frameon=True, framealpha=0.9, edgecolor=PALE, fontsize=9, loc="upper left")
    return figure


def draw_error_by_popularity(data: ErrorByPopularity) -> "Figure":
    """Draw RMSE and MAE per tenth of the catalogue, rarest movies first, and the number of test ratings in each."""
    shown = np.flatnonzero((data.rows > 0) | (data.decile > 0))  # cold movies only if there are any
    place = np.arange(len(shown))
    figure = new_figure(9, 6.5)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    style_axes(top, title="Error by popularity of the movie", ylabel="error (rating units)")
    bias = (data.mean_error, "mean of prediction\nless rating", ORANGE, "^")
    for values, label, colour, marker in ((data.rmse, "RMSE", BLUE, "o"), (data.mae, "MAE", GREEN, "s"), bias):
        top.plot(place, values[shown], color=colour, marker=marker, markersize=5, linewidth=1.8, label=label)
    top.axhline(0, color=GREY, linewidth=0.8)
    _legend_beside(top)
    style_axes(bottom, xlabel="training ratings of a movie, by tenths of the catalogue", ylabel="test ratings")
    bottom.bar(place, data.rows[shown], color=BLUE, alpha=0.35, width=0.7)
    bottom.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    bottom.set_xticks(place, [_group_name(data, group) for group in shown], fontsize=8)
    return figure


def learning_rate_range(test: RangeTest, *, title: str = "Learning-rate range test") -> "Figure":
    """Draw the loss over the learning rate, the three zones and the suggested rate."""
    rates, losses = np.array([(step.learning_rate, step.smoothed_loss) for step in test.steps]).T
    figure = new_figure(9, 5)
    axes = figure.subplots()
    loss = "mean squared error, smoothed (share of the ratings' variance)"
    style_axes(axes, title=title, xlabel="learning rate (weight units a step)", ylabel=loss)
    low, high = float(losses.min()), float(losses[0])
    edges = (rates[0], test.too_low, test.too_high, rates[-1])
    zones = (("too low", BLUE), ("just right", GREEN), ("too high", ORANGE))
    for (name, colour), start, end in zip(zones, edges[:-1], edges[1:], strict=True):
        axes.axvspan(start, end, color=colour, alpha=0.12, linewidth=0)
        # Keep the name readable where the line of the suggestion crosses it.
        paper = {"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "boxstyle": "round,pad=0.25"}
        across = axes.get_xaxis_transform()
        axes.text(np.sqrt(start * end), 0.04, name, ha="center", color=INK, transform=across, bbox=paper, zorder=3)
    axes.plot(rates, losses, color=BLUE, linewidth=1.8)
    label = f"suggestion {test.suggestion:.2g}"
    axes.axvline(test.suggestion, color=INK, linestyle="--", linewidth=1.4, label=label)
    axes.set_xscale("log")
    axes.set_xlim(rates[0], rates[-1])
    set_limits(axes, low - 0.1 * (high - low), high + 0.6 * (high - low))
    axes.legend(frameon=False, fontsize=9, loc="upper left")
    return figure


def png(figure: "Figure") -> bytes:
    """Return a figure as PNG. Unlike `savefig` this draws it once, although its layout is constrained."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)  # type: ignore[no-untyped-call]
    return buffer.getvalue()


def new_figure(width: float, height: float) -> "Figure":
    """Return an empty figure in the style of the plots; width and height in inches."""
    # On first use on a machine, matplotlib logs that it builds its font cache.
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=_DPI, layout="constrained", facecolor="white")


def style_axes(axes: "Axes", *, title: str = "", xlabel: str = "", ylabel: str = "") -> None:
    """Style axes as in all plots."""
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold", color=INK, pad=10)
    axes.set_xlabel(xlabel, color=INK)
    axes.set_ylabel(ylabel, color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(colors=GREY, labelcolor=INK, labelsize=9)
    axes.grid(visible=True, color=PALE, linewidth=0.8)
    axes.set_axisbelow(True)


def set_limits(axes: "Axes", low: float, high: float) -> None:
    """Set the limits of the y-axis; where all values are equal, leave room around them."""
    room = 0.0 if high - low > 1e-9 * max(abs(low), abs(high)) else 0.1 * abs(high) or 0.5
    axes.set_ylim(low - room, high + room)


def _legend_beside(axes: "Axes") -> None:
    """Put the legend to the right of the plot, where it covers no line."""
    if axes.get_lines():
        axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1, 1))


def _draw(axes: "Axes", curve: Curve, *, label: str, colour: str, style: str = "-") -> None:
    if not curve:
        return
    epochs, values = zip(*curve, strict=True)
    marker = "o" if len(curve) == 1 else None  # a single point is not visible as a line
    axes.plot(epochs, values, color=colour, linestyle=style, marker=marker, linewidth=1.8, label=label)


def _mark_best(axes: "Axes", curve: Curve) -> None:
    if not curve:
        return
    epoch, value = min(curve, key=lambda point: point[1])
    _dots(axes, [epoch], [value])
    axes.annotate(
        f"best val RMSE {rmse_text(value)}\nat epoch {epoch:,}",
        (epoch, value),
        xytext=(0, 14),
        textcoords="offset points",
        ha="right" if epoch > max(e for e, _ in curve) / 2 else "left",
        fontsize=9,
        color=INK,
    )


def _dots(axes: "Axes", x: npt.ArrayLike, y: npt.ArrayLike, **label: Any) -> None:
    axes.plot(x, y, color=ORANGE, marker="o", markersize=7, markeredgecolor="white", linestyle="none", **label)


def _log_scale_if_positive(axes: "Axes") -> None:
    """Use a logarithmic scale if all values are positive."""
    values = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in axes.get_lines()] or [np.zeros(1)])
    if (values > 0).all():
        axes.set_yscale("log")


def _whole_epochs(axes: "Axes", curves: Mapping[str, Curve]) -> None:
    from matplotlib.ticker import MaxNLocator

    last = max((curve[-1][0] for curve in curves.values() if curve), default=1)
    axes.set_xlim(0.5, last + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _quantile_bars(axes: "Axes", data: PredictedAgainstTrue) -> None:
    """Draw the median and, around it, the middle 50 % and 90 % of the predictions."""
    lowest, lower, median, upper, highest = data.quantiles.T
    axes.vlines(data.levels, lowest, highest, color=ORANGE, linewidth=1.2, label="5 % to 95 %")
    axes.vlines(data.levels, lower, upper, color=ORANGE, linewidth=5, label="25 % to 75 %")
    _dots(axes, data.levels, median, label="median")


def _count_ticks(axes: "Axes", data: PredictedAgainstTrue) -> None:
    every = int(np.ceil(len(data.levels) / 10))  # at most ten labels
    labels = [f"{level:.3g}\n{rows:,}" for level, rows in zip(data.levels, data.rows, strict=True)]
    axes.set_xticks(data.levels[::every], labels[::every], fontsize=8)


def _edges(levels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the edges half-way between levels, and as far beyond the outer levels."""
    if len(levels) == 1:
        return np.array([levels[0] - 0.5, levels[0] + 0.5])
    middle = (levels[:-1] + levels[1:]) / 2
    first, last = 2 * levels[0] - middle[0], 2 * levels[-1] - middle[-1]
    return np.concatenate([[first], middle, [last]])


def _group_name(data: ErrorByPopularity, group: np.int64) -> str:
    if group == 0:
        return "cold"
    low, high = data.lowest_count[group], data.highest_count[group]
    return f"{low:,}" if low == high else f"{low:,}–\n{high:,}"
