"""The last good state of a training: in memory at the end of every epoch, on disk now and then.

    keeper = Keeper(CheckpointFolder(folder), identity=identity)
    train(split, settings, device=device, on_record=on_record, keeper=keeper)

A training given the same folder again goes on from the newest good checkpoint and ends, on the CPU,
with the same bits: it tells its listeners all that it told before, and then what is left. Checkpoints
are of the ends of epochs, since the order of an epoch is a function of seed and epoch alone; what was
done since is done again.
"""

import time
from collections.abc import Mapping
from typing import Any

from cfmodel.errors import CheckpointError
from cfmodel.training.checkpoints import CheckpointFolder, State
from cfmodel.training.interrupts import Interrupted, ShouldStop
from cfmodel.training.record_log import RecordLog
from cfmodel.training.records import OnRecord

#: Share of the time that writing checkpoints may take: after a slow one the next is the later for it.
_MOST = 0.01


class Keeper:
    """Keeps the state a training would go on from.

    Args:
        folder: Where checkpoints go; None: they are kept in memory alone.
        identity: What must be equal for another training to go on from them, by name.
        every_seconds: Shortest time between two checkpoints on disk; writing them takes at most a
            hundredth of the time, whatever this says.

    Attributes:
        last: The last good state; None before the first.
        carried: What every state carries along; see `carry`.
        log: What the training tells its records to.
    """

    def __init__(
        self,
        folder: CheckpointFolder | None = None,
        *,
        identity: Mapping[str, str] | None = None,
        every_seconds: float = 30.0,
    ) -> None:
        self._folder, self._identity, self._every = folder, dict(identity or {}), every_seconds
        self.log = RecordLog(lambda _: None, keeping=False)
        self._next = time.monotonic() + every_seconds
        self._written: State | None = None
        self.last: State | None = None
        self.carried: dict[str, Any] | None = None

    @property
    def is_on_disk(self) -> bool:
        """Whether checkpoints outlive this process."""
        return self._folder is not None

    @property
    def where(self) -> str:
        """Where the last state is, for the end of a sentence."""
        return "" if self._folder is None else f" and kept in {self._folder.folder}"

    def begin(self, on_record: OnRecord) -> None:
        """Take up the newest good checkpoint, if there is one, as `last`, and tell what was told before it.

        Args:
            on_record: Who the training's records are for.

        Raises:
            CheckpointError: The checkpoint is of another training, or of a newer format.
        """
        self.log = RecordLog(on_record, keeping=self._folder is not None)
        found = self._folder.newest() if self._folder is not None else None
        if found is not None:
            self._require_same(found["identity"])
            self.log.retell(found["records"])
            self.last = self._written = found["training"]
            self.carried = found["training"]["carried"]

    def carry(self, found: Mapping[str, Any]) -> None:
        """Keep, with every state from now on, what an earlier phase found."""
        self.carried = dict(found)

    def keep(self, state: State, *, at_once: bool = False) -> None:
        """Take note of a good state, and write it if that is due or asked for.

        Args:
            state: All that is needed to go on, tensors included; they do not change any more.
            at_once: Whether to write it in any case.

        Raises:
            DiskFullError, CheckpointError: The disk does not take it.
        """
        self.last = {**state, "carried": self.carried}
        if at_once or time.monotonic() >= self._next:
            self.write()

    def write(self) -> None:
        """Write the last good state, unless it is on disk already.

        Raises:
            DiskFullError, CheckpointError: The disk does not take it.
        """
        if self._folder is None or self.last is None or self.last is self._written:
            return
        began = time.monotonic()
        self._folder.write({"identity": self._identity, "training": self.last, "records": self.log.tensors()})
        self._written, ended = self.last, time.monotonic()
        self._next = ended + max(self._every, (ended - began) / _MOST)

    def stop_if(self, should_stop: ShouldStop) -> None:
        """Write the last good state and stop the training, if it is to stop.

        Raises:
            Interrupted: It is to stop.
            DiskFullError, CheckpointError: The disk does not take the state.
        """
        if should_stop():
            self.write()
            raise Interrupted

    def _require_same(self, identity: Mapping[str, Any]) -> None:
        other = [name for name, value in self._identity.items() if identity.get(name) != value]
        if other:
            raise CheckpointError(
                f"the checkpoint is of a training that differs in {', '.join(other)}; go on with what it was begun "
                "with, or start a new run"
            )
