"""Decisions as text."""

import pytest

from cfmodel.promotion.bootstrap import Difference
from cfmodel.promotion.decision import Decision, ModelComparison
from cfmodel.promotion.decision_text import decision_markdown, decision_paragraph, decision_rows

BETTER = Difference(0.9, 0.95, -0.06, -0.04, 0.95)


@pytest.fixture
def decision() -> Decision:
    measured = ModelComparison(1000, 200, 0, True, BETTER, BETTER)
    return Decision(
        "refused", ("RMSE [0.9] (95%)",), "my_model", "2", "1", measured, "error", "2026-01-01T00:00:00+00:00"
    )


def test_each_predictor_has_a_row_with_the_difference_and_its_interval(decision: Decision) -> None:
    interval = "-0.0500 [-0.0600, -0.0400] (95%)"
    assert decision_rows(decision) == [
        ("challenger (version 2)", "0.9000", ""),
        ("champion (version 1)", "0.9500", interval),
        ("damped biases", "0.9500", interval),
    ]
    assert f"| damped biases | 0.9500 | {interval} |" in decision_markdown(decision)


def test_brackets_in_a_reason_are_not_a_link(decision: Decision) -> None:
    assert decision_paragraph(decision).splitlines() == [
        "**refused**: version 2 of my\\_model, compared with version 1, the champion, on 1,000 ratings of 200 users "
        "that no model was trained on",
        "- RMSE \\[0.9\\] (95%)",
    ]
