"""Recommend movies to every user with a recorded model."""

from collections.abc import Sequence

from prefect import task
from prefect.artifacts import create_markdown_artifact

from cfmodel import tracking
from cfmodel.config import PipelineSettings
from cfmodel.recommending.score import score
from cfmodel.refs import ScoresRef
from cfmodel.training.planning.devices import limit_threads, resolve_device
from tasks.prefect_output import publish_artifact, record_logger
from tasks.retries import RETRIES


@task(name="score", **RETRIES)
def score_users(model: str | None, users: Sequence[str] | None, settings: PipelineSettings) -> ScoresRef:
    """Score users with a recorded model, check the lists, publish them and return a ref to them."""
    limit_threads(settings.runtime.threads)
    loaded = tracking.load_model(settings, model)
    ref = score(
        loaded.recommender,
        settings.scoring,
        folder=settings.runtime.data_dir,
        model_name=loaded.name,
        users=users,
        device=resolve_device(settings.runtime.device),
        on_record=record_logger(),
    )
    summary = f"**{ref.rows:,} recommendations to {ref.users:,} users** by {ref.model_name}, in {ref.seconds:.1f} s\n\n"
    where = f"- in `{ref.path}`\n- {ref.coverage_fraction:.1%} of the catalogue is in somebody's list\n"
    publish_artifact(
        create_markdown_artifact,
        key="recommendations",
        markdown=summary + where,
        description="Recommendations published",
    )
    return ref
