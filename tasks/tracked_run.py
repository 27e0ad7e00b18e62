"""The MLflow run of a flow run: a new one, or one that an earlier process left unfinished."""

from collections.abc import Iterator
from contextlib import contextmanager

from prefect.logging import get_run_logger
from prefect.runtime import flow_run

from cfmodel import terminal, tracking
from cfmodel.config import PipelineSettings
from cfmodel.provenance import identity_of
from cfmodel.refs import SplitRef
from cfmodel.tracking import OpenRun
from cfmodel.training.devices import resolve_device


@contextmanager
def tracked_run(split: SplitRef, settings: PipelineSettings, *, resume: str | None = None) -> Iterator[OpenRun]:
    """Hold the MLflow run of a block of tasks, described; see `opened_run` for how it ends.

    Raises:
        LeaseError, CheckpointError: The run to resume is being worked on, or cannot be gone on with.
    """
    identity = identity_of(split, settings, device=str(resolve_device(settings.runtime.device)))
    this = flow_run.get_id()
    with tracking.opened_run(
        split.source, settings, identity=identity, flow_run=this and str(this), resume=resume
    ) as opened:
        _tell(f"goes on with run {opened.run.run_id}" if opened.resumed else f"MLflow run {opened.run.run_id}")
        with _can_be_resumed(opened):
            tracking.sync_earlier(settings.tracking, opened.run)
            if not opened.described:
                tracking.log_settings(opened.run, settings, source=split.source)
            tracking.log_split(opened.run, split)
            if split.data is not None:
                tracking.log_dataset(opened.run, split.data)
            yield opened


@contextmanager
def _can_be_resumed(opened: OpenRun) -> Iterator[None]:
    """Say how to go on where the block is told to stop."""
    try:
        yield
    except Exception:
        raise
    except BaseException:
        _tell(f"stopped; go on with: cfmodel run --resume {opened.run.run_id}")
        raise


def _tell(line: str) -> None:
    get_run_logger().info(line)
    terminal.current().say(line)
