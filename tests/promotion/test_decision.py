import json
from dataclasses import replace

import pytest

from cfmodel.config import PromotionSettings
from cfmodel.promotion.bootstrap import Difference
from cfmodel.promotion.decision import Decision, ModelComparison, decide
from cfmodel.promotion.decision_text import decision_markdown

BETTER = Difference(0.90, 0.95, -0.06, -0.04, 0.95)
UNSURE = Difference(0.90, 0.91, -0.03, 0.01, 0.95)
MEASURED = ModelComparison(
    rows=1000, users=200, left_out_rows=0, same_data=True, against_champion=BETTER, against_damped_bias=BETTER
)


def decided(
    comparison: ModelComparison = MEASURED, *, health: str | None = "healthy", champion: str | None = "1"
) -> Decision:
    return decide(
        comparison,
        PromotionSettings(),
        model_name="films",
        version="2",
        run_id="abc",
        champion_version=champion,
        health=health,
        decided_at="2026-01-01T00:00:00+00:00",
    )


def test_a_healthy_challenger_better_than_champion_and_damped_biases_is_promoted() -> None:
    decision = decided()
    assert decision.is_promotion
    assert "RMSE 0.9000 against the champion's 0.9500, difference -0.0500 [-0.0600, -0.0400] (95%)" in decision.reasons


def test_a_first_challenger_only_has_to_beat_damped_biases() -> None:
    first = replace(MEASURED, against_champion=None, same_data=None)
    assert decided(first, champion=None).is_promotion
    assert not decided(replace(first, against_damped_bias=UNSURE), champion=None).is_promotion


@pytest.mark.parametrize("health", [None, "healthy", "info", "warning"])
def test_a_verdict_below_error_does_not_refuse(health: str | None) -> None:
    assert decided(health=health).is_promotion


@pytest.mark.parametrize(
    ("changes", "health", "reason"),
    [
        ({"against_champion": UNSURE}, "healthy", "not better than the champion: RMSE 0.9000"),
        ({"against_damped_bias": UNSURE}, "healthy", "not better than damped biases"),
        ({}, "error", "health verdict of severity error"),
        ({"users": 49, "against_champion": None, "against_damped_bias": None}, "healthy", "only 49 users"),
    ],
)
def test_each_reason_alone_refuses(changes: dict[str, object], health: str, reason: str) -> None:
    decision = decided(replace(MEASURED, **changes), health=health)  # type: ignore[arg-type]
    assert not decision.is_promotion
    assert len(decision.reasons) == 1
    assert reason in decision.reasons[0]


def test_every_reason_against_it_is_given() -> None:
    bad = replace(MEASURED, against_champion=UNSURE, against_damped_bias=UNSURE)
    assert len(decided(bad, health="error").reasons) == 3


@pytest.mark.parametrize("against", [BETTER, UNSURE])
def test_other_data_is_always_mentioned(against: Difference) -> None:
    decision = decided(replace(MEASURED, same_data=False, left_out_rows=30, against_champion=against))
    assert "trained on other data: compared on the 1,000 test rows that neither was trained on" in decision.reasons[-1]
    assert "trained on other data" in decision.tags()["promotion.reasons"]
    assert "trained on other data" in decision_markdown(decision)


def test_a_champion_of_another_catalogue_is_the_only_reason_and_the_way_out_is_named() -> None:
    other = ModelComparison(0, 0, 0, False, None, None, "it shares 1% of the movies with the champion")
    decision = decided(other, health="error")
    assert not decision.is_promotion
    (reason,) = decision.reasons
    assert reason.startswith("the champion is of another catalogue: it shares 1% of the movies with the champion; ")
    assert "cfmodel promote --run abc --set promotion.model_name=NAME" in reason
    assert "cfmodel rollback --to 2 --set promotion.model_name=films" in reason
    assert "On no ratings, since the two are of different catalogues" in decision_markdown(decision)


def test_a_decision_has_metrics_tags_and_json() -> None:
    decision = decided()
    assert decision.metrics()["promotion/champion_difference"] == pytest.approx(-0.05)
    assert decision.metrics()["promotion/damped_bias_rmse"] == 0.95
    assert decision.tags()["promotion.verdict"] == "promoted"
    assert decision.tags()["promotion.champion_difference_high"] == "-0.04"
    assert json.loads(decision.as_json())["comparison"]["against_champion"]["low"] == -0.06
