"""Decide whether a scheduled run has anything new to train on."""

from prefect.context import FlowRunContext
from prefect.logging import get_run_logger

from cfmodel import tracking
from cfmodel.config import TrackingSettings
from cfmodel.errors import TrackingError
from cfmodel.tracking import ListedRun

#: Name of the state that a flow run without new data ends in.
NO_NEW_DATA = "no new data"


def is_scheduled() -> bool:
    """Return whether a schedule started the current flow run; otherwise a person or a program did."""
    context = FlowRunContext.get()
    return context is not None and context.flow_run is not None and bool(context.flow_run.auto_scheduled)


def completed_run_of(inputs: str, settings: TrackingSettings) -> ListedRun | None:
    """Return the last completed run if its data, settings and code are the same; else None.

    If the store is away, the answer is None: to train once too often does less harm than not to train.

    Args:
        inputs: Digest of data, settings and code; see `cfmodel.provenance.inputs_digest`.
        settings: The store and the experiment.
    """
    try:
        last = tracking.last_completed(settings)
    except TrackingError as refusal:
        get_run_logger().warning(
            "the last run cannot be read, so the pipeline trains without knowing whether anything is new: %s", refusal
        )
        return None
    return last if last is not None and last.tags.get(tracking.INPUTS_DIGEST) == inputs else None
