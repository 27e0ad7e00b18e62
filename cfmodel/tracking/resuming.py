"""Runs that were left unfinished: taken up again where that can be exact, else closed.

    with opened_run(split, settings, source=source, identity=identity) as run:
        ...   # a new run, or one whose process is gone; its lease is held for as long as the block

A run is unfinished if it says RUNNING and its lease is free: its process was killed, or its machine
lost. Each start looks for such runs of its experiment. The newest that would end in the same weights
and has a good checkpoint is taken up, the others are closed as KILLED. One that was told to stop is
KILLED already, and taken up only when asked for by name or by the same flow run.
"""

import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cfmodel.config import PipelineSettings, TrackingSettings
from cfmodel.errors import CheckpointError, LeaseError, TrackingError
from cfmodel.tracking.finding import find_run
from cfmodel.tracking.leases import TAG, Heartbeat, Lease, is_free, require_free
from cfmodel.tracking.runs import Run, RunSummary, end_run, read_run, set_tags, start_run
from cfmodel.tracking.store import client, is_missing, reaching, resolve_uri
from cfmodel.training.checkpoints import CheckpointFolder

#: Tag that says which flow run a run belongs to.
FLOW_RUN = "prefect_flow_run_id"
#: What a run was asked to do, beside its checkpoints.
_ORDER = "run.json"
#: Most unfinished runs looked at in one start.
_MOST = 100

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


def run_folder(data_dir: Path, run_id: str) -> Path:
    """Return where a run keeps its checkpoints and its lock while it is not finished."""
    return data_dir / "checkpoints" / run_id


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

    Args:
        source: What is learned from, as given.
        settings: How.
        identity: What must be equal for a run to be taken up again, by tag.
        flow_run: The orchestrator's id of this attempt: an unfinished run of the same one goes first.
        resume: Id or name of the one run to take up; None: whichever there is, else a new one.

    Raises:
        LeaseError: The run asked for is being worked on.
        CheckpointError: The run asked for cannot be gone on with; the message says why.
        TrackingError: There is no such run, or the store is away.
    """
    with ExitStack() as held:
        found = _asked_for(held, resume, settings, identity) if resume else _left(held, settings, identity, flow_run)
        if found is not None:
            run = found.run
            _reopen(found, flow_run)
        else:
            run = _started(held, source, settings, identity, flow_run)
        folder = run_folder(settings.runtime.data_dir, run.run_id)
        described = found is not None and bool(found.params)
        yield OpenRun(run, folder, identity, resumed=found is not None, described=described)
        shutil.rmtree(folder, ignore_errors=True)  # finished: there is nothing to go on with


def order_of(settings: PipelineSettings, resume: str) -> tuple[str, PipelineSettings]:
    """Return the source and the settings a run was begun with; where to run and where it is recorded is as given.

    Raises:
        CheckpointError: The run left nothing on this machine.
        TrackingError: There is no such run, or the store is away.
    """
    found = find_run(settings.tracking, resume)
    path = run_folder(settings.runtime.data_dir, found.run.run_id) / _ORDER
    try:
        order = json.loads(path.read_text(encoding="utf-8"))
        here = {"tracking": settings.tracking, "runtime": settings.runtime}
        return order["source"], PipelineSettings.of(order["settings"] | here)
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"run {found.run.run_id} ({found.status}) cannot be gone on with: {path} cannot be read "
            f"({type(error).__name__}). A finished run has no checkpoints any more; one of another machine "
            "is gone on with there; for one of another runtime.data_dir, set that"
        ) from None


def _asked_for(held: ExitStack, resume: str, settings: PipelineSettings, identity: Mapping[str, str]) -> RunSummary:
    """Take the lease of the run asked for."""
    summary = find_run(settings.tracking, resume)
    folder = run_folder(settings.runtime.data_dir, summary.run.run_id)
    require_free(summary.run, summary.tags, folder)
    with ExitStack() as trial:
        trial.enter_context(Lease(summary.run, folder))
        fresh = read_run(summary.run.tracking_uri, summary.run.run_id)
        if (hindrance := _hindrance(fresh, folder, identity)) is not None:
            raise CheckpointError(f"run {summary.run.run_id} cannot be gone on with: {hindrance}")
        held.push(trial.pop_all())
    return fresh


def _left(
    held: ExitStack, settings: PipelineSettings, identity: Mapping[str, str], flow_run: str | None
) -> RunSummary | None:
    """Take the lease of the best of the unfinished runs, and close the others that nobody is at work on."""
    taken: RunSummary | None = None
    for summary in _unfinished(settings.tracking, flow_run):
        folder = run_folder(settings.runtime.data_dir, summary.run.run_id)
        if flow_run is not None and summary.tags.get(FLOW_RUN) == flow_run:
            require_free(summary.run, summary.tags, folder)  # two attempts at one flow run would be at odds
        with ExitStack() as trial:
            if not _taken(trial, summary, folder):
                continue
            hindrance = f"run {taken.run.run_id} goes on" if taken else _hindrance(summary, folder, identity)
            if hindrance is None:
                taken = summary
                held.push(trial.pop_all())
            elif summary.status == "RUNNING":
                _close(summary.run, hindrance)
    return taken


def _taken(trial: ExitStack, summary: RunSummary, folder: Path) -> bool:
    """Take the lease of a run if it is free and nobody has dealt with the run meanwhile."""
    if not is_free(summary.run, summary.tags, folder):
        return False
    try:
        trial.enter_context(Lease(summary.run, folder))
    except LeaseError:
        return False
    return read_run(summary.run.tracking_uri, summary.run.run_id).status == summary.status


def _unfinished(settings: TrackingSettings, flow_run: str | None) -> list[RunSummary]:
    """Return the runs to take up or to close: those of this flow run first, then the newest."""
    uri = resolve_uri(settings)
    queries = [f"attributes.status = 'RUNNING' AND tags.{TAG} LIKE '%'"]
    if flow_run is not None:
        queries.insert(0, f"attributes.status != 'FINISHED' AND tags.{FLOW_RUN} = '{flow_run}'")
    if is_missing(uri):
        return []
    try:
        with reaching(uri, "looking for unfinished runs"):
            found = [run_id for query in queries for run_id in _search(uri, settings.experiment, query)]
            return [read_run(uri, run_id) for run_id in dict.fromkeys(found)]
    except TrackingError as refusal:
        _log.warning("unfinished runs are left for the next start: %s", refusal)
        return []


def _search(uri: str, experiment: str, query: str) -> list[str]:
    """Return the ids of an experiment's runs that answer a query, newest first."""
    store = client(uri)
    within = store.get_experiment_by_name(experiment)
    if within is None:
        return []
    newest = ["attributes.start_time DESC"]
    return [
        run.info.run_id for run in store.search_runs([within.experiment_id], query, max_results=_MOST, order_by=newest)
    ]


