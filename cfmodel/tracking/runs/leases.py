"""Leases: a process holds the lease of the run it works on, so that no other process resumes the run.

A lease has two parts. A file lock in the folder of the run's checkpoints, which the system releases when
the process ends, however it ends: exact and immediate on one machine. And a heartbeat in the run's tag
`lease`, renewed every few seconds, for machines that share only the store: an old heartbeat means that
the process is gone.
"""

import json
import logging
import os
import platform
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from filelock import FileLock, Timeout

from cfmodel.errors import CFModelError, LeaseError
from cfmodel.tracking.outbox.deliver import DeliveryProgress
from cfmodel.tracking.run import TrackedRun
from cfmodel.tracking.store import client, reaching

#: Tag of a run that holds the heartbeat of its lease.
LEASE_TAG = "lease"
#: Seconds between two heartbeats, and the age at which a lease counts as free.
_BEAT_SECONDS, STALE_SECONDS = 15.0, 120.0

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Heartbeat:
    """The last heartbeat of a process at work on a run.

    Attributes:
        system: Id of its running kernel: only processes of the same kernel see its file locks.
        time: When it was written, in seconds since 1970-01-01 UTC.
    """

    process: int
    host: str
    system: str
    time: float

    @classmethod
    def now(cls) -> Self:
        """Return a heartbeat of this process."""
        return cls(os.getpid(), platform.node(), _system(), round(time.time(), 3))

    @classmethod
    def of(cls, tags: Mapping[str, str]) -> Self | None:
        """Read the heartbeat in a run's tags; None if it is missing or cannot be read."""
        try:
            return cls(**json.loads(tags[LEASE_TAG]))
        except (KeyError, TypeError, ValueError):
            return None

    @property
    def age(self) -> float:
        """Seconds since it was written."""
        return time.time() - self.time

    def as_tag(self) -> dict[str, str]:
        """Return the tag that holds it."""
        return {LEASE_TAG: json.dumps(asdict(self))}

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}, last heard of {max(self.age, 0):.0f} s ago"


class Lease:
    """The right to work on a run for the length of a block: `with Lease(run, folder): ...`.

    The folder is that of the run's checkpoints, created if missing.

    Raises:
        LeaseError: On entering: another process is at work on the run.
    """

    def __init__(self, run: TrackedRun, folder: Path) -> None:
        self._run = run
        self._lock = _lock(folder)
        self._over = threading.Event()
        self._beating = threading.Thread(target=self._beat, name=f"lease-{run.run_id}", daemon=True)

    def __enter__(self) -> Self:
        Path(self._lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            raise LeaseError(_held(self._run, "another process on this machine")) from None
        self._beating.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._lock.release()

    def _renew(self) -> None:
        run_id = _id_in_store(self._run)
        if run_id is None:
            return
        # Not through the journal: only the newest heartbeat counts, and one may be lost.
        with reaching(self._run.tracking_uri, "renewing the lease"):
            for key, value in Heartbeat.now().as_tag().items():
                client(self._run.tracking_uri).set_tag(run_id, key, value)

    def _beat(self) -> None:
        while True:
            try:
                self._renew()
            except CFModelError as refusal:
                _log.debug("run %s: %s", self._run.run_id, refusal)  # the file lock still holds
            if self._over.wait(_BEAT_SECONDS):
                return


def _id_in_store(run: TrackedRun) -> str | None:
    """Return the run's id in the store; None while the store does not know it."""
    return run.run_id if run.journal_folder is None else DeliveryProgress.read(run.journal_folder).run_id


def require_free(run: TrackedRun, tags: Mapping[str, str], folder: Path) -> None:
    """Refuse a run that a process is at work on, by its tags as just read and the folder of its checkpoints, if any.

    Raises:
        LeaseError: Its lease is held; the message names the process.
    """
    beat = Heartbeat.of(tags)
    if _is_locked(folder):
        raise LeaseError(_held(run, str(beat or "another process on this machine")))
    if beat is None or (beat.system == _system() and _file(folder).exists()):
        return
    if beat.age < STALE_SECONDS:
        raise LeaseError(
            f"{_held(run, str(beat))}. If that process is gone, wait: {STALE_SECONDS:.0f} s after its last heartbeat "
            "the run is free"
        )


def is_free(run: TrackedRun, tags: Mapping[str, str], folder: Path) -> bool:
    """Tell whether no process is at work on a run; arguments as for `require_free`."""
    try:
        require_free(run, tags, folder)
    except LeaseError:
        return False
    return True


def _file(folder: Path) -> Path:
    return folder / "lease.lock"


def _lock(folder: Path) -> FileLock:
    return FileLock(_file(folder), thread_local=False)


def _is_locked(folder: Path) -> bool:
    if not _file(folder).exists():
        return False
    try:
        with _lock(folder).acquire(blocking=False):
            return False
    except Timeout:
        return True


def _held(run: TrackedRun, holder: str) -> str:
    return f"run {run.run_id} is being worked on ({holder}) and cannot be resumed now; let it end, or end it, first"


def _system() -> str:
    """Return an id of the running kernel, whose processes all see each other's file locks."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return platform.node()
