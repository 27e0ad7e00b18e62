"""The loss along one parameter as SVG."""

from itertools import pairwise
from xml.etree import ElementTree

import pytest
from made_lessons import lesson_of

from cfmodel.gradients.lesson.curve_svg import curve_svg, ticks


def test_the_model_and_the_lowest_point_are_at_their_places_and_names_are_escaped() -> None:
    curve = lesson_of().curve
    root = ElementTree.fromstring(curve_svg(curve, -0.4, "<bias>"))
    (here,) = root.findall("circle[@class='lesson-here']")
    points = [tuple(map(float, point.split(","))) for point in root.find("polyline").get("points").split()]  # type: ignore[union-attr]
    lowest = max(points, key=lambda point: point[1])
    assert lowest[0] == pytest.approx((points[0][0] + points[-1][0]) / 2, abs=0.1)
    assert points[0][0] < float(here.get("cx", "")) < lowest[0]
    assert "<bias>" in root.get("aria-label", "")


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-3.2, 7.9), (1e-6, 3e-6), (12_345, 67_890)])
def test_ticks_are_a_few_round_numbers_inside_the_range(low: float, high: float) -> None:
    found = ticks(low, high)
    assert 2 <= len(found) <= 7
    assert all(low - 1e-9 <= tick <= high + 1e-9 for tick in found)
    steps = {round(b - a, 12) for a, b in pairwise(found)}
    assert len(steps) == 1
    assert f"{steps.pop():e}"[0] in "125"
