"""A lesson as an HTML fragment: no script, no address, every text escaped, colours left to CSS classes."""

from collections.abc import Iterable
from html import escape

from cfmodel.gradients.lesson_records import Curve, Lesson
from cfmodel.gradients.lesson_text import adam_rows, adam_summary, as_text, clipping_summary

_WIDTH, _HEIGHT, _MARGIN = 640.0, 280.0, 48.0

#: How the fragment looks where the page has no better idea; it follows the page's text colour.
STYLE = """
.lesson pre { overflow-x: auto; }
.lesson svg { max-width: 100%; height: auto; }
.lesson text { fill: currentColor; font: 12px sans-serif; }
.lesson-axis { stroke: currentColor; stroke-opacity: 0.4; }
.lesson-curve { fill: none; stroke: #3987c6; stroke-width: 2; }
.lesson-tangent { stroke: #d55e00; stroke-width: 1.5; stroke-dasharray: 5 4; }
.lesson-here { fill: #d55e00; }
.lesson-step { fill: none; stroke: #009e73; stroke-width: 2; }
.lesson table { border-collapse: collapse; }
.lesson th, .lesson td { padding: 0.15em 0.8em; text-align: right; font-variant-numeric: tabular-nums; }
.lesson th:first-child { text-align: left; }
"""


def as_html(lesson: Lesson) -> str:
    """Return the lesson as `<section class="lesson">`, to be placed in a page that styles it (see `STYLE`)."""
    body = []
    for title, lines in as_text(lesson):
        body.append(f"<h3>{escape(title)}</h3>")
        if title == "Gradient descent":
            body.append(_svg(lesson.curve, lesson.update.gradient))
            body.append(_paragraphs(line for line in lines if line[:1] in "●○▾" and line))
        elif title.startswith("The optimizer"):
            body += [_table(adam_rows(lesson)), _paragraphs(adam_summary(lesson))]
        elif title == "Gradient clipping":
            body.append(_paragraphs(clipping_summary(lesson)))
        else:
            body.append(f"<pre>{escape(chr(10).join(lines))}</pre>")
    heading = f"One rating: user {lesson.user_id}, movie {lesson.movie_id} ({lesson.part})"
    return f'<section class="lesson" id="lesson">\n<h2>{escape(heading)}</h2>\n{chr(10).join(body)}\n</section>\n'


def _paragraphs(lines: Iterable[str]) -> str:
    return "\n".join(f"<p>{escape(line)}</p>" for line in lines)


def _table(rows: list[list[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in rows[0])
    body = "\n".join(
        f'<tr><th scope="row">{escape(first)}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in others)}</tr>'
        for first, *others in rows[1:]
    )
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def _svg(curve: Curve, gradient: float) -> str:
    """Draw the curve with where the model is, its slope there, and where descent goes."""
    place = _Places(curve)
    points = " ".join(place(x, y) for x, y in zip(curve.values, curve.losses, strict=True))
    here, reach = curve.here, (curve.values[-1] - curve.values[0]) / 8
    ends = [place.pair(x, here.loss + gradient * (x - here.value)) for x in (here.value - reach, here.value + reach)]
    (left, high), (right, low) = ends
    x, y = place.pair(here.value, here.loss)
    steps = "\n".join(_step(place, descent.value, descent.loss, descent.steps) for descent in curve.descents)
    bottom = _HEIGHT - _MARGIN
    label = (
        f"Loss of this rating along user_bias: a parabola; you are here at {here.value:.3f}, lowest at "
        f"{curve.lowest.value:.3f}"
    )
    return f"""<svg viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img" aria-label="{escape(label)}">
<line class="lesson-axis" x1="{_MARGIN:g}" y1="{bottom:g}" x2="{_WIDTH - 8:g}" y2="{bottom:g}"/>
<line class="lesson-axis" x1="{_MARGIN:g}" y1="8" x2="{_MARGIN:g}" y2="{bottom:g}"/>
<text x="{_MARGIN:g}" y="{_HEIGHT - 28:g}">{curve.values[0]:.3f}</text>
<text x="{_WIDTH - 8:g}" y="{_HEIGHT - 28:g}" text-anchor="end">{curve.values[-1]:.3f}</text>
<text x="{_WIDTH / 2:g}" y="{_HEIGHT - 8:g}" text-anchor="middle">user_bias (rating units)</text>
<text x="4" y="20">{max(curve.losses):.3g}</text>
<text x="4" y="{bottom:g}">{min(curve.losses):.3g}</text>
<polyline class="lesson-curve" points="{points}"/>
<line class="lesson-tangent" x1="{left:.1f}" y1="{high:.1f}" x2="{right:.1f}" y2="{low:.1f}"/>
{steps}
<circle class="lesson-here" cx="{x:.1f}" cy="{y:.1f}" r="5"/>
<text x="{x:.1f}" y="{max(y - 12, 14):.1f}" text-anchor="{"start" if x < _WIDTH / 2 else "end"}">You are here</text>
</svg>"""


def _step(place: "_Places", value: float, loss: float, steps: int) -> str:
    x, y = place.pair(value, loss)
    if not place.inside(value):
        return ""
    title = f"after {steps:,} step{'s' if steps > 1 else ''}"
    return f'<circle class="lesson-step" cx="{x:.1f}" cy="{y:.1f}" r="4"><title>{title}</title></circle>'


class _Places:
    """Turns values and losses into places of the picture."""

    def __init__(self, curve: Curve) -> None:
        self._left, self._right = curve.values[0], curve.values[-1]
        self._bottom, self._top = min(curve.losses), max(curve.losses)

    def pair(self, value: float, loss: float) -> tuple[float, float]:
        across = (value - self._left) / (self._right - self._left)
        up = (loss - self._bottom) / ((self._top - self._bottom) or 1.0)
        return _MARGIN + across * (_WIDTH - _MARGIN - 8), _HEIGHT - _MARGIN - up * (_HEIGHT - _MARGIN - 16)

    def inside(self, value: float) -> bool:
        return self._left <= value <= self._right

    def __call__(self, value: float, loss: float) -> str:
        x, y = self.pair(value, loss)
        return f"{x:.1f},{y:.1f}"
