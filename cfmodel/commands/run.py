"""`cfmodel run`: the pipeline, here and now."""

from rich.console import Console

from cfmodel import tracking
from cfmodel.commands.ui import opening_command
from cfmodel.config import PipelineSettings
from cfmodel.data.sources.sources import check
from cfmodel.errors import ConfigError
from cfmodel.refs import RunRef


def run(source: str | None, settings: PipelineSettings, *, console: Console, resume: str | None = None) -> None:
    """Run the pipeline and show what came out.

    Args:
        source: What to learn from; None: what the run to resume learned from, else generated ratings.
        settings: How; a run to resume has its own, but for where to run and where it is recorded.
        console: Where to show it.
        resume: Id or name of an unfinished run to go on with.

    Raises:
        CFModelError: A refusal of ours from any step.
    """
    if resume is not None:
        source, settings = _order(resume, source, settings)
    source = source or "synthetic"
    # A typo is told at once, not after the servers are up, nor after torch is imported.
    for named in filter(None, (source, settings.split.test_source)):
        check(named)
    from cfmodel import terminal
    from cfmodel.training.devices import resolve_device

    resolve_device(settings.runtime.device)
    screen = terminal.Screen(console)
    screen.begin(source, settings)
    with terminal.showing(screen):
        finished = _run_pipeline(source, settings, resume)
    summary = tracking.read_run(finished.tracking_uri, finished.run_id)
    screen.result(summary.metrics, summary.tags)
    screen.say(f"MLflow: {tracking.experiment_url(finished)}")
    if (command := opening_command(finished.tracking_uri)) is not None:
        screen.say(f"Open it with: {command}")


def _order(resume: str, source: str | None, settings: PipelineSettings) -> tuple[str, PipelineSettings]:
    """Return what a run was asked to do.

    Raises:
        ConfigError: It is to be resumed with something else.
    """
    begun_with, ordered = tracking.inputs_of(settings, resume)
    default = PipelineSettings()
    told = [name for name in PipelineSettings.model_fields if getattr(settings, name) != getattr(default, name)]
    other = [name for name in told if getattr(settings, name) != getattr(ordered, name)]
    if source not in (None, begun_with):
        other.insert(0, "source")
    if other:
        raise ConfigError(
            f"a run is gone on with as it was begun, and {', '.join(other)} would differ; leave that out, or start "
            "a new run without --resume"
        )
    return begun_with, ordered


def _run_pipeline(source: str, settings: PipelineSettings, resume: str | None) -> RunRef:
    try:
        from flows.local import run_pipeline
    except ModuleNotFoundError as missing:
        raise _explained(missing) from None
    return run_pipeline(source, settings, resume=resume)


def _explained(missing: ModuleNotFoundError) -> Exception:
    if missing.name in {"flows", "flows.local"}:
        return ConfigError(
            "`cfmodel run` runs the flows of a checkout, and there is none here: clone cfmodel and use `make run` in it"
        )
    if missing.name == "prefect":
        return ConfigError("`cfmodel run` needs Prefect, which is not installed: pip install -e '.[flows]'")
    return missing
