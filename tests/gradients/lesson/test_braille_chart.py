"""Curves drawn with Braille dots."""

import numpy as np

from cfmodel.gradients.lesson.braille_chart import Mark, axis_labels, draw_curve


def test_all_lines_have_the_same_width_and_the_axis_is_the_last() -> None:
    x = np.linspace(-1, 1, 50)
    *frame, axis = draw_curve(x.tolist(), (x**2).tolist(), width=20, height=5)
    assert len(frame) == 5
    assert {len(line) for line in (*frame, axis)} == {len(frame[0])}
    assert axis.endswith("└" + "─" * 20)


def test_the_highest_and_the_lowest_value_are_at_the_left() -> None:
    frame = draw_curve([0, 1, 2], [3.0, 7.5, 4.0], width=10, height=4)
    assert frame[0].startswith("7.5 │")
    assert frame[3].startswith("  3 │")


def test_a_rising_line_goes_from_the_lower_left_to_the_upper_right() -> None:
    frame = [line.partition("│")[2] for line in draw_curve([0, 1], [0.0, 1.0], width=8, height=4)[:4]]
    assert frame[3][0] != " " == frame[3][7]
    assert frame[0][7] != " " == frame[0][0]


def test_a_mark_is_at_its_place_and_one_outside_is_left_out() -> None:
    marks = [Mark(1.0, 1.0, "A"), Mark(0.0, 0.0, "B"), Mark(5.0, 0.5, "C")]
    frame = [line.partition("│")[2] for line in draw_curve([0, 1], [0.0, 1.0], marks=marks, width=8, height=4)[:4]]
    assert frame[0][7] == "A"
    assert frame[3][0] == "B"
    assert "C" not in "".join(frame)


def test_a_flat_curve_can_be_drawn() -> None:
    assert len(draw_curve([0, 1], [2.0, 2.0], width=8, height=3)) == 4


def test_labels_are_below_their_positions_and_do_not_touch() -> None:
    line = axis_labels([(0.0, "left"), (1.0, "right"), (0.98, "hidden")], margin=2, width=20, left=0.0, right=1.0)
    assert line == "  left" + " " * 11 + "right"
