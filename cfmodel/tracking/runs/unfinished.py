"""Find runs to resume, in the store and on this disk."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cfmodel.config import PipelineSettings, TrackingSettings
from cfmodel.errors import CFModelError, StoreAwayError, TrackingError
from cfmodel.tracking.outbox.deliver import DeliveryProgress
from cfmodel.tracking.outbox.journal import JOURNAL, journal_folder
from cfmodel.tracking.outbox.mlflow_sender import LOCAL_ID
from cfmodel.tracking.run import Run, RunSummary
from cfmodel.tracking.runs.find_runs import find_run
from cfmodel.tracking.runs.leases import LEASE_TAG
from cfmodel.tracking.runs.lifecycle import open_run, read_run, summary_of
from cfmodel.tracking.runs.list_runs import search_runs
from cfmodel.tracking.store import experiment_of, is_missing, reaching, resolve_uri

#: Tag that says which flow run a run belongs to.
FLOW_RUN = "prefect_flow_run_id"
#: Most unfinished runs that one start looks at.
_MOST = 100

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Candidate:
    """A run that may be resumed, and the folders on this machine of its checkpoints and journal, if they exist."""

    summary: RunSummary
    folder: Path
    journal: Path

    @classmethod
    def of(cls, summary: RunSummary, settings: PipelineSettings) -> Self:
        """Find a run's folders, which have its local id if it was begun while the store was away."""
        local_id, data_dir = summary.tags.get(LOCAL_ID, summary.run.run_id), settings.runtime.data_dir
        return cls(summary, checkpoints_folder(data_dir, local_id), journal_folder(data_dir, local_id))

    @property
    def lease_tags(self) -> Mapping[str, str]:
        """The tags that may hold a lease: a run that was ended has none."""
        return self.summary.tags if self.summary.status == "RUNNING" else {}

    @property
    def has_journal(self) -> bool:
        """Whether its journal is on this machine."""
        return (self.journal / JOURNAL).exists()


def checkpoints_folder(data_dir: Path, run_id: str = "") -> Path:
    """Return the folder of a run's checkpoints and lease while it is not finished; without an id, that of all runs."""
    return data_dir / "checkpoints" / run_id


def named_candidate(settings: PipelineSettings, name: str) -> Candidate:
    """Return the run of an id or a name, as the store knows it; as this disk does while the store is away.

    Raises:
        TrackingError: There is no such run.
    """
    data_dir = settings.runtime.data_dir
    journal = journal_folder(data_dir, name)
    if not (journal / JOURNAL).exists():
        return Candidate.of(find_run(settings.tracking, name), settings)
    run_id, uri = DeliveryProgress.read(journal).run_id, resolve_uri(settings.tracking)
    try:
        if run_id is not None:
            return Candidate.of(read_run(uri, run_id), settings)
    except StoreAwayError as away:
        _log.warning("run %s is looked up on this disk only: %s", name, away)
    return Candidate(summary_of(open_run(settings.tracking, journal)), checkpoints_folder(data_dir, name), journal)


def unfinished_candidates(settings: PipelineSettings, flow_run: str | None) -> list[Candidate]:
    """Return the runs to resume or to close: those of this flow run first, then the newest.

    While the store is away these are the runs of this machine.
    """
    uri = resolve_uri(settings.tracking)
    local = list(_on_this_disk(settings))
    try:
        stored = [] if is_missing(uri) else _in_the_store(uri, settings.tracking, flow_run)
        local = [each for each in local if not each.summary.run.experiment_id]  # the store does not know those yet
    except TrackingError as away:
        _log.warning("unfinished runs are looked for on this disk only: %s", away)
        stored = []
    found = [*(Candidate.of(summary, settings) for summary in stored), *local]
    return sorted(found, key=lambda each: flow_run is None or each.summary.tags.get(FLOW_RUN) != flow_run)


def status_of(run: Run) -> str:
    """Return the last status of a run; a run whose journal was removed is finished."""
    if run.journal_folder is not None and not (run.journal_folder / JOURNAL).exists():
        return "FINISHED"
    return summary_of(run).status


def _in_the_store(uri: str, settings: TrackingSettings, flow_run: str | None) -> list[RunSummary]:
    queries = [f"attributes.status = 'RUNNING' AND tags.{LEASE_TAG} LIKE '%'"]
    if flow_run is not None:
        queries.append(f"attributes.status != 'FINISHED' AND tags.{FLOW_RUN} = '{flow_run}'")
    with reaching(uri, "looking for unfinished runs"):
        pages = [search_runs(uri, experiment_of(settings), query, most=_MOST) for query in queries]
        return [read_run(uri, run_id) for run_id in dict.fromkeys(run.info.run_id for page in pages for run in page)]


def _on_this_disk(settings: PipelineSettings) -> Iterator[Candidate]:
    """Yield the runs with checkpoints here whose journals say RUNNING, newest first."""
    folders = checkpoints_folder(settings.runtime.data_dir).glob("*/")
    for folder in sorted(folders, key=lambda each: each.stat().st_mtime, reverse=True):
        journal = journal_folder(settings.runtime.data_dir, folder.name)
        try:
            if (journal / JOURNAL).exists():
                summary = summary_of(open_run(settings.tracking, journal))
                if summary.status == "RUNNING":
                    yield Candidate(summary, folder, journal)
        except (CFModelError, OSError) as trouble:
            _log.debug("%s is skipped: %s", folder, trouble)
