"""The MLflow run of a flow run: a new one, or an unfinished one that is resumed."""

from collections.abc import Iterator
from contextlib import contextmanager

from prefect.logging import get_run_logger
from prefect.runtime import flow_run

from cfmodel import terminal, tracking
from cfmodel.config import PipelineSettings
from cfmodel.provenance import training_identity
from cfmodel.refs import SplitRef
from cfmodel.tracking import OpenRun
from cfmodel.training.planning.devices import resolve_device

#: Refuse a store that no run can be recorded in, before any work is done.
require_room = tracking.require_room


@contextmanager
def tracked_run(split: SplitRef, settings: PipelineSettings, *, resume: str | None = None) -> Iterator[OpenRun]:
    """Open the MLflow run for a block of tasks, and record settings and data in it; see `opened_run` for how it ends.

    `resume` is the id or name of an unfinished run; None: a new run, or one whose process was killed.
    """
    identity = training_identity(split, settings, device=str(resolve_device(settings.runtime.device)))
    this = flow_run.get_id()
    with tracking.opened_run(
        split.source, settings, identity=identity, flow_run=this and str(this), resume=resume
    ) as opened:
        _log(f"resuming run {opened.run.run_id}" if opened.resumed else f"MLflow run {opened.run.run_id}")
        with _log_how_to_resume(opened):
            tracking.sync_earlier(settings.tracking, opened.run)
            if not opened.described:
                tracking.log_settings(opened.run, settings, source=split.source)
            tracking.log_split(opened.run, split)
            if split.data is not None:
                tracking.log_dataset(opened.run, split.data)
            yield opened


@contextmanager
def _log_how_to_resume(opened: OpenRun) -> Iterator[None]:
    """Log the command that resumes the run if the block is interrupted."""
    try:
        yield
    except Exception:
        raise
    except BaseException:
        _log(f"stopped; resume with: cfmodel run --resume {opened.run.run_id}")
        raise


def _log(line: str) -> None:
    get_run_logger().info(line)
    terminal.current_screen().print_line(line)
