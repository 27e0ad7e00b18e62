"""The flow from a promoted model to recommendations for every user."""

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
    """Recommend movies to every user, check the lists and publish them as `latest`.

    Args:
        model: A version by number or alias, or a run; null: the champion.
        users: Ids of the users to score; null: every user the model knows.
        scoring: Length of the lists, memory, and checks before publishing.
        promotion: Name of the registered model.
        tracking: The store of the model.
        runtime: Where to run, and the folder of the lists.
        overrides: Dotted name to value, such as `{"scoring.k": 20}`.
    """
    sections = {"scoring": scoring, "promotion": promotion, "tracking": tracking, "runtime": runtime}
    settings = PipelineSettings.of(sections, overrides=overrides)
    return score_users(model, users, settings)
