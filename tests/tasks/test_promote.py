"""The task that registers a model and decides on its promotion."""

from collections.abc import Callable
from typing import Any

from mlflow import MlflowClient

from tasks.promote import promote_model


def test_the_decision_is_on_the_version_and_on_prefects_page(pieces: Any) -> None:
    version = MlflowClient(pieces.run.tracking_uri).get_model_version("cfmodel-synthetic", pieces.decision.version)
    assert version.run_id == pieces.run.run_id
    assert version.tags["promotion.verdict"] == pieces.decision.verdict
    assert f"version {version.version}: {pieces.decision.verdict}" in pieces.artifact("promotion")
    assert pieces.artifact("result") == pieces.recorded.data.tags["mlflow.note.content"]


def test_the_decision_can_be_left_to_the_command(pieces: Any, in_flow: Callable[[Callable[[], Any]], Any]) -> None:
    later = pieces.settings.promotion.model_copy(update={"automatic": False, "model_name": "later"})
    settings = pieces.settings.model_copy(update={"promotion": later})
    assert in_flow(lambda: promote_model(pieces.run, settings)) is None
    aliases = MlflowClient(pieces.run.tracking_uri).get_registered_model("later").aliases
    assert list(aliases) == ["challenger"]
