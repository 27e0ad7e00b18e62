"""Entries of a run's journal: what is logged to a tracking store about a run, one frozen value each.

Every entry may be sent twice: the store then holds the same as after sending it once. A point with the
same key, step, value and time is one point, a parameter with the same value is the same parameter, a
file goes to the same place.
"""

import json
import zlib
from collections.abc import Hashable, Mapping
from dataclasses import asdict, dataclass
from typing import Literal, get_args

from cfmodel.errors import DigestError, TrackingError

Status = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]


@dataclass(frozen=True)
class Point:
    """One value of one metric.

    Attributes:
        value: Its value, in the unit its name says.
        step: Epoch it belongs to, from 1; 0 before training.
        milliseconds: When it was measured, since 1970-01-01 UTC.
    """

    key: str
    value: float
    step: int
    milliseconds: int


@dataclass(frozen=True)
class Start:
    """How to create the run where the store has none yet.

    Attributes:
        name: Its name; None: the store chooses one.
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
    """A data set that the run is trained or tested on.

    Attributes:
        context: Which part: train, val or test.
        fields: The fields of MLflow's `Dataset` entity.
    """

    context: str
    fields: Mapping[str, str]


@dataclass(frozen=True)
class File:
    """A file among the run's artifacts.

    Attributes:
        path: Its path among the artifacts.
        sha256: Digest of its bytes, hexadecimal.
        kept: Its name below `files/` of the journal's folder, until it is sent.
    """

    path: str
    sha256: str
    kept: str


@dataclass(frozen=True)
class SavedModel:
    """A recommender saved in a folder of this machine, to be recorded as the run's model."""

    folder: str
    digest: str


@dataclass(frozen=True)
class Became:
    """A change of the run's status, and when, in milliseconds since 1970-01-01 UTC."""

    status: Status
    milliseconds: int


Entry = Point | Start | Param | Tag | Data | File | SavedModel | Became

_KINDS: dict[str, type[Entry]] = {kind.__name__.lower(): kind for kind in get_args(Entry)}


def subject_of(entry: Entry) -> Hashable:
    """Return what an entry is about: of two entries with the same subject the newer counts."""
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


def is_redundant(entry: Entry, newest: Entry | None) -> bool:
    """Tell whether to drop an entry, given the newest one with the same subject.

    A point is dropped whatever its value: a training that resumes from a checkpoint repeats its
    points, with equal values at later times.

    Raises:
        TrackingError: A parameter would get another value.
    """
    match entry, newest:
        case _, None:
            return False
        case (Point(), Point()) | (Start(), Start()):
            return True
        case Param(), Param() if entry != newest:
            raise TrackingError(
                f"parameter {entry.key} of this run is {newest.value!r} and cannot become {entry.value!r}; "
                "start another run"
            )
        case File(), File():
            return entry.sha256 == newest.sha256
        case Became(), Became():
            return entry.status == newest.status
    return entry == newest


def to_line(entry: Entry) -> bytes:
    """Return an entry as one line: a check sum, a blank, and JSON."""
    text = json.dumps([type(entry).__name__.lower(), asdict(entry)], separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def from_line(line: bytes) -> Entry:
    """Read an entry from its line; a DigestError if that is incomplete or changed."""
    check_sum, _, text = line[:-1].partition(b" ")
    if not line.endswith(b"\n") or check_sum != b"%08x" % zlib.crc32(text):
        raise DigestError("a line of the journal is incomplete or changed; move its folder away")
    kind, fields = json.loads(text)
    return _KINDS[kind](**fields)
