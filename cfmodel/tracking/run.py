"""A run in a store: its names, and a summary of what is known about it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class TrackedRun(Protocol):
    """Anything that names a run in a store, by what `Run` documents: a `Run`, a `RunRef`."""

    @property
    def run_id(self) -> str: ...
    @property
    def tracking_uri(self) -> str: ...
    @property
    def experiment_id(self) -> str: ...
    @property
    def journal_folder(self) -> Path | None: ...


@dataclass(frozen=True)
class Run:
    """A run in a tracking store.

    Attributes:
        run_id: The run's id in the store, or its local id until the store has given it one.
        experiment_id: The experiment the run belongs to; empty until the store is reached.
        journal_folder: Folder of the run's journal; None: no journal, and a store that is away is an error.
    """

    run_id: str
    tracking_uri: str
    experiment_id: str
    name: str
    journal_folder: Path | None = None


@dataclass(frozen=True)
class RunSummary:
    """What is known about a run: its status, the last value of each metric, every parameter and every tag."""

    run: Run
    status: str  # RUNNING, FINISHED, FAILED, KILLED or SCHEDULED
    metrics: dict[str, float]
    params: dict[str, str]
    tags: dict[str, str]
