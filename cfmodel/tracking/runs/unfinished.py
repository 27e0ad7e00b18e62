"""Runs that no process has finished, in the store and on this disk."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cfmodel.config import PipelineSettings, TrackingSettings
from cfmodel.errors import CFModelError, StoreAwayError, TrackingError
from cfmodel.tracking.outbox.delivery_progress import Sent
from cfmodel.tracking.outbox.journal import JOURNAL, journal_folder
from cfmodel.tracking.outbox.mlflow_sender import LOCAL_ID
from cfmodel.tracking.run import Run, RunSummary
from cfmodel.tracking.runs.find_runs import find_run
from cfmodel.tracking.runs.leases import TAG
from cfmodel.tracking.runs.lifecycle import open_run, read_run, told_of
from cfmodel.tracking.store import client, is_missing, reaching, resolve_uri

#: Tag that says which flow run a run belongs to.
FLOW_RUN = "prefect_flow_run_id"
#: Folder, below that for data, of the checkpoints of all runs.
CHECKPOINTS = "checkpoints"
#: Most unfinished runs looked at in one start.
_MOST = 100

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Left:
    """A run that was left, and where on this machine it is, if it is.

    Attributes:
        told: What is known about it.
        folder: Where its checkpoints are.
        journal: Where its journal is.
    """

    told: RunSummary
    folder: Path
    journal: Path

    @classmethod
    def of(cls, told: RunSummary, settings: PipelineSettings) -> Self:
        """Find a run's folders: one begun while the store was away goes by another id on this disk."""
        local_id = told.tags.get(LOCAL_ID, told.run.run_id)
        return cls(told, cls.folder_of(settings, local_id), journal_folder(settings.runtime.data_dir, local_id))

    @staticmethod
    def folder_of(settings: PipelineSettings, run_id: str) -> Path:
        """Return where a run keeps its checkpoints and its lock while it is not finished."""
        return settings.runtime.data_dir / CHECKPOINTS / run_id

    @property
    def signs(self) -> Mapping[str, str]:
        """The tags that may hold a sign of life; who ended a run is no longer at work on it."""
        return self.told.tags if self.told.status == "RUNNING" else {}

    @property
    def has_journal(self) -> bool:
        """Whether what it recorded is known here."""
        return (self.journal / JOURNAL).exists()


def asked_for(settings: PipelineSettings, name: str) -> Left:
    """Return the run of an id or a name, as the store knows it; as this disk does where the store does not answer.

    Raises:
        TrackingError: There is no such run.
    """
    journal = journal_folder(settings.runtime.data_dir, name)
    if not (journal / JOURNAL).exists():
        return Left.of(find_run(settings.tracking, name), settings)
    run_id, uri = Sent.read(journal).run_id, resolve_uri(settings.tracking)
    try:
        if run_id is not None:
            return Left.of(read_run(uri, run_id), settings)
    except StoreAwayError as away:
        _log.warning("run %s is looked up on this disk alone: %s", name, away)
    return Left(told_of(open_run(settings.tracking, journal)), Left.folder_of(settings, name), journal)


def left_runs(settings: PipelineSettings, flow_run: str | None) -> list[Left]:
    """Return the runs to take up or to close: those of this flow run first, then the newest.

    Where the store is away these are the ones of this machine.
    """
    uri = resolve_uri(settings.tracking)
    here = list(_on_this_disk(settings))
    try:
        there = [] if is_missing(uri) else _in_the_store(uri, settings.tracking, flow_run)
        here = [run for run in here if not run.told.run.experiment_id]  # the store knows nothing of those yet
    except TrackingError as away:
        _log.warning("unfinished runs are looked for on this disk alone: %s", away)
        there = []
    found = [*(Left.of(read, settings) for read in there), *here]
    return sorted(found, key=lambda left: flow_run is None or left.told.tags.get(FLOW_RUN) != flow_run)


def status_of(run: Run) -> str:
    """Return what a run was last said to be; the journal of one that finished is gone."""
    if run.spool is not None and not (run.spool / JOURNAL).exists():
        return "FINISHED"
    return told_of(run).status


def _in_the_store(uri: str, settings: TrackingSettings, flow_run: str | None) -> list[RunSummary]:
    queries = [f"attributes.status = 'RUNNING' AND tags.{TAG} LIKE '%'"]
    if flow_run is not None:
        queries.append(f"attributes.status != 'FINISHED' AND tags.{FLOW_RUN} = '{flow_run}'")
    with reaching(uri, "looking for unfinished runs"):
        within = client(uri).get_experiment_by_name(settings.experiment)
        if within is None:
            return []
        ids, newest = [within.experiment_id], ["attributes.start_time DESC"]
        pages = [client(uri).search_runs(ids, query, max_results=_MOST, order_by=newest) for query in queries]
        return [read_run(uri, run_id) for run_id in dict.fromkeys(run.info.run_id for page in pages for run in page)]


def _on_this_disk(settings: PipelineSettings) -> Iterator[Left]:
    """Yield the runs with checkpoints here that their journals say are not ended, newest first."""
    folders = (settings.runtime.data_dir / CHECKPOINTS).glob("*/")
    for folder in sorted(folders, key=lambda each: each.stat().st_mtime, reverse=True):
        journal = journal_folder(settings.runtime.data_dir, folder.name)
        try:
            if (journal / JOURNAL).exists():
                told = told_of(open_run(settings.tracking, journal))
                if told.status == "RUNNING":
                    yield Left(told, folder, journal)
        except (CFModelError, OSError) as trouble:
            _log.debug("%s is passed over: %s", folder, trouble)
