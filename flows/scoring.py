"""From a promoted model to recommendations for every user."""

from typing import Any

from cfmodel.config import PipelineSettings, PromotionSettings, RuntimeSettings, ScoringSettings, TrackingSettings
from cfmodel.refs import ScoresRef
from flows.guarded import flow
from tasks.score import score_users


@flow(name="scoring")
def scoring(
    model: str | None = None,
    users: list[str] | None = None,
    scoring: ScoringSettings = ScoringSettings(),
    promotion: PromotionSettings = PromotionSettings(),
    tracking: TrackingSettings = TrackingSettings(),
    runtime: RuntimeSettings = RuntimeSettings(),
    overrides: dict[str, Any] | None = None,
) -> ScoresRef:
    """Recommend movies to every user, check the lists, and let `latest` point at them.

    Args:
        model: A version by number or alias, or a run; null: the champion.
        users: Ids of the users to score; null: every user the model knows.
        scoring: Length of the lists, memory, what is asked of them before they are published.
        promotion: Which registered model it is a version of.
        tracking: The store it is in.
        runtime: Where to run, and the folder the lists go to.
        overrides: Dotted name to value, such as `{"scoring.k": 20}`.
    """
    sections = {"scoring": scoring, "promotion": promotion, "tracking": tracking, "runtime": runtime}
    settings = PipelineSettings.of(sections, overrides=overrides)
    return score_users(model, users, settings)
