"""The policy for checkpoints: the last good epoch in memory, and checkpoints on disk from time to time.

    checkpoints = CheckpointPolicy(CheckpointFolder(folder), identity=identity)
    train(split, settings, device=device, on_record=on_record, checkpoints=checkpoints)

A training with the same folder resumes from the newest good checkpoint, emits all earlier records again, and
ends, on the CPU, with the same bits. Checkpoints hold no random state: the order of an epoch depends on seed
and epoch alone, so the number of steps done is enough.

After a divergence a training returns to the end of an epoch, never to a checkpoint within one, so that no
weight depends on the clock.
"""

import time
from collections.abc import Mapping
from typing import Any

from cfmodel.errors import CheckpointError
from cfmodel.training.epoch_records import OnRecord
from cfmodel.training.resuming.checkpoints import CheckpointFolder, State
from cfmodel.training.resuming.record_replay import RecordReplay


class CheckpointPolicy:
    """Stores the states that a training resumes from.

    Args:
        folder: Where to write checkpoints; None: the last good state is in memory alone.
        identity: Names and values that must be equal for a training to resume from the checkpoints.
        every_seconds: Shortest time between two checkpoints on disk.
        most_share: Largest share of the time for writing; after a slow write the next one is later.

    Attributes:
        last: The last good state at the end of an epoch; None before the first.
        carried: Result of an earlier phase, which is part of every state; see `carry`.
        records: Receives the records of the training.
    """

    def __init__(
        self,
        folder: CheckpointFolder | None = None,
        *,
        identity: Mapping[str, str] | None = None,
        every_seconds: float = 30.0,
        most_share: float = 0.01,
    ) -> None:
        self._folder, self._identity = folder, dict(identity or {})
        self._every, self._most_share = every_seconds, most_share
        self.records = RecordReplay(store=False)
        self._next = time.monotonic() + every_seconds
        self._written: State | None = None
        self.last: State | None = None
        self.carried: dict[str, Any] | None = None

    @property
    def is_on_disk(self) -> bool:
        """Whether checkpoints outlive this process."""
        return self._folder is not None

    @property
    def is_due(self) -> bool:
        """Whether it is time for the next checkpoint on disk."""
        return self.is_on_disk and time.monotonic() >= self._next

    @property
    def where(self) -> str:
        """Where the last state is, for the end of a message."""
        return "" if self._folder is None else f" and written to {self._folder.folder}"

    def begin(self, on_record: OnRecord | None) -> None:
        """Load the newest good checkpoint, if there is one, as `last`, and emit its records again.

        Args:
            on_record: Receives the training's records.

        Raises:
            CheckpointError: The checkpoint belongs to another training, or has another format.
        """
        self.records = RecordReplay(on_record, store=self._folder is not None)
        newest = self._folder.newest() if self._folder is not None else None
        if newest is not None:
            self._require_same(newest["identity"])
            self.records.replay(newest["records"])
            self.last = self._written = newest["training"]
            self.carried = newest["training"]["carried"]

    def carry(self, result: Mapping[str, Any]) -> None:
        """Make the result of an earlier phase part of every later state."""
        self.carried = dict(result)

    def save(self, state: State, *, at_once: bool = False) -> None:
        """Store a good state in memory, and write it if a checkpoint is due.

        Args:
            state: The state; its tensors must not change any more.
            at_once: Write it even if no checkpoint is due.

        Raises:
            DiskFullError, CheckpointError: The checkpoint cannot be written.
        """
        self.last = {**state, "carried": self.carried}
        if at_once or self.is_due:
            self.write()

    def write(self) -> None:
        """Write the last good state, unless it is the newest on disk.

        Raises:
            DiskFullError, CheckpointError: The checkpoint cannot be written.
        """
        if self.last is not None and self.last is not self._written:
            self._write(self.last)
            self._written = self.last

    def write_within_epoch(self, state: State) -> None:
        """Write a good state within an epoch, without storing it in memory: its tensors may change afterwards.

        Raises:
            DiskFullError, CheckpointError: The checkpoint cannot be written.
        """
        self._write({**state, "carried": self.carried})
        self._written = None

    def _write(self, state: State) -> None:
        if self._folder is None:
            return
        began = time.monotonic()
        self._folder.write({"identity": self._identity, "training": state, "records": self.records.tensors()})
        ended = time.monotonic()
        self._next = ended + max(self._every, (ended - began) / self._most_share)

    def _require_same(self, identity: Mapping[str, Any]) -> None:
        other = [name for name, value in self._identity.items() if identity.get(name) != value]
        if other:
            raise CheckpointError(
                f"the checkpoint belongs to a training that differs in {', '.join(other)}; resume with the same "
                f"{' and '.join(other)}, or start a new run"
            )
