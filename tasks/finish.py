"""The end of a run: how long it took, what came out, where to look."""

from collections.abc import Sequence

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.context import FlowRunContext
from prefect.logging import get_run_logger
from prefect.runtime import flow_run

from cfmodel import terminal, tracking
from cfmodel.config import PipelineSettings, TrackingSettings
from cfmodel.errors import TrackingError
from cfmodel.outcome import Outcome, as_markdown
from cfmodel.refs import RunRef
from cfmodel.tracking import ListedRun
from tasks.reporting import publish
from tasks.steps import Step


@task(name="finish")
def finish_run(run: RunRef, steps: Sequence[Step], settings: PipelineSettings, *, inputs: str) -> RunRef:
    """Record how long each step took, end the MLflow run, and show there and on Prefect's page what came out."""
    with tracking.ended_on_error(run):
        tracking.log_metrics(run, {f"time/{step.name}_seconds": step.seconds for step in steps})
        how = {f"step.{step.name}": "reused" if step.reused else "run" for step in steps}
        tracking.set_tags(run, how | {tracking.INPUTS_DIGEST: inputs})
        page = as_markdown(_outcome(run, settings))
        tracking.set_tags(run, {tracking.DESCRIPTION: page})
        tracking.end_run(run)
    recorded = tracking.require_recorded(run, wait_seconds=settings.tracking.wait_seconds)
    run = run.known_as(recorded.run_id, recorded.experiment_id, recorded.model_id)
    publish(create_markdown_artifact, key="result", markdown=page, description="What came of this run")
    terminal.current().end(run)
    return run


def _outcome(run: RunRef, settings: PipelineSettings) -> Outcome:
    summary = tracking.told_of(run)
    links = {}
    if run.experiment_id:  # a run that its store does not know yet has no page
        links["this run in MLflow"] = address = tracking.run_url(run)
        if "health.verdict" in summary.tags:
            links["its gradients"] = f"{address}/artifacts/gradients/report.html"
    if _is_deployed() and flow_run.ui_url:  # a run without one is of a server that goes with its command
        links["in Prefect"] = flow_run.ui_url
    return Outcome(summary.params.get("source", ""), summary, _others(run, settings.tracking), links)


def _is_deployed() -> bool:
    # Not `prefect.runtime.deployment`, which asks the server: it may be away by now.
    context = FlowRunContext.get()
    return context is not None and context.flow_run is not None and context.flow_run.deployment_id is not None


def _others(run: RunRef, settings: TrackingSettings) -> dict[str, ListedRun]:
    """Return the earlier runs that this one is held against; none where the store is away by now."""
    try:
        found = {
            "champion": tracking.champion_besides(settings, run.run_id),
            "last run": tracking.last_completed(settings),
        }
    except TrackingError as refusal:
        get_run_logger().warning("the result is not held against earlier ones: %s", refusal)
        return {}
    return {name: other for name, other in found.items() if other is not None}
