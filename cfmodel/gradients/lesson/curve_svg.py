"""The loss along one parameter as SVG: the model's position, the tangent there, and the steps of descent."""

import math
from html import escape

from cfmodel.gradients.lesson.lesson_records import Curve, Descent

_WIDTH, _HEIGHT = 640.0, 300.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 64.0, 12.0, 14.0, 46.0
#: Least distance between two labels of the curve, in pixels.
_APART = 30.0


def curve_svg(curve: Curve, gradient: float, name: str) -> str:
    """Return the curve as SVG.

    Args:
        curve: The loss along the parameter.
        gradient: Its slope at the model's position, in loss per unit of the parameter.
        name: Name of the parameter.
    """
    place = _Places(curve)
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(place.pair, curve.values, curve.losses))
    label = (
        f"Loss of this rating along {name}: a parabola; you are here at {curve.here.value:.3f}, lowest at "
        f"{curve.lowest.value:.3f}"
    )
    inside = f'x="{_LEFT:g}" y="{_TOP:g}" width="{place.width:g}" height="{place.height:g}"'
    return f"""<svg viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img" aria-label="{escape(label)}">
<clipPath id="lesson-frame"><rect {inside}/></clipPath>
<rect class="frame" {inside}/>
{_axes(place, escape(name))}
<polyline class="lesson-curve" points="{points}"/>
{_tangent(place, curve, gradient)}
{_marks(place, curve)}
</svg>"""


def _axes(place: "_Places", name: str) -> str:
    bottom, middle = _HEIGHT - _BOTTOM, _TOP + place.height / 2
    lines = []
    for value in ticks(place.left, place.right):
        x, _ = place.pair(value, place.low)
        lines.append(f'<line class="frame" x1="{x:.1f}" x2="{x:.1f}" y1="{bottom:g}" y2="{bottom + 4:g}"/>')
        lines.append(f'<text x="{x:.1f}" y="{bottom + 17:g}" text-anchor="middle">{value:g}</text>')
    for value in ticks(place.low, place.high):
        _, y = place.pair(place.left, value)
        lines.append(f'<line class="grid" x1="{_LEFT:g}" x2="{_WIDTH - _RIGHT:g}" y1="{y:.1f}" y2="{y:.1f}"/>')
        lines.append(f'<text x="{_LEFT - 6:g}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
    lines.append(
        f'<text class="axis" x="{_LEFT + place.width / 2:g}" y="{_HEIGHT - 6:g}" text-anchor="middle">'
        f"{name} (standard deviations of the ratings)</text>"
    )
    lines.append(
        f'<text class="axis" transform="translate(14 {middle:g}) rotate(-90)" text-anchor="middle">'
        "loss of this rating</text>"
    )
    return "\n".join(lines)


def _tangent(place: "_Places", curve: Curve, gradient: float) -> str:
    here, reach = curve.here, (place.right - place.left) / 8
    ends = [place.pair(x, here.loss + gradient * (x - here.value)) for x in (here.value - reach, here.value + reach)]
    (x1, y1), (x2, y2) = ends
    return (
        f'<line class="lesson-tangent" clip-path="url(#lesson-frame)" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" '
        f'y2="{y2:.1f}"/>'
    )


def _marks(place: "_Places", curve: Curve) -> str:
    """Draw the model's position, the steps of descent and the lowest point, without labels that would touch."""
    x, y = place.pair(curve.here.value, curve.here.loss)
    inward = 1 if x < _WIDTH / 2 else -1
    anchor = "start" if inward > 0 else "end"
    lines, labelled = [], [(x, y)]
    for descent in curve.descents:
        if not place.left <= descent.value <= place.right:
            continue
        at = place.pair(descent.value, descent.loss)
        text = f"after {descent.steps:,} step{'s' if descent.steps > 1 else ''}"
        lines.append(
            f'<circle class="lesson-step" cx="{at[0]:.1f}" cy="{at[1]:.1f}" r="4.5"><title>{text}</title></circle>'
        )
        if all(math.dist(at, other) >= _APART for other in labelled):
            labelled.append(at)
            lines.append(_label(at, text, anchor, inward))
    lines += [_lowest(place, curve.lowest), f'<circle class="lesson-here" cx="{x:.1f}" cy="{y:.1f}" r="5.5"/>']
    lines.append(_label((x, y), "You are here", anchor, inward, " lesson-name"))
    return "\n".join(lines)


def _label(at: tuple[float, float], text: str, anchor: str, inward: int, more_classes: str = "") -> str:
    x, y = at[0] + 11 * inward, max(at[1] - 3, _TOP + 12)
    return f'<text class="lesson-label{more_classes}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>'


def _lowest(place: "_Places", lowest: Descent) -> str:
    x, y = place.pair(lowest.value, lowest.loss)
    return (
        f'<path class="lesson-lowest" d="M{x - 5:.1f} {y - 9:.1f}h10l-5 8z"/>'
        f'<text class="lesson-label" x="{x:.1f}" y="{y - 14:.1f}" text-anchor="middle">lowest</text>'
    )


def ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Return about `wanted` round numbers from `low` to `high`."""
    rough = (high - low) / wanted or 1.0
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(by * unit for by in (1, 2, 5, 10) if by * unit >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{number * step:.12g}") for number in range(first, last + 1)]


class _Places:
    """Converts values and losses to pixels."""

    def __init__(self, curve: Curve) -> None:
        self.left, self.right = curve.values[0], curve.values[-1]
        self.low, self.high = min(curve.losses), max(curve.losses)
        self.width, self.height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
        # Space below the curve for the mark of the lowest point.
        self._floor = self.low - 0.04 * (self.high - self.low)

    def pair(self, value: float, loss: float) -> tuple[float, float]:
        across = (value - self.left) / (self.right - self.left)
        up = (loss - self._floor) / ((self.high - self._floor) or 1.0)
        return _LEFT + across * self.width, _TOP + (1 - up) * self.height
