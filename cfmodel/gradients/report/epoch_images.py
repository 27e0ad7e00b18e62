"""Pictures of a table's gradient histogram at the end of an epoch, with the same axes for every run.

MLflow's image view shows pictures of the same name side by side, by step and by run. They can only be
compared if their axes are the same.
"""

import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from cfmodel.gradients.measuring.sampled_steps import is_milestone
from cfmodel.gradients.recording.gradient_records import StepSample, TableSample
from cfmodel.gradients.report.page import title_of
from cfmodel.gradients.report.page_data import OctaveAxis

if TYPE_CHECKING:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.patches import Rectangle
    from matplotlib.text import Text

#: From 1e-9 to some 64 on each side of zero; the outermost octaves also count larger values.
_AXIS = OctaveAxis(low=-30, octaves=36, signed=True)
#: If no more epochs than this have a sampled step, all of them get a picture.
_FEW_EPOCHS = 6
#: Highest share of the values on the axis: a run's fullest octave holds 5 to 15 %.
_HIGHEST_SHARE = 0.25

_BLUE, _INK, _GREY, _PALE, _RED = "#0072b2", "#222222", "#767676", "#e6e6e6", "#b3261e"
_POWERS = range(-8, 2, 2)

Image = npt.NDArray[np.uint8]


def shown_epochs(epochs: Sequence[int]) -> list[int]:
    """Return the epochs that get a picture: all if they are few, otherwise the powers of two and the last."""
    if len(epochs) <= _FEW_EPOCHS:
        return sorted(epochs)
    return sorted(set(filter(is_milestone, epochs)) | set(epochs[-1:]))


def epoch_images(samples: Sequence[StepSample]) -> Iterator[tuple[str, int, Image]]:
    """Yield a picture of every table at the last sampled step of each of the `shown_epochs`.

    Yields:
        The table, the epoch, from 1, and the picture as RGB, shape (height, width, 3).
    """
    last = {sample.epoch: sample for sample in samples}
    canvas, bars, caption = _empty_picture()
    for epoch in shown_epochs(sorted(last)):
        for table, seen in last[epoch].tables.items():
            for bar, share in zip(bars, axis_shares(seen.gradient_counts), strict=True):
                bar.set_height(share)
            caption.set_text(_caption(last[epoch], seen, table))
            canvas.draw()  # type: ignore[no-untyped-call]
            yield table, epoch, np.asarray(canvas.buffer_rgba())[..., :3].copy()  # type: ignore[no-untyped-call]


def axis_shares(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return the share of the finite values in each cell of `_AXIS`, from counts by bucket, shape (512,)."""
    held = counts.copy()
    for sign in (0, 256):
        last = sign + _AXIS.low + 127 + _AXIS.octaves - 1
        held[last] += held[last + 1 : sign + 255].sum()
    cells = _AXIS.cells(held[None])[0]
    share: npt.NDArray[np.float64] = cells / max(cells.sum(), 1)
    return share


def _empty_picture() -> "tuple[FigureCanvasAgg, Sequence[Rectangle], Text]":
    # On its first use on a machine, matplotlib logs that it builds its font cache.
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.4), dpi=100, facecolor="white")
    axes = figure.add_axes((0.1, 0.16, 0.87, 0.66))
    cells = 2 * _AXIS.octaves + 1
    colours = [_GREY if cell == _AXIS.octaves else _BLUE for cell in range(cells)]
    bars = axes.bar(np.arange(cells) + 0.5, np.zeros(cells), width=0.9, color=colours)
    places = [
        (_place(sign * 10.0**power), f"{'−' * (sign < 0)}10{_raised(power)}") for power in _POWERS for sign in (-1, 1)
    ]
    places.append((_AXIS.octaves + 0.5, "0"))
    axes.set_xticks([place for place, _ in places], [text for _, text in places], fontsize=8)
    axes.set(xlim=(0, cells), ylim=(0, _HIGHEST_SHARE))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.set_ylabel("share of the values", color=_INK, fontsize=9)
    axes.set_xlabel("gradient before clipping, one bar per octave", color=_INK, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=_GREY, labelcolor=_INK, labelsize=8)
    axes.grid(visible=True, axis="y", color=_PALE, linewidth=0.8)
    axes.set_axisbelow(True)
    return FigureCanvasAgg(figure), bars.patches, figure.text(0.02, 0.88, "", fontsize=10, color=_INK)


def _raised(power: int) -> str:
    return str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def _place(value: float) -> float:
    away = np.log2(abs(value)) - _AXIS.low
    return float(_AXIS.octaves + 1 + away if value > 0 else _AXIS.octaves - away)


def _caption(sample: StepSample, seen: TableSample, table: str) -> str:
    share = axis_shares(seen.gradient_counts)
    over = "" if share.max() <= _HIGHEST_SHARE else f", fullest bar {share.max():.0%}"
    broken = seen.infinities + seen.nans
    odd = f", {broken:,} NOT FINITE" if broken else ""
    return (
        f"{title_of(table)}: epoch {sample.epoch:,}, step {sample.step:,}\n"
        f"{seen.rows_touched:,} rows looked up{over}{odd}"
    )
