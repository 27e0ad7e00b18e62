"""The last good state of a training: in memory at the end of every epoch, on disk now and then, within epochs, too.

    keeper = CheckpointPolicy(CheckpointFolder(folder), identity=identity)
    train(split, settings, device=device, on_record=on_record, keeper=keeper)

A training given the same folder again goes on from the newest good checkpoint and ends, on the CPU,
with the same bits: it tells its listeners all that it told before, and then what is left. What was
done since is done again. No random stream is kept: the order of an epoch is a function of seed and
epoch alone, so that how many of its steps are done says where in it a training is.

What a training that diverged is set back to is the end of an epoch, whenever checkpoints were written:
a state within one is not kept in memory, and so nothing that is learned hangs on the clock.
"""

import time
from collections.abc import Mapping
from typing import Any

from cfmodel.errors import CheckpointError
from cfmodel.training.epoch_records import OnRecord
from cfmodel.training.resuming.checkpoints import CheckpointFolder, State
from cfmodel.training.resuming.record_replay import RecordReplay


class CheckpointPolicy:
    """Keeps the state a training would go on from.

    Args:
        folder: Where checkpoints go; None: they are kept in memory alone.
        identity: What must be equal for another training to go on from them, by name.
        every_seconds: Shortest time between two checkpoints on disk.
        most_share: Share of the time that writing them may take, whatever `every_seconds` says: after a
            slow one the next is the later for it.

    Attributes:
        last: The good state to set a training back to; None before the first.
        carried: What every state carries along; see `carry`.
        log: What the training tells its records to.
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
        self.log = RecordReplay(lambda _: None, keeping=False)
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
        """Whether it is time for another checkpoint on disk."""
        return self.is_on_disk and time.monotonic() >= self._next

    @property
    def where(self) -> str:
        """Where the last state is, for the end of a sentence."""
        return "" if self._folder is None else f" and kept in {self._folder.folder}"

    def begin(self, on_record: OnRecord) -> None:
        """Take up the newest good checkpoint, if there is one, as `last`, and tell what was told before it.

        Args:
            on_record: Who the training's records are for.

        Raises:
            CheckpointError: The checkpoint is of another training, or of another format.
        """
        self.log = RecordReplay(on_record, keeping=self._folder is not None)
        found = self._folder.newest() if self._folder is not None else None
        if found is not None:
            self._require_same(found["identity"])
            self.log.replay(found["records"])
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
        if at_once or self.is_due:
            self.write()

    def write(self) -> None:
        """Write the last good state, unless it is the newest on disk already.

        Raises:
            DiskFullError, CheckpointError: The disk does not take it.
        """
        if self.last is not None and self.last is not self._written:
            self._write(self.last)
            self._written = self.last

    def write_passing(self, state: State) -> None:
        """Write a good state within an epoch, and keep nothing of it: its tensors may change afterwards.

        Raises:
            DiskFullError, CheckpointError: The disk does not take it.
        """
        self._write({**state, "carried": self.carried})
        self._written = None

    def _write(self, state: State) -> None:
        if self._folder is None:
            return
        began = time.monotonic()
        self._folder.write({"identity": self._identity, "training": state, "records": self.log.tensors()})
        ended = time.monotonic()
        self._next = ended + max(self._every, (ended - began) / self._most_share)

    def _require_same(self, identity: Mapping[str, Any]) -> None:
        other = [name for name, value in self._identity.items() if identity.get(name) != value]
        if other:
            raise CheckpointError(
                f"the checkpoint is of a training that differs in {', '.join(other)}; go on with what it was begun "
                "with, or start a new run"
            )
