"""Run the pipeline from a terminal, with your Prefect server or a temporary one."""

import inspect
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cfmodel import terminal
from cfmodel.config import PipelineSettings
from cfmodel.refs import RunRef
from flows.api import require_answer
from flows.outage import tolerate_outage
from flows.server import prefect_server, send_records_at_end

if TYPE_CHECKING:
    from prefect.client.schemas import State

_RECORD_SECONDS = 120.0
_FAILED_RECORD_SECONDS = 1.0


def run_pipeline(source: str, settings: PipelineSettings, *, resume: str | None = None) -> RunRef:
    """Run the pipeline in this process; every task run is in Prefect's database afterwards.

    The server is the one of PREFECT_API_URL or of the active Prefect profile. Without one, a server is started over
    Prefect's own database and stopped at the end.

    Raises:
        CFModelError: A step refused something.
    """
    # Prefect reads its environment when first imported. Only warnings go to the terminal.
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "WARNING")
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_CLASS", "flows.console.OnlyTheUnexpected")
    os.environ.setdefault("PREFECT_LOGGING_INTERNAL_LEVEL", "CRITICAL")
    # Warnings of this package, as of a store that is away, belong in the run's log too.
    os.environ.setdefault("PREFECT_LOGGING_EXTRA_LOGGERS", "cfmodel")
    # Try a server that is away for a quarter of a minute each time, not for two minutes.
    os.environ.setdefault("PREFECT_CLIENT_MAX_RETRIES", "3")
    from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    from flows.pipeline import pipeline

    parameters = inspect.signature(pipeline.fn).parameters
    sections: dict[str, Any] = {
        name: getattr(settings, name) for name in PipelineSettings.model_fields if name in parameters
    }
    here = {PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}
    with (
        _server() as url,
        temporary_settings(here | {PREFECT_API_URL: url}),
        tolerate_outage(url) as outage,
        send_records_at_end(),
    ):
        state = pipeline(source, **sections, resume=resume, return_state=True)
        _await_records(state)
        run = state.result()
        assert isinstance(run, RunRef)  # only a scheduled run may end without one
        return run
    return outage.result()


@contextmanager
def _server() -> Iterator[str]:
    from prefect.settings import get_current_settings

    current = get_current_settings()
    if current.api.url:
        remedy = "start it, or unset PREFECT_API_URL and this command starts a temporary one"
        require_answer(current.api.url, remedy=remedy)
        yield current.api.url
        return
    with ExitStack() as stack:
        with terminal.current_screen().waiting("starting Prefect"):
            url = stack.enter_context(prefect_server(Path(current.home)))
        yield url


def _await_records(state: "State[Any]") -> None:
    """Wait until the server has recorded the end of every task run of a flow run.

    Task runs reach the server as a stream of events in the order they happened: once the last task has ended there,
    all others have.
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    this_run = FlowRunFilter(id=FlowRunFilterId(any_=[state.state_details.flow_run_id]))
    deadline = time.monotonic() + (_RECORD_SECONDS if state.is_completed() else _FAILED_RECORD_SECONDS)
    with get_client(sync_client=True) as client:
        while time.monotonic() < deadline:
            runs = client.read_task_runs(flow_run_filter=this_run)
            if any(run.name.startswith("promote") and run.state and run.state.is_final() for run in runs):
                return
            time.sleep(0.1)
