"""A run in a store: its names, and a summary of what is known about it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class TrackedRun(Protocol):
    """Anything that names a run in a store: a `Run`, a `RunRef`."""

    @property
    def run_id(self) -> str:
        """The run's id in the store, or its local id until the store has given it one."""
        ...

    @property
    def tracking_uri(self) -> str:
        """Address of the store."""
        ...

    @property
    def experiment_id(self) -> str:
        """The experiment the run belongs to; empty until the store is reached."""
        ...

    @property
    def journal_folder(self) -> Path | None:
        """Folder of the run's journal; None: no journal, and a store that is away is an error."""
        ...


@dataclass(frozen=True)
class Run:
    """A run in a tracking store.

    Attributes:
        run_id: The run's id in the store, or its local id until the store has given it one.
        tracking_uri: Address of the store.
        experiment_id: The experiment the run belongs to; empty until the store is reached.
        name: The run's name.
        journal_folder: Folder of the run's journal; None: no journal, and a store that is away is an error.
    """

    run_id: str
    tracking_uri: str
    experiment_id: str
    name: str
    journal_folder: Path | None = None


@dataclass(frozen=True)
class RunSummary:
    """What is known about a run.

    Attributes:
        run: The run.
        status: RUNNING, FINISHED, FAILED, KILLED or SCHEDULED.
        metrics: Last value of each metric.
        params: Every parameter, as text.
        tags: Every tag, as text.
    """

    run: Run
    status: str
    metrics: dict[str, float]
    params: dict[str, str]
    tags: dict[str, str]
