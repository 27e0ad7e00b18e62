"""Whether there is anything to learn from: a scheduled run of what was learned already need not be made."""

from prefect.context import FlowRunContext
from prefect.logging import get_run_logger

from cfmodel import tracking
from cfmodel.config import TrackingSettings
from cfmodel.errors import TrackingError
from cfmodel.tracking import ListedRun

#: Name of the state that such a flow run ends in.
NO_NEW_DATA = "no new data"


def is_scheduled() -> bool:
    """Tell whether a schedule made the flow run under way; a person or a program did otherwise."""
    context = FlowRunContext.get()
    return context is not None and context.flow_run is not None and bool(context.flow_run.auto_scheduled)


def run_of(inputs: str, settings: TrackingSettings) -> ListedRun | None:
    """Return the last completed run if it was made from the same data, settings and code, else None.

    A store that is away gives None: it cannot be told, and training once too often is the smaller harm.
    """
    try:
        last = tracking.last_completed(settings)
    except TrackingError as refusal:
        get_run_logger().warning("cannot tell whether anything is new, so training goes ahead: %s", refusal)
        return None
    return last if last is not None and last.tags.get(tracking.INPUTS_DIGEST) == inputs else None
