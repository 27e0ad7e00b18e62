"""Runs that were left unfinished: taken up again where that can be exact, else closed.

    with opened_run(source, settings, identity=identity) as opened:
        ...   # a new run, or one whose process is gone; its lease is held for as long as the block

A run is unfinished if it says RUNNING and its lease is free: its process was killed, or its machine
lost. Each start looks for such runs of its experiment. The newest that would end in the same weights
and has a good checkpoint is taken up, the others are closed as KILLED. One that was told to stop is
KILLED already, and taken up only when asked for by name or by the same flow run.
"""

import json
import logging
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cfmodel.config import PipelineSettings
from cfmodel.errors import CheckpointError, LeaseError, StoreAwayError, TrackingError
from cfmodel.system import atomic
from cfmodel.tracking.outbox.journal import spool_folder
from cfmodel.tracking.run import Run
from cfmodel.tracking.runs.leases import Heartbeat, Lease, is_free, require_free
from cfmodel.tracking.runs.lifecycle import end_run, open_run, read_run, reopen_run, set_tags, start_run
from cfmodel.tracking.runs.unfinished import FLOW_RUN, Left, asked_for, left_runs, status_of

#: What a run was asked to do, beside its checkpoints.
_ORDER = "run.json"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class OpenRun:
    """A run whose lease this process holds.

    Attributes:
        run: The run.
        folder: Where its checkpoints are.
        identity: What tells whether another training would end in the same weights, by tag.
        resumed: Whether it was begun by an earlier process.
        described: Whether its settings are recorded already.
    """

    run: Run
    folder: Path
    identity: Mapping[str, str]
    resumed: bool
    described: bool


@contextmanager
def opened_run(
    source: str,
    settings: PipelineSettings,
    *,
    identity: Mapping[str, str],
    flow_run: str | None = None,
    resume: str | None = None,
) -> Iterator[OpenRun]:
    """Take up an unfinished run, or start a new one, and hold its lease for the length of the block.

    A run that is still open when the block ends in an error is ended as FAILED, or as KILLED where
    the block was told to stop. The checkpoints of one that finished are removed.

    Args:
        source: What is learned from, as given.
        settings: How.
        identity: What must be equal for a run to be taken up again, by tag.
        flow_run: The orchestrator's id of this attempt: an unfinished run of the same one goes first.
        resume: Id or name of the one run to take up; None: whichever there is, else a new one.

    Raises:
        LeaseError: The run asked for is being worked on.
        CheckpointError: The run asked for cannot be gone on with; the message says why.
        TrackingError: There is no such run, or the store refuses.
    """
    with ExitStack() as held:
        left = _asked_for(held, resume, settings, identity) if resume else _best(held, settings, identity, flow_run)
        if left is None:
            opened = _started(held, source, settings, identity, flow_run)
        else:
            opened = _taken_up(left, settings, identity, flow_run)
        try:
            yield opened
        except BaseException as error:
            _end(opened.run, error)
            raise
        finally:
            if status_of(opened.run) == "FINISHED":
                shutil.rmtree(opened.folder, ignore_errors=True)


def order_of(settings: PipelineSettings, resume: str) -> tuple[str, PipelineSettings]:
    """Return the source and the settings a run was begun with; where to run and where it is recorded is as given.

    Raises:
        CheckpointError: The run left nothing on this machine.
        TrackingError: There is no such run, or the store is away.
    """
    left = asked_for(settings, resume)
    path = left.folder / _ORDER
    try:
        order = json.loads(path.read_text(encoding="utf-8"))
        here = {"tracking": settings.tracking, "runtime": settings.runtime}
        return order["source"], PipelineSettings.of(order["settings"] | here)
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"run {resume} ({left.told.status}) cannot be gone on with: {path} cannot be read "
            f"({type(error).__name__}). A finished run has no checkpoints any more; one of another machine "
            "is gone on with there; for one of another runtime.data_dir, set that"
        ) from None


def _asked_for(held: ExitStack, resume: str, settings: PipelineSettings, identity: Mapping[str, str]) -> Left:
    """Take the lease of the run asked for."""
    left = asked_for(settings, resume)
    if left.told.status == "FINISHED":
        raise CheckpointError(f"run {left.told.run.run_id} cannot be gone on with: it is finished")
    require_free(left.told.run, left.signs, left.folder)
    with ExitStack() as trial:
        trial.enter_context(Lease(left.told.run, left.folder))
        left = asked_for(settings, resume)  # nobody changes it from here on
        if (hindrance := _hindrance(left, identity)) is not None:
            raise CheckpointError(f"run {left.told.run.run_id} cannot be gone on with: {hindrance}")
        held.push(trial.pop_all())
    return left


