"""`cfmodel run`: run the pipeline in this process."""

import os
from pathlib import Path

from rich.console import Console

from cfmodel import tracking
from cfmodel.commands.ui import opening_command
from cfmodel.config import PipelineSettings
from cfmodel.data.ingest.look import look
from cfmodel.errors import ConfigError
from cfmodel.refs import RunRef
from cfmodel.system.homes import require_writable


def run(source: str | None, settings: PipelineSettings, *, console: Console, resume: str | None = None) -> None:
    """Run the pipeline and print the result.

    Args:
        source: The ratings; None: those of the run to resume, else generated ratings.
        settings: All settings. A run to resume has its own, except for where to run and where it is recorded.
        resume: Id or name of an unfinished run to resume.

    Raises:
        CFModelError: A step refused something.
    """
    if resume is not None:
        source, settings = _source_and_settings_of(resume, source, settings)
    source = source or "synthetic"
    # Refuse what is wrong at once, before servers are started and torch is imported.
    seen = look(source, settings.ingest, settings.split)
    require_writable(settings.runtime.data_dir, setting="runtime.data_dir")
    require_writable(Path(os.environ.get("PREFECT_HOME") or "~/.prefect").expanduser(), setting="PREFECT_HOME")
    from cfmodel import terminal
    from cfmodel.training.planning.devices import resolve_device

    resolve_device(settings.runtime.device)
    screen = terminal.Screen(console)
    screen.begin(source, settings)
    screen.tell(seen.read_as, seen.doubts)
    with terminal.use_screen(screen):
        finished = _run_pipeline(source, settings, resume)
    summary = tracking.read_run(finished.tracking_uri, finished.run_id)
    screen.result(summary.metrics, summary.tags)
    screen.print_line(f"MLflow: {tracking.experiment_url(finished)}")
    if (command := opening_command(finished.tracking_uri)) is not None:
        screen.print_line(f"Open it with: {command}")


def _source_and_settings_of(
    resume: str, source: str | None, settings: PipelineSettings
) -> tuple[str, PipelineSettings]:
    """Return the source and the settings that a run was started with.

    Raises:
        ConfigError: Another source or other settings are given.
    """
    run_source, run_settings = tracking.inputs_of(settings, resume)
    default = PipelineSettings()
    given = [name for name in PipelineSettings.model_fields if getattr(settings, name) != getattr(default, name)]
    other = [name for name in given if getattr(settings, name) != getattr(run_settings, name)]
    if source not in (None, run_source):
        other.insert(0, "source")
    if other:
        raise ConfigError(
            f"a run is resumed with its own source and settings, and {', '.join(other)} would differ; leave that "
            "out, or start a new run without --resume"
        )
    return run_source, run_settings


def _run_pipeline(source: str, settings: PipelineSettings, resume: str | None) -> RunRef:
    try:
        from flows.local import run_pipeline
    except ModuleNotFoundError as missing:
        raise _explain_import_error(missing) from None
    return run_pipeline(source, settings, resume=resume)


def _explain_import_error(missing: ModuleNotFoundError) -> Exception:
    if missing.name in {"flows", "flows.local"}:
        return ConfigError(
            "`cfmodel run` needs the flows of a checkout, and this is not one: clone cfmodel and use `make run` in it"
        )
    if missing.name == "prefect":
        return ConfigError("`cfmodel run` needs Prefect, which is not installed: pip install -e '.[flows]'")
    return missing
