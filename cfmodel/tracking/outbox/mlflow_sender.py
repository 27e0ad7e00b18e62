"""Send the entries of a journal to MLflow, kind by kind."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlparse

from cfmodel.errors import StoreAwayError, TrackingError
from cfmodel.system import atomic
from cfmodel.tracking.outbox.entries import Became, Data, Entry, File, Param, Point, SavedModel, Start, Tag
from cfmodel.tracking.outbox.journal import FILES
from cfmodel.tracking.recorded_model import record_model
from cfmodel.tracking.run import Run
from cfmodel.tracking.store import client, experiment_named, mlflow, reaching

#: Most entries in one request: MLflow's own limit.
_MOST_IN_REQUEST = 1000
#: Tag with the local id of a run that was begun while the store was away.
LOCAL_ID = "cfmodel.local_id"

_SMALL = (Point, Param, Tag)


def create_run(uri: str, start: Start, *, local_id: str | None = None) -> Run:
    """Create a run, and the experiment and the store if they are missing.

    Args:
        uri: Address of the store.
        start: How the run began.
        local_id: Its id until now. A run in the store with this local id is reused: the process that
            created it was killed before it could note that.

    Raises:
        StoreAwayError: The store is away.
        TrackingError: It refuses, or is of a kind that MLflow keeps no runs in.
    """
    with reaching(uri, "starting a run"):
        experiment_id = experiment_named(uri, start.experiment)
        store = client(uri)
        tags, found = dict(start.tags), []
        if local_id:
            tags[LOCAL_ID] = local_id
            found = store.search_runs([experiment_id], f"tags.`{LOCAL_ID}` = '{local_id}'", max_results=1)
        run = found[0] if found else store.create_run(experiment_id, start.milliseconds, tags, start.name)
    return Run(run.info.run_id, uri, experiment_id, run.info.run_name)


@dataclass(frozen=True)
class MlflowSender:
    """Sends entries to one run of a store.

    Attributes:
        run: The run, with its id in the store.
        folder: Folder of the run's journal.
    """

    run: Run
    folder: Path

    def send(self, batch: Sequence[Entry]) -> str | None:
        """Send one batch of `request_batches`; return the model's id if it was a model.

        Raises:
            StoreAwayError: The store is away; it may have a part of the batch, which can be sent again.
            TrackingError: It refuses the batch or a part of it.
        """
        with reaching(self.run.tracking_uri, "recording"):
            match batch[0]:
                case Data():
                    self._send_data([each for each in batch if isinstance(each, Data)])
                case File() as file:
                    self._send_file(file)
                case Became() as became:
                    self._send_status(became)
                case SavedModel() as saved:
                    return self._send_model(saved)
                case Start():
                    pass
                case _:
                    self._send_small(batch)
        return None

    def is_gone(self) -> bool:
        """Tell whether the run is missing from the store, or deleted there."""
        try:
            with reaching(self.run.tracking_uri, "looking for the run"):
                found = client(self.run.tracking_uri).get_run(self.run.run_id)
        except StoreAwayError:
            raise
        except TrackingError:
            return True
        return bool(found.info.lifecycle_stage == "deleted")

    def _send_small(self, batch: Sequence[Entry]) -> None:
        entities = mlflow().entities
        client(self.run.tracking_uri).log_batch(
            self.run.run_id,
            metrics=[entities.Metric(p.key, p.value, p.milliseconds, p.step) for p in batch if isinstance(p, Point)],
            params=[entities.Param(each.key, each.value) for each in batch if isinstance(each, Param)],
            tags=[entities.RunTag(each.key, each.value) for each in batch if isinstance(each, Tag)],
        )

    def _send_data(self, batch: Sequence[Data]) -> None:
        inputs = [_input(data) for data in batch]
        client(self.run.tracking_uri).log_inputs(self.run.run_id, datasets=inputs)

    def _send_file(self, file: File) -> None:
        kept = self.folder / FILES / file.kept
        if not kept.exists():
            return  # it was sent by a process that was killed before it could note that
        if self._local_artifacts is not None:
            with atomic.file(self._local_artifacts / file.path) as temporary:  # MLflow's own copy may leave half a file
                shutil.copyfile(kept, temporary)
        else:
            parent = str(PurePosixPath(file.path).parent)
            client(self.run.tracking_uri).log_artifact(self.run.run_id, str(kept), "" if parent == "." else parent)

    def _send_status(self, became: Became) -> None:
        store = client(self.run.tracking_uri)
        if became.status == "RUNNING":
            store.update_run(self.run.run_id, status=became.status)
        else:
            store.set_terminated(self.run.run_id, status=became.status, end_time=became.milliseconds)

    def _send_model(self, saved: SavedModel) -> str:
        return record_model(self.run, Path(saved.folder), digest=saved.digest)

    @cached_property
    def _local_artifacts(self) -> Path | None:
        """Folder of the run's artifacts if it is on this machine, else None."""
        uri = client(self.run.tracking_uri).get_run(self.run.run_id).info.artifact_uri
        address = urlparse(uri)
        return Path(unquote(address.path)) if address.scheme in ("", "file") else None


def request_batches(entries: Sequence[tuple[Entry, int]]) -> Iterator[tuple[list[Entry], int]]:
    """Divide entries, each with its end position, into batches of one request each, in order."""
    batch: list[Entry] = []
    last = 0
    for entry, end in entries:
        if batch and not (_fit_together(batch[-1], entry) and len(batch) < _MOST_IN_REQUEST):
            yield batch, last
            batch = []
        batch.append(entry)
        last = end
    if batch:
        yield batch, last


def _fit_together(one: Entry, other: Entry) -> bool:
    return any(isinstance(one, kind) and isinstance(other, kind) for kind in (_SMALL, Data))


def _input(data: Data) -> Any:
    entities = mlflow().entities
    tag = entities.InputTag("mlflow.data.context", data.context)
    return entities.DatasetInput(entities.Dataset(**data.fields), tags=[tag])
