"""Entries of a journal told to MLflow: what of each kind is sent, and how."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlparse

from cfmodel.errors import StoreAwayError, TrackingError
from cfmodel.system import atomic
from cfmodel.tracking.outbox.entries import Became, Data, Entry, File, Param, SavedModel, Start, Tag
from cfmodel.tracking.outbox.journal import FILES
from cfmodel.tracking.outbox.training_metrics import Point
from cfmodel.tracking.recorded_model import record_model
from cfmodel.tracking.run import Run
from cfmodel.tracking.store import client, experiment_named, mlflow, reaching

#: Most entries of one request; MLflow takes a thousand.
BATCH = 1000
#: The tag by which a run is found again that was begun while the store was away.
LOCAL_ID = "cfmodel.local_id"

_SMALL = (Point, Param, Tag)


def create_run(uri: str, start: Start, *, local_id: str | None = None) -> Run:
    """Create a run as its journal says, and the experiment and the store where they are missing.

    Args:
        uri: Address of the store.
        start: How the run began.
        local_id: What the run goes by so far. A run that has it already is taken: the process that
            created it was killed before it could note that.

    Raises:
        StoreAwayError: The store is away.
        TrackingError: It refuses, or is a kind MLflow keeps no runs in.
    """
    with reaching(uri, "starting a run"):
        experiment_id = experiment_named(uri, start.experiment)
        store = client(uri)
        mark = {LOCAL_ID: local_id} if local_id else {}
        query = f"tags.`{LOCAL_ID}` = '{local_id}'"
        found = store.search_runs([experiment_id], query, max_results=1) if local_id else []
        made = (
            found[0]
            if found
            else store.create_run(
                experiment_id, start_time=start.milliseconds, tags={**start.tags, **mark}, run_name=start.name
            )
        )
    return Run(made.info.run_id, uri, experiment_id, made.info.run_name)


@dataclass(frozen=True)
class Sender:
    """Sends entries to one run of a store.

    Attributes:
        run: The run, under its id in the store.
        folder: The run's folder below the spool.
    """

    run: Run
    folder: Path

    def send(self, batch: Sequence[Entry]) -> str | None:
        """Send a batch of `batches`; return the id of the model, where it was one.

        Raises:
            StoreAwayError: The store is away; what of the batch it has does not matter.
            TrackingError: It will not have the batch, or a part of it.
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
        """Tell whether the store no longer has the run, or has it among its deleted ones."""
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
            return  # it was sent, and the process killed before it could note that
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
        """The folder of the run's artifacts, where that is one on this machine."""
        uri = client(self.run.tracking_uri).get_run(self.run.run_id).info.artifact_uri
        address = urlparse(uri)
        return Path(unquote(address.path)) if address.scheme in ("", "file") else None


def batches(entries: Sequence[tuple[Entry, int]]) -> Iterator[tuple[list[Entry], int]]:
    """Divide entries, each with the position it ends at, into what goes into one request, in order."""
    batch: list[Entry] = []
    last = 0
    for entry, end in entries:
        if batch and not (_go_together(batch[-1], entry) and len(batch) < BATCH):
            yield batch, last
            batch = []
        batch.append(entry)
        last = end
    if batch:
        yield batch, last


def _go_together(one: Entry, other: Entry) -> bool:
    return any(isinstance(one, kind) and isinstance(other, kind) for kind in (_SMALL, Data))


def _input(data: Data) -> Any:
    entities = mlflow().entities
    tag = entities.InputTag("mlflow.data.context", data.context)
    return entities.DatasetInput(entities.Dataset(**data.fields), tags=[tag])
