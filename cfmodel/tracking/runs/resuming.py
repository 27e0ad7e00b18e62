"""Open a run: resume an unfinished one if that is exact, or start a new one.

    with opened_run(source, settings, identity=identity) as opened:
        ...   # a new run, or one whose process is gone; its lease is held for the length of the block

A run is unfinished if its status is RUNNING and its lease is free: its process was killed, or its machine
was lost. Each start looks for such runs in its experiment. It resumes the newest one that would end in the
same weights and has a good checkpoint, and closes the others as KILLED. A run that was told to stop is
KILLED already, and is resumed only by name or by a retry of the same flow run.
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
from cfmodel.tracking.outbox.journal import journals_folder
from cfmodel.tracking.run import Run
from cfmodel.tracking.runs.leases import Heartbeat, Lease, is_free, require_free
from cfmodel.tracking.runs.lifecycle import end_run, open_run, read_run, reopen_run, set_tags, start_run, status_after
from cfmodel.tracking.runs.unfinished import (
    FLOW_RUN,
    Candidate,
    checkpoints_folder,
    named_candidate,
    status_of,
    unfinished_candidates,
)

#: Source and settings of a run, beside its checkpoints.
_INPUTS = "run.json"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class OpenRun:
    """A run whose lease this process holds.

    Attributes:
        folder: Folder of its checkpoints.
        identity: Tags that must be equal for another training to end in the same weights.
        resumed: Whether an earlier process began it.
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
    """Resume an unfinished run or start a new one, and hold its lease for the length of the block.

    If the block ends in an error and the run is still open, it is ended as FAILED, or as KILLED if the
    block was told to stop. The checkpoints of a finished run are removed.

    Args:
        source: The source of the ratings, as given.
        identity: Tags that must be equal for a run to be resumed.
        flow_run: The orchestrator's id of this attempt: an unfinished run with the same id comes first.
        resume: Id or name of the run to resume; None: any unfinished one, else a new one.

    Raises:
        LeaseError: Another process is at work on the named run.
        CheckpointError: The named run cannot be resumed; the message says why.
        TrackingError: There is no such run.
    """
    with ExitStack() as leases:
        found = (
            _acquire_named(leases, resume, settings, identity)
            if resume
            else _acquire_best(leases, settings, identity, flow_run)
        )
        if found is None:
            opened = _start(leases, source, settings, identity, flow_run)
        else:
            opened = _resume(found, settings, identity, flow_run)
        try:
            yield opened
        except BaseException as error:
            _end(opened.run, error)
            raise
        finally:
            if status_of(opened.run) == "FINISHED":
                shutil.rmtree(opened.folder, ignore_errors=True)


def inputs_of(settings: PipelineSettings, resume: str) -> tuple[str, PipelineSettings]:
    """Return the source and the settings a run was begun with, except the sections `tracking` and `runtime`.

    Raises:
        CheckpointError: The run has no files on this machine.
        TrackingError: There is no such run.
    """
    found = named_candidate(settings, resume)
    path = found.folder / _INPUTS
    try:
        inputs = json.loads(path.read_text(encoding="utf-8"))
        here = {"tracking": settings.tracking, "runtime": settings.runtime}
        return inputs["source"], PipelineSettings.of(inputs["settings"] | here)
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"run {resume} ({found.summary.status}) cannot be resumed: {path} cannot be read "
            f"({type(error).__name__}). A finished run has no checkpoints; a run of another machine must be resumed "
            "there; if it had another runtime.data_dir, set that"
        ) from None


def _acquire_named(
    leases: ExitStack, resume: str, settings: PipelineSettings, identity: Mapping[str, str]
) -> Candidate:
    """Take the lease of the named run."""
    found = named_candidate(settings, resume)
    run_id = found.summary.run.run_id
    if found.summary.status == "FINISHED":
        raise CheckpointError(f"run {run_id} cannot be resumed: it is finished; start another without --resume")
    require_free(found.summary.run, found.lease_tags, found.folder)
    with ExitStack() as trial:
        trial.enter_context(Lease(found.summary.run, found.folder))
        found = named_candidate(settings, resume)  # nobody else changes it from here on
        if (hindrance := _hindrance(found, identity)) is not None:
            raise CheckpointError(f"run {run_id} cannot be resumed: {hindrance}; start another without --resume")
        leases.push(trial.pop_all())
    return found