def _hindrance(summary: RunSummary, folder: Path, identity: Mapping[str, str]) -> str | None:
    """Say why a run cannot be gone on with; None where it can."""
    if summary.status == "FINISHED":
        return "it is finished"
    other = [
        f"{name} was {summary.tags.get(name, 'not recorded')} and is {value}"
        for name, value in identity.items()
        if summary.tags.get(name) != value
    ]
    if other:
        return f"it would not end as it began: {'; '.join(other)}"
    try:
        missing = CheckpointFolder(folder).newest() is None
    except CheckpointError as refusal:
        return str(refusal)
    return f"there is no good checkpoint in {folder}" if missing else None


def _close(run: Run, reason: str) -> None:
    set_tags(run, {"killed": f"its process was gone, and it was not gone on with: {reason}"})
    end_run(run, "KILLED")
    _log.warning("run %s was left by its process and is closed as KILLED: %s", run.run_id, reason)


def _reopen(summary: RunSummary, flow_run: str | None) -> None:
    run, times = summary.run, int(summary.tags.get("resumed", "0")) + 1
    with reaching(run.tracking_uri, "taking the run up again"):
        client(run.tracking_uri).update_run(run.run_id, status="RUNNING")
    set_tags(run, {"resumed": str(times), **_of_flow_run(flow_run)})


def _started(
    held: ExitStack, source: str, settings: PipelineSettings, identity: Mapping[str, str], flow_run: str | None
) -> Run:
    tags = {**identity, **_of_flow_run(flow_run), **Heartbeat.now().as_tag()}
    run = start_run(settings.tracking, tags=tags)
    folder = run_folder(settings.runtime.data_dir, run.run_id)
    held.enter_context(Lease(run, folder))
    _write_order(folder / _ORDER, {"source": source, "settings": settings.model_dump(mode="json")})
    return run


def _write_order(path: Path, order: Mapping[str, Any]) -> None:
    """Write what a run was asked to do, for this account alone: an address may hold a password."""
    temporary = path.with_name(f".tmp-{path.name}")
    temporary.touch(mode=0o600)
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(order, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _of_flow_run(flow_run: str | None) -> dict[str, str]:
    return {} if flow_run is None else {FLOW_RUN: flow_run}
