"""`cfmodel run`: the pipeline, here and now."""

from rich.console import Console

from cfmodel import terminal, tracking
from cfmodel.commands.ui import opening_command
from cfmodel.config import PipelineSettings
from cfmodel.data.sources import check
from cfmodel.errors import ConfigError
from cfmodel.refs import RunRef
from cfmodel.training.devices import resolve_device


def run(source: str, settings: PipelineSettings, *, console: Console) -> None:
    """Run the pipeline and show what came out.

    Raises:
        CFModelError: A refusal of ours from any step.
    """
    # A typo is told at once, not after the servers are up.
    for named in filter(None, (source, settings.split.test_source)):
        check(named)
    resolve_device(settings.runtime.device)
    screen = terminal.Screen(console)
    screen.begin(source, settings)
    with terminal.showing(screen):
        finished = _run_pipeline(source, settings)
    summary = tracking.read_run(finished.tracking_uri, finished.run_id)
    screen.result(summary.metrics, summary.tags)
    screen.say(f"MLflow: {tracking.experiment_url(finished)}")
    if (command := opening_command(finished.tracking_uri)) is not None:
        screen.say(f"Open it with: {command}")


def _run_pipeline(source: str, settings: PipelineSettings) -> RunRef:
    try:
        from flows.local import run_pipeline
    except ModuleNotFoundError as missing:
        raise _explained(missing) from None
    return run_pipeline(source, settings)


def _explained(missing: ModuleNotFoundError) -> Exception:
    if missing.name in {"flows", "flows.local"}:
        return ConfigError(
            "`cfmodel run` runs the flows of a checkout, and there is none here: clone cfmodel and use `make run` in it"
        )
    if missing.name == "prefect":
        return ConfigError("`cfmodel run` needs Prefect, which is not installed: pip install -e '.[flows]'")
    return missing
