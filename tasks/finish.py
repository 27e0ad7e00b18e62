"""End a run: record its times and its description."""

from collections.abc import Sequence

from prefect import task
from prefect.context import FlowRunContext
from prefect.logging import get_run_logger
from prefect.runtime import flow_run

from cfmodel import terminal, tracking
from cfmodel.config import PipelineSettings
from cfmodel.errors import TrackingError
from cfmodel.refs import RunRef
from cfmodel.summaries.run_description import RunResult, result_page
from cfmodel.tracking import ListedRun
from tasks.steps import Step


@task(name="finish")
def finish_run(run: RunRef, steps: Sequence[Step], settings: PipelineSettings, *, inputs: str) -> RunRef:
    """Record the seconds of each step and the description of the MLflow run, and end the run."""
    with tracking.ended_on_error(run):
        tracking.log_metrics(run, {f"time/{step.name}_seconds": step.seconds for step in steps})
        tags = {f"step.{step.name}": "reused" if step.reused else "run" for step in steps}
        tracking.set_tags(run, tags | {tracking.INPUTS_DIGEST: inputs})
        tracking.set_tags(run, {tracking.DESCRIPTION: result_page(_result(run, settings))})
        tracking.end_run(run)
    recorded = tracking.require_recorded(run, wait_seconds=settings.tracking.wait_seconds)
    run = run.known_as(recorded.run_id, recorded.experiment_id, recorded.model_id)
    terminal.current_screen().complete(run)
    return run


def _result(run: RunRef, settings: PipelineSettings) -> RunResult:
    summary = tracking.summary_of(run)
    links = {}
    if run.experiment_id:  # without one, the run is not in the store yet and has no page
        links["this run in MLflow"] = tracking.run_url(run)
        if "health.verdict" in summary.tags:
            links["its gradients"] = tracking.run_url(run, artifact="gradients/report.html")
    if _is_deployed() and flow_run.ui_url:  # the server of another run stops with its command
        links["in Prefect"] = flow_run.ui_url
    source = summary.params.get("source", "")
    return RunResult(source, summary, _others(run, source, settings), links)


def _is_deployed() -> bool:
    # Not `prefect.runtime.deployment`: that asks the server, which may be away by now.
    context = FlowRunContext.get()
    return context is not None and context.flow_run is not None and context.flow_run.deployment_id is not None


def _others(run: RunRef, source: str, settings: PipelineSettings) -> dict[str, ListedRun]:
    """Return the earlier runs to compare this one with; none if the store is away by now."""
    try:
        name = settings.promotion.name_for(source)
        found = {
            "champion": tracking.champion_besides(settings.tracking, run.run_id, model_name=name),
            "last run": tracking.last_completed(settings.tracking),
        }
    except TrackingError as refusal:
        get_run_logger().warning("the result is not compared with earlier runs: %s", refusal)
        return {}
    return {name: other for name, other in found.items() if other is not None}
