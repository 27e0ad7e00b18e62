"""The metric card."""

from cfmodel.evaluation.evaluate import Evaluation


def test_the_metric_card_explains_threshold_denominators_and_ties(evaluation: Evaluation) -> None:
    card = evaluation.metric_card
    for rule in ("rated 4 or higher", "equal scores by the lower movie row", "hits / k", "hits / n", "[1, 5]"):
        assert rule in card
    assert "None" not in card
    for measure in ("ndcg", "recall", "precision", "map", "mrr", "hit_rate", "coverage"):
        assert f"| `{measure}` |" in card