def _acquire_best(
    leases: ExitStack, settings: PipelineSettings, identity: Mapping[str, str], flow_run: str | None
) -> Candidate | None:
    """Take the lease of the best unfinished run, and close the others that no process is at work on."""
    best: Candidate | None = None
    for each in unfinished_candidates(settings, flow_run):
        if flow_run is not None and each.summary.tags.get(FLOW_RUN) == flow_run:
            require_free(each.summary.run, each.lease_tags, each.folder)  # two attempts at one flow run would conflict
        with ExitStack() as trial:
            if not _is_acquired(trial, each):
                continue
            hindrance = f"run {best.summary.run.run_id} is resumed" if best else _hindrance(each, identity)
            if hindrance is None:
                best = each
                leases.push(trial.pop_all())
            elif each.summary.status == "RUNNING":
                _close(each, settings, hindrance)
    return best


def _is_acquired(trial: ExitStack, found: Candidate) -> bool:
    """Take the lease of a run if it is free and the run's status is unchanged."""
    run = found.summary.run
    if not is_free(run, found.lease_tags, found.folder):
        return False
    try:
        trial.enter_context(Lease(run, found.folder))
    except LeaseError:
        return False
    try:
        return read_run(run.tracking_uri, run.run_id).status == found.summary.status
    except StoreAwayError:
        return True


def _hindrance(found: Candidate, identity: Mapping[str, str]) -> str | None:
    """Return why a run cannot be resumed; None if it can."""
    from cfmodel.training.resuming.checkpoints import CheckpointFolder

    if found.summary.status == "FINISHED":
        return "it is finished"
    tags = found.summary.tags
    different = [
        f"{name} was {tags.get(name, 'not recorded')} and is {value}"
        for name, value in identity.items()
        if tags.get(name) != value
    ]
    if different:
        return f"it would end in other weights: {'; '.join(different)}"
    if not found.has_journal:
        return f"its journal is not on this machine (no {found.journal})"
    try:
        missing = CheckpointFolder(found.folder).newest() is None
    except CheckpointError as refusal:
        return str(refusal)
    return f"there is no good checkpoint in {found.folder}" if missing else None


def _close(found: Candidate, settings: PipelineSettings, reason: str) -> None:
    """End a run that is not resumed; errors are only logged."""
    run_id = found.summary.run.run_id
    try:
        run = open_run(settings.tracking, found.journal) if found.has_journal else found.summary.run
        set_tags(run, {"killed": f"its process was gone, and it was not resumed: {reason}"})
        end_run(run, "KILLED")
    except (TrackingError, OSError) as refusal:
        _log.warning("run %s stays open: %s", run_id, refusal)
        return
    _log.warning("the process of run %s is gone, and the run is closed as KILLED: %s", run_id, reason)


def _resume(found: Candidate, settings: PipelineSettings, identity: Mapping[str, str], flow_run: str | None) -> OpenRun:
    run = open_run(settings.tracking, found.journal)
    reopen_run(run)
    times = int(found.summary.tags.get("resumed", "0")) + 1
    set_tags(run, {"resumed": str(times), **_flow_run_tag(flow_run)})
    return OpenRun(run, found.folder, identity, resumed=True, described=bool(found.summary.params))


def _start(
    leases: ExitStack, source: str, settings: PipelineSettings, identity: Mapping[str, str], flow_run: str | None
) -> OpenRun:
    tags = {**identity, **_flow_run_tag(flow_run), **Heartbeat.now().as_tag()}
    data_dir = settings.runtime.data_dir
    run = start_run(settings.tracking, journals=journals_folder(data_dir), tags=tags)
    folder = checkpoints_folder(data_dir, run.run_id)
    leases.enter_context(Lease(run, folder))
    _write_inputs(folder / _INPUTS, {"source": source, "settings": settings.model_dump(mode="json")})
    return OpenRun(run, folder, identity, resumed=False, described=False)


def _end(run: Run, error: BaseException) -> None:
    """End a run that is still open; a refusal of the store is only logged."""
    try:
        if status_of(run) == "RUNNING":
            end_run(run, status_after(error))
    except (TrackingError, OSError) as refusal:
        _log.warning("run %s stays open: %s", run.run_id, refusal)


def _write_inputs(path: Path, inputs: Mapping[str, Any]) -> None:
    """Write a run's source and settings, readable by this account only: an address may hold a password."""
    with atomic.file(path) as temporary:
        temporary.touch(mode=0o600)
        temporary.write_text(json.dumps(inputs, indent=1), encoding="utf-8")


def _flow_run_tag(flow_run: str | None) -> dict[str, str]:
    return {} if flow_run is None else {FLOW_RUN: flow_run}
