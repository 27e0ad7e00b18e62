"""A variant of a file of ratings: its bytes, and the ratings that it was made from."""

import io
import re
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

#: User, movie, rating, and nanoseconds since 1970 UTC or None.
Row = tuple[str, str, float, int | None]
#: The commonest table, as lines of `made`.
HEAD = "user_id,movie_id,rating,timestamp"
LINE = "<u>,<m>,<r>,<s>"
_SECOND = 1_000_000_000
_FIRST = datetime(2003, 1, 1, tzinfo=UTC)
_MARK = re.compile(r"<(?P<name>u|m|r|comma|i|s|ms|us|ns|[^<>]*%[^<>]*)(:(?P<width>\d+))?>")
#: Precision of the moments in nanoseconds, by the mark that shows it.
_PRECISION = {
    1000: "<us>|<ns>|%f",
    1_000_000: "<ms>|%L",
    _SECOND: "<s>|%S|%T",
    60 * _SECOND: "%M",
    86_400 * _SECOND: "%d|%j",
}
_SPAN_SECONDS = 20 * 365 * 86_400


@dataclass(frozen=True)
class Variant:
    """Files, and what a reader must make of them.

    Attributes:
        name: What is special about the files; unique.
        kind: The row of the table it counts in.
        files: Bytes by path below the variant's folder.
        rows: The ratings in the files after a pair rated twice is reduced to its newest; None: no reading is right.
        source: Path or glob below the folder that is given to ingest; empty: the only file.
        settings: Settings that its owner gives from the start.
        knows: Settings that its owner can give as soon as a message asks for them.
        must_read: The guide promises this reading, so a refusal must end with the ratings.
        must_say: Even if the ratings are right, what is printed must match `says`.
        bad_row: Number of the row that is no rating; 0: there is none.
        says: Pattern in the refusal if `rows` is None, in what is printed beside the ratings if they are `literal`.
        literal: A reading that follows the letter, and is right only where what is printed says it (`says`).
    """

    name: str
    kind: str
    files: Mapping[str, bytes]
    rows: Sequence[Row] | None
    source: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    knows: Mapping[str, Any] = field(default_factory=dict)
    must_read: bool = False
    must_say: bool = False
    bad_row: int = 0
    says: str = ""
    literal: Sequence[Row] | None = None


