"""Curves on a terminal, drawn with Braille dots, eight per character."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_BLANK = 0x2800
#: Bit of each of a character's dots, by row and column.
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


@dataclass(frozen=True)
class Mark:
    """A character on a chart.

    Attributes:
        x: Position on the horizontal axis.
        y: Position on the vertical axis.
        symbol: The character.
    """

    x: float
    y: float
    symbol: str


def draw_curve(
    x: Sequence[float],
    y: Sequence[float],
    *,
    marks: Sequence[Mark] = (),
    width: int = 60,
    height: int = 12,
) -> list[str]:
    """Draw a curve in a frame, with its highest and lowest value at the left.

    Args:
        x: Positions on the horizontal axis, rising, shape (P,).
        y: Finite values, shape (P,).
        marks: Characters on top of the curve, the later on top of the earlier; those outside the frame are left out.
        width: Width in characters, without the labels.
        height: Height in lines, without the axis.

    Returns:
        The lines from top to bottom, all with the same left margin.
    """
    across, values = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    frame = _Frame(across[0], across[-1], values.min(), values.max(), width, height)
    canvas = frame.curve(across, values)
    for mark in marks:
        frame.put(canvas, mark)
    labels = [f"{frame.top:.4g}", *[""] * (height - 2), f"{frame.bottom:.4g}"]
    margin = max(map(len, labels))
    lines = [f"{label:>{margin}} │{''.join(row)}" for label, row in zip(labels, canvas, strict=True)]
    return [*lines, f"{'':>{margin}} └{'─' * width}"]


def axis_labels(labels: Sequence[tuple[float, str]], *, margin: int, width: int, left: float, right: float) -> str:
    """Return a line of labels centred under their positions, without those that would touch an earlier one.

    Args:
        labels: Position on the axis and text, the most important first.
        margin: Characters left of the frame.
        width: Width of the frame in characters.
        left: Position of the frame's left edge.
        right: Position of its right edge.
    """
    line = [" "] * (margin + width)
    for place, text in labels:
        centre = margin + round((place - left) / (right - left) * (width - 1))
        start = min(max(centre - len(text) // 2, margin), margin + width - len(text))
        if "".join(line[max(start - 1, 0) : start + len(text) + 1]).strip() == "":
            line[start : start + len(text)] = text
    return "".join(line).rstrip()


@dataclass(frozen=True)
class _Frame:
    left: float
    right: float
    bottom: float
    top: float
    width: int
    height: int

    def curve(self, x: Floats, y: Floats) -> list[list[str]]:
        """Return rows of characters with connected dots at the values."""
        bits = np.zeros((self.height, self.width), dtype=np.int64)
        columns = np.arange(self.width * 2)
        heights = np.interp(columns, self._across(x, self.width * 2), self._down(y, self.height * 4)).round()
        before = np.concatenate([heights[:1], heights[:-1]])
        for column, (first, last) in enumerate(zip(before, heights, strict=True)):
            low, high = sorted((int(first), int(last)))
            for dot in range(low + (high > low and last > first), high + 1 - (high > low and last < first)):
                bits[dot // 4, column // 2] |= _DOTS[dot % 4][column % 2]
        return [[chr(_BLANK + int(bit)) if bit else " " for bit in row] for row in bits]

    def put(self, canvas: list[list[str]], mark: Mark) -> None:
        if self.left <= mark.x <= self.right and self.bottom <= mark.y <= self.top:
            row = self._down(np.array(mark.y), self.height).round()
            column = self._across(np.array(mark.x), self.width).round()
            canvas[int(row)][int(column)] = mark.symbol

    def _across(self, x: Floats, dots: int) -> Floats:
        return (x - self.left) / ((self.right - self.left) or 1.0) * (dots - 1)

    def _down(self, y: Floats, dots: int) -> Floats:
        return (self.top - y) / ((self.top - self.bottom) or 1.0) * (dots - 1)