def _best(
    held: ExitStack, settings: PipelineSettings, identity: Mapping[str, str], flow_run: str | None
) -> Left | None:
    """Take the lease of the best of the unfinished runs, and close the others that nobody is at work on."""
    taken: Left | None = None
    for left in left_runs(settings, flow_run):
        if flow_run is not None and left.told.tags.get(FLOW_RUN) == flow_run:
            require_free(left.told.run, left.signs, left.folder)  # two attempts at one flow run would be at odds
        with ExitStack() as trial:
            if not _is_taken(trial, left):
                continue
            hindrance = f"run {taken.told.run.run_id} goes on" if taken else _hindrance(left, identity)
            if hindrance is None:
                taken = left
                held.push(trial.pop_all())
            elif left.told.status == "RUNNING":
                _close(left, settings, hindrance)
    return taken


def _is_taken(trial: ExitStack, left: Left) -> bool:
    """Take the lease of a run if it is free and nobody has dealt with the run meanwhile."""
    run = left.told.run
    if not is_free(run, left.signs, left.folder):
        return False
    try:
        trial.enter_context(Lease(run, left.folder))
    except LeaseError:
        return False
    try:
        return read_run(run.tracking_uri, run.run_id).status == left.told.status
    except StoreAwayError:
        return True


def _hindrance(left: Left, identity: Mapping[str, str]) -> str | None:
    """Say why a run cannot be gone on with; None where it can."""
    from cfmodel.training.resuming.checkpoints import CheckpointFolder

    if left.told.status == "FINISHED":
        return "it is finished"
    told = left.told.tags
    other = [
        f"{name} was {told.get(name, 'not recorded')} and is {value}"
        for name, value in identity.items()
        if told.get(name) != value
    ]
    if other:
        return f"it would not end as it began: {'; '.join(other)}"
    if not left.has_journal:
        return f"what it recorded is not on this machine (no {left.journal})"
    try:
        missing = CheckpointFolder(left.folder).newest() is None
    except CheckpointError as refusal:
        return str(refusal)
    return f"there is no good checkpoint in {left.folder}" if missing else None


def _close(left: Left, settings: PipelineSettings, reason: str) -> None:
    """End a run that nobody goes on with; what goes wrong is only logged."""
    try:
        run = open_run(settings.tracking, left.journal) if left.has_journal else left.told.run
        set_tags(run, {"killed": f"its process was gone, and it was not gone on with: {reason}"})
        end_run(run, "KILLED")
    except (TrackingError, OSError) as refusal:
        _log.warning("run %s stays open: %s", left.told.run.run_id, refusal)
        return
    _log.warning("run %s was left by its process and is closed as KILLED: %s", run.run_id, reason)


def _taken_up(left: Left, settings: PipelineSettings, identity: Mapping[str, str], flow_run: str | None) -> OpenRun:
    run = open_run(settings.tracking, left.journal)
    reopen_run(run)
    set_tags(run, {"resumed": str(int(left.told.tags.get("resumed", "0")) + 1), **_of_flow_run(flow_run)})
    return OpenRun(run, left.folder, identity, resumed=True, described=bool(left.told.params))


def _started(
    held: ExitStack, source: str, settings: PipelineSettings, identity: Mapping[str, str], flow_run: str | None
) -> OpenRun:
    tags = {**identity, **_of_flow_run(flow_run), **Heartbeat.now().as_tag()}
    run = start_run(settings.tracking, spool=spool_folder(settings.runtime.data_dir), tags=tags)
    folder = Left.folder_of(settings, run.run_id)
    held.enter_context(Lease(run, folder))
    _write_order(folder / _ORDER, {"source": source, "settings": settings.model_dump(mode="json")})
    return OpenRun(run, folder, identity, resumed=False, described=False)


def _end(run: Run, error: BaseException) -> None:
    """End a run that is still open; a store that will not have it is only logged."""
    try:
        if status_of(run) == "RUNNING":
            end_run(run, "FAILED" if isinstance(error, Exception) else "KILLED")
    except (TrackingError, OSError) as refusal:
        _log.warning("run %s stays open: %s", run.run_id, refusal)


def _write_order(path: Path, order: Mapping[str, Any]) -> None:
    """Write what a run was asked to do, for this account alone: an address may hold a password."""
    with atomic.file(path) as temporary:
        temporary.touch(mode=0o600)
        temporary.write_text(json.dumps(order, indent=1), encoding="utf-8")


def _of_flow_run(flow_run: str | None) -> dict[str, str]:
    return {} if flow_run is None else {FLOW_RUN: flow_run}