@dataclass(frozen=True)
class Record:
    """One rating as it is made up: `u` user, `m` movie, `r` rating, `ns` moment, `i` its number from 1."""

    u: str
    m: str
    r: float
    ns: int
    i: int

    @property
    def t(self) -> datetime:
        """Return the moment to the microsecond, in UTC."""
        return datetime.fromtimestamp(self.ns // _SECOND, UTC) + timedelta(microseconds=self.ns // 1000 % 1_000_000)

    def row(self, timed: bool = True) -> Row:
        """Return the rating as a reader must return it."""
        return (self.u, self.m, self.r, self.ns if timed else None)

    def fill(self, template: str) -> str:
        """Fill the marks of a line: <u>, <m>, <r>, <comma> (4,5), <i>, <s>, <ms>, <us>, <ns>, <%Y-%m-%d>, <u:8> (wide).

        A date may hold %L, milliseconds.
        """
        values = {"u": self.u, "m": self.m, "r": f"{self.r:g}", "comma": f"{self.r:g}".replace(".", ","), "i": self.i}
        units = {"s": _SECOND, "ms": 1_000_000, "us": 1000, "ns": 1}

        def value(mark: re.Match[str]) -> str:
            name, width = mark["name"], int(mark["width"] or 0)
            if "%" in name:
                return self.t.strftime(name.replace("%L", f"{self.ns // 1_000_000 % 1000:03d}"))
            return str(values[name] if name in values else self.ns // units[name]).rjust(width)

        return _MARK.sub(value, template)


def stars(rng: np.random.Generator) -> float:
    """Draw half stars."""
    return float(rng.integers(1, 11)) / 2


def records(
    rng: np.random.Generator,
    count: int = 12,
    *,
    unit: int = _SECOND,
    ids: Callable[[int], str] = str,
    rating: Callable[[np.random.Generator], float] = stars,
) -> list[Record]:
    """Make up ratings, each pair once, at moments that are multiples of `unit` nanoseconds."""
    movies = max(6, count // 4)
    pairs = rng.permutation(5 * movies)[:count]
    found = []
    for i, pair in enumerate(pairs.tolist(), 1):
        offset = int(rng.integers(0, _SPAN_SECONDS)) * _SECOND + int(rng.integers(0, _SECOND))
        ns = (int(_FIRST.timestamp()) * _SECOND + offset) // unit * unit
        found.append(Record(ids(pair % 5 + 11), ids(pair // 5 + 301), rating(rng), ns, i))
    return found


def newest(rows: Iterable[Row]) -> list[Row]:
    """Return the newest rating of each pair; at the same moment, or without moments, the last one."""
    kept: dict[tuple[str, str], Row] = {}
    for row in rows:
        before = kept.get(row[:2])
        if before is None or before[3] is None or row[3] is None or row[3] >= before[3]:
            kept[row[:2]] = row
    return list(kept.values())


def made(
    rng: np.random.Generator,
    kind: str,
    name: str,
    line: str | Callable[[Record], str],
    head: str = "",
    *,
    foot: str = "",
    refuse: str = "",
    count: int = 12,
    end: str = "\n",
    encoding: str = "utf-8",
    file: str = "ratings.csv",
    ids: Callable[[int], str] = str,
    rating: Callable[[np.random.Generator], float] = stars,
    keep: Callable[[Record], bool] | None = None,
    pack: Callable[[bytes], bytes] = bytes,
    knows: Mapping[str, Any] | None = None,
    **more: Any,
) -> Variant:
    """Make a variant of one file with one line a rating. Its owner knows which column is which, and the separator.

    Args:
        line: A line with marks as in `Record.fill`, or a function that returns one; the marks also say how precise the
            moments are.
        refuse: What a refusal must say (a pattern), if no reading is right.
        keep: Whether a line is one of the ratings that must be read.
        pack: Compresses the bytes.
        knows: What the owner knows beside the columns and the separator.
    """
    template = line if isinstance(line, str) else line(Record("u", "m", 1.0, 0, 1))
    unit = next((unit for unit, pattern in _PRECISION.items() if re.search(pattern, template)), None)
    drawn = records(rng, count, unit=unit or _SECOND, ids=ids, rating=rating)
    lines = [record.fill(line if isinstance(line, str) else line(record)) for record in drawn]
    text = "".join(part + end for part in [*filter(None, [head]), *lines, *filter(None, [foot])])
    rows = newest(record.row(unit is not None) for record in drawn if not keep or keep(record))
    whole = refuse or "bad_row" in more  # the columns are recognised, or there are none
    known = {name: value for name, value in _known(template, head).items() if not whole or name == "separator"}
    more = {"says": refuse, **more, "knows": {**known, **(knows or {})}}
    return Variant(name, kind, {file: pack(text.encode(encoding))}, None if refuse else rows, **more)


def _known(template: str, head: str) -> dict[str, Any]:
    """Return the settings that name the separator and the columns of a line."""
    if template.startswith("{"):
        pairs = [(name, mark) for name, mark in re.findall(r'"(\w+)":\s*"?[^,"<]*<([^<>]+)>', template)]
        return {f"columns.{_role(mark)}": name for name, mark in pairs}
    marks = list(_MARK.finditer(template))
    between = template[marks[0].end() : marks[1].start()] if len(marks) > 1 else ","
    separator = next((one for one in ("::", "\t", "\x01", ";", "|", ",", " ") if one in between), None)
    fields = template.split(separator)
    heads = [one.split(separator) for one in head.splitlines() if re.search(r"^[^%#]*[^\W\d_]{2}", one)]
    names = next((one for one in reversed(heads) if len(one) == len(fields)), [str(i + 1) for i in range(len(fields))])
    found = {
        f"columns.{_role(mark['name'])}": name.strip(" \"'\u00a0")
        for name, field in zip(names, fields, strict=True)
        for mark in _MARK.finditer(field)
        if mark["name"] != "i"
    }
    return {**found, **({"separator": separator} if separator else {})}


def _role(mark: str) -> str:
    return {"u": "user_id", "m": "movie_id", "r": "rating", "comma": "rating"}.get(mark, "timestamp")


def zipped(*names: str) -> Callable[[bytes], bytes]:
    """Return a function that puts bytes into each of the named members of a zip archive."""

    def pack(raw: bytes) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in names:
                archive.writestr(name, raw)
        return buffer.getvalue()

    return pack
