"""What is told to a tracking store about a run, one frozen value each, and as lines of a journal.

Every entry may be sent twice and leaves what sending it once leaves: a point with the same key, step,
value and time is one point, a parameter with the same value is the same parameter, a file goes to the
same place.
"""

import json
import zlib
from collections.abc import Hashable, Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from cfmodel.errors import DigestError, TrackingError
from cfmodel.tracking.outbox.training_metrics import Point

Status = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]


@dataclass(frozen=True)
class Start:
    """How the run is to be created, where the store has none yet.

    Attributes:
        experiment: Name of the experiment it belongs to.
        name: Its name; None: the store makes one up.
        tags: The tags it begins with.
        milliseconds: When it began, since 1970-01-01 UTC.
    """

    experiment: str
    name: str | None
    tags: Mapping[str, str]
    milliseconds: int


@dataclass(frozen=True)
class Param:
    """A parameter: set once, never changed."""

    key: str
    value: str


@dataclass(frozen=True)
class Tag:
    """A tag: the newest value counts."""

    key: str
    value: str


@dataclass(frozen=True)
class Data:
    """A data set the run learned from or is tested on.

    Attributes:
        context: Which part: train, val or test.
        fields: What MLflow's entity of a data set is made of.
    """

    context: str
    fields: Mapping[str, str]


@dataclass(frozen=True)
class File:
    """A file among the run's artifacts.

    Attributes:
        path: Its path among the artifacts.
        sha256: Digest of its bytes, hexadecimal.
        kept: Its name below `files/` of the spool, where it waits.
    """

    path: str
    sha256: str
    kept: str


@dataclass(frozen=True)
class SavedModel:
    """A recommender saved on this machine, to be recorded as the run's model.

    Attributes:
        folder: Where it was saved.
        digest: Digest of the folder, hexadecimal.
    """

    folder: str
    digest: str


@dataclass(frozen=True)
class Became:
    """The status the run has from here on.

    Attributes:
        status: RUNNING, FINISHED, FAILED or KILLED.
        milliseconds: When, since 1970-01-01 UTC.
    """

    status: Status
    milliseconds: int


Entry = Point | Start | Param | Tag | Data | File | SavedModel | Became

_KINDS: dict[str, type[Entry]] = {
    kind.__name__.lower(): kind for kind in (Point, Start, Param, Tag, Data, File, SavedModel, Became)
}


def subject_of(entry: Entry) -> Hashable:
    """Return what an entry is about: of two about one thing the newer counts."""
    match entry:
        case Point(key=key, step=step):
            return "point", key, step
        case Param(key=key):
            return "param", key
        case Tag(key=key):
            return "tag", key
        case Data(context=context):
            return "data", context
        case File(path=path):
            return "file", path
    return type(entry).__name__.lower()


def says_nothing_new(entry: Entry, held: Entry | None) -> bool:
    """Tell whether an entry may be dropped beside the one that is held about the same thing.

    A point may, whatever its value: a training that goes on from a checkpoint says again what it
    said before, bit for bit, at another time.

    Raises:
        TrackingError: A parameter would get another value.
    """
    match entry, held:
        case _, None:
            return False
        case Point(), Point():
            return True
        case Param(), Param() if entry != held:
            raise TrackingError(
                f"parameter {entry.key} of this run is {held.value!r} and cannot become {entry.value!r}; "
                "start another run"
            )
        case File(), File():
            return entry.sha256 == held.sha256
        case Became(), Became():
            return entry.status == held.status
        case Start(), Start():
            return True
    return entry == held


def as_line(entry: Entry) -> bytes:
    """Return an entry as one line: a check sum, a blank, and JSON."""
    text = json.dumps([type(entry).__name__.lower(), asdict(entry)], separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def of_line(line: bytes) -> Entry:
    """Return the entry that a line holds.

    Raises:
        DigestError: The line is cut off or was changed.
    """
    check_sum, _, text = line[:-1].partition(b" ")
    if not line.endswith(b"\n") or check_sum != b"%08x" % zlib.crc32(text):
        raise DigestError("a line of the journal is cut off or was changed")
    kind, fields = json.loads(text)
    return _KINDS[kind](**fields)
