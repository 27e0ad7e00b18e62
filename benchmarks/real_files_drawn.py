"""Variants of files that are drawn: every combination of the ways in which delimited text, JSON lines and Parquet vary.

Each axis is walked through in a shuffled order, again and again, so that each value has its share of the variants and
meets others in every run.
"""

import gzip
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from real_files_variant import Record, Variant, newest, records

Draw = Callable[[np.random.Generator], float]
_UNITS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1000, "ns": 1}
#: How an id looks, by its number.
_IDS: dict[str, Callable[[int], str]] = {
    "number": str,
    "leading zeros": lambda i: f"{i + 1:0{3 + i % 3}d}",
    "negative": lambda i: str(-i - 1),
    "beyond 2^53": lambda i: str(2**53 + i),
    "beyond 2^64": lambda i: str(2**64 + i),
    "uuid": lambda i: str(UUID(int=(i + 1) * 0x1F3D5B79_2468ACE0_13579BDF_0F1E2D3C % 2**128)),
    "blanks": lambda i: f"The  Third Man {i}",
    "email": lambda i: f"user+{i}@example.org/t?a=1&b=2#x",
    "hash": lambda i: f"{(i + 1) * 0x9E3779B97F4A7C15 % 2**64:016x}",
    "like a float": lambda i: f"{i + 1}e{i + 2}",
    "case": lambda i: ("ab", "AB", "aB", "Ab")[i % 4] + str(i // 4),
    "separators": lambda i: f"a,b;c|d\te{i}",
    "quotes": lambda i: f'{i}" disk, "new"',
    "line ends": lambda i: f"line {i}\nand, another",
    "apostrophe": lambda i: f"d'Artagnan \\{i}",
}
_WHOLE = {"number", "negative", "beyond 2^53", "beyond 2^64"}
_BREAKING = {"separators", "quotes", "line ends"}
#: How an id looks that needs the encoding.
_SCRIPTS = {
    "utf-8": "Amélie–東京 \U0001f600",
    "utf-8-sig": "Ærøskøbing ½",
    "utf-16": "Żółw Ω",
    "utf-16-le": "film café",
    "latin-1": "Malmö São Zoë",
    "windows-1252": "prix € 5 – œuvre",
    "windows-1251": "Война и мир",
    "shift_jis": "千と千尋の神隠し",
    "gb18030": "霸王别姬",
    "euc-kr": "올드보이",
    "big5": "悲情城市",
}
_CODECS = {"windows-1252": "cp1252", "windows-1251": "cp1251", "gb18030": "gb18030", "euc-kr": "euc_kr"}
_TOLD = ("windows-1252", "windows-1251", "shift_jis", "gb18030", "euc-kr", "big5")


def _with_offset(row: Record) -> str:
    """Write a moment in a time zone that changes from row to row, so that the text's order is not that of time."""
    zone = timezone(timedelta(hours=row.i % 23 - 11, minutes=30))
    return row.t.astimezone(zone).isoformat()


#: How a moment is written, and its precision in nanoseconds.
_TIMES: dict[str, tuple[int, Callable[[Record], str]]] = {
    "seconds": (_UNITS["s"], lambda row: row.fill("<s>")),
    "seconds with .0": (_UNITS["s"], lambda row: row.fill("<s>.0")),
    "fractions of a second": (250 * _UNITS["ms"], lambda row: f"{row.ns / 1e9:.2f}"),
    "milliseconds": (_UNITS["ms"], lambda row: row.fill("<ms>")),
    "microseconds": (_UNITS["us"], lambda row: row.fill("<us>")),
    "nanoseconds": (_UNITS["us"], lambda row: row.fill("<ns>")),
    "date": (86_400 * _UNITS["s"], lambda row: row.fill("<%Y-%m-%d>")),
    "minutes": (60 * _UNITS["s"], lambda row: row.fill("<%Y-%m-%d %H:%M>")),
    "iso": (_UNITS["s"], lambda row: row.fill("<%Y-%m-%dT%H:%M:%S>Z")),
    "iso, milliseconds": (_UNITS["ms"], lambda row: row.t.isoformat(timespec="milliseconds")),
    "iso, microseconds": (_UNITS["us"], lambda row: row.fill("<%Y-%m-%d %H:%M:%S.%f>")),
    "iso, offset": (_UNITS["s"], _with_offset),
}
#: Ratings as they are written; the number is that of the text.
_SCALES: dict[str, tuple[str, Callable[[np.random.Generator], float]]] = {
    "1 to 5": ("{:.0f}", lambda rng: float(rng.integers(1, 6))),
    "half stars": ("{:.1f}", lambda rng: float(rng.integers(1, 11)) / 2),
    "0 to 100": ("{:g}", lambda rng: float(rng.integers(0, 101))),
    "-10 to 10": ("{:.2f}", lambda rng: float(rng.integers(-1000, 1001)) / 100),
    "0 to 1": ("{:.4f}", lambda rng: float(rng.integers(0, 10001)) / 10000),
    "large": ("{:.0f}", lambda rng: float(rng.integers(0, 100_001))),
    "plays": ("{:d}.", lambda rng: float(rng.integers(1, 300))),
    "decimal comma": (",", lambda rng: float(rng.integers(2, 21)) / 4),
    "decimal comma, set": (",", lambda rng: float(rng.integers(2, 2001)) / 4),
}
_HEADERS = (
    ("userId", "movieId", "rating", "timestamp"),
    ("user_id", "item_id", "rating", "timestamp"),
    ("USER_ID", "ITEM_ID", "RATING", "TIMESTAMP"),
    ("User ID", "Movie ID", "Rating", "Timestamp"),
    ("user", "book_id", "stars", "date"),
    ("Kunde", "Artikel", "Note", "Zeitpunkt"),
    ("пользователь", "фильм", "оценка", "время"),
    ("no header",) * 4,
)


_SAMPLE = Record("u", "m", 1.0, 1_262_304_000_123_456_000, 1)


def _axis(rng: np.random.Generator, values: Sequence[Any]) -> Iterator[Any]:
    """Yield the values in shuffled order, again and again."""
    while True:
        for position in rng.permutation(len(values)).tolist():
            yield values[position]


@dataclass(frozen=True)
class Shape:
    """One combination of the axes of delimited text."""

    separator: str
    encoding: str
    columns: str
    ids: str
    time: str
    scale: str
    line_end: str
    quoting: str
    packing: str
    container: str
    header: tuple[str, ...]

    def name(self) -> str:
        """Return the combination in words."""
        words = [repr(self.separator), self.encoding, self.columns, self.ids, self.time, self.scale]
        return ", ".join([*words, repr(self.line_end), self.quoting, self.packing, self.container, self.header[0]])


_AXES: dict[str, Sequence[Any]] = {
    "separator": (",", ";", "\t", "|", "::", "~", "\x01", ", "),
    "encoding": ("utf-8", "utf-8", *_SCRIPTS),
    "columns": ("umrt", "umrt", "mrut", "trmu", "xuxmrtx", "tumxr", "umr", "rum"),
    "ids": (*_IDS, "script", "script"),
    "time": tuple(_TIMES),
    "scale": tuple(_SCALES),
    "line_end": ("\n", "\r\n", "\r", "mixed", "no last"),
    "quoting": ("where needed", "all", "text"),
    "packing": ("", "", "", "gzip", "gzip members"),
    "container": ("file", "file", "folder", "glob", "parts", "no ending"),
    "header": _HEADERS,
}


def drawn_variants(rng: np.random.Generator, count: int) -> Iterator[Variant]:
    """Yield different variants: seven of ten delimited text, two JSON lines, one Parquet."""
    walks = {name: _axis(rng, values) for name, values in _AXES.items()}
    seen: set[str] = set()
    while len(seen) < count:
        shape = _possible(Shape(**{name: next(walk) for name, walk in walks.items()}))
        write = (_delimited, _json_lines, _parquet)[(0, 0, 1, 0, 0, 2, 0, 1, 0, 0)[len(seen) % 10]]
        variant = write(rng, shape)
        if variant.name not in seen:
            seen.add(variant.name)
            yield variant


def _possible(shape: Shape) -> Shape:
    """Replace what one file cannot hold, such as quotes with a separator of two characters."""
    if shape.separator in ("::", ", "):
        breaking = shape.ids in _BREAKING or (shape.separator == "::" and shape.ids == "email")
        shape = replace(shape, quoting="where needed", ids="number" if breaking else shape.ids)
    if shape.separator in ("~", "\x01") and shape.ids == "separators":  # the other separators are in every row, too
        shape = replace(shape, ids="email")
    if "comma" in shape.scale:
        shape = replace(shape, time="seconds" if "." in _TIMES[shape.time][1](_SAMPLE) else shape.time)
        shape = replace(shape, scale="half stars" if shape.separator == ", " else shape.scale)
    if shape.header[0] == "no header":
        shape = replace(shape, columns="umrt" if "t" in shape.columns else "umr")
    if shape.header[0] == "пользователь" and shape.encoding not in ("utf-8", "utf-8-sig", "utf-16", "windows-1251"):
        shape = replace(shape, header=_HEADERS[0])
    return shape


def _records(rng: np.random.Generator, shape: Shape, timed: bool) -> list[Record]:
    """Make up ratings; the last rates an earlier pair again, at an older moment if there are moments."""
    unit = _TIMES[shape.time][0]
    ids = _IDS.get(shape.ids, lambda i: f"{_SCRIPTS[shape.encoding]} {i}")
    draw = _SCALES[shape.scale][1]
    drawn = records(rng, int(rng.integers(12, 30)), unit=unit, ids=ids, rating=draw)
    twice = drawn[int(rng.integers(0, len(drawn)))]
    return [*drawn, Record(twice.u, twice.m, draw(rng), twice.ns - unit * timed, len(drawn) + 1)]


def _delimited(rng: np.random.Generator, shape: Shape) -> Variant:
    timed = "t" in shape.columns
    drawn = _records(rng, shape, timed)
    names = dict(zip("umrt", shape.header, strict=True))
    table = [[names.get(letter, f"extra_{position}") for position, letter in enumerate(shape.columns)]]
    for row in drawn:
        fields = {"u": row.u, "m": row.m, "r": _number(shape, row.r), "t": _TIMES[shape.time][1](row)}
        table.append([fields.get(letter, ("", "a note", "0")[row.i % 3]) for letter in shape.columns])
    lines = [shape.separator.join(_quoted(field, shape) for field in fields) for fields in table]
    header, rows = (lines[:1], lines[1:]) if shape.header[0] != "no header" else ([], lines[1:])
    return _variant(shape, "text", shape.name(), drawn, timed, _packed(shape, "csv", header, rows))


def _quoted(field: str, shape: Shape) -> str:
    needed = shape.separator in field or any(mark in field for mark in '"\r\n')
    if shape.separator in ("::", ", "):
        return field
    text = shape.quoting == "text" and not field.replace(".", "", 1).isdigit()
    return '"' + field.replace('"', '""') + '"' if needed or text or shape.quoting == "all" else field


def _json_lines(rng: np.random.Generator, shape: Shape) -> Variant:
    shape = replace(shape, encoding=shape.encoding if shape.encoding in ("utf-8-sig", "utf-16") else "utf-8")
    shape = replace(shape, header=_HEADERS[1] if shape.header[0] == "no header" else shape.header)
    timed, whole = "t" in shape.columns, shape.ids in _WHOLE and shape.quoting != "all"
    drawn = _records(rng, shape, timed)
    rows = []
    for row in drawn:
        rating, moment = _number(shape, row.r).rstrip("."), _TIMES[shape.time][1](row)
        numbers = shape.quoting == "where needed"
        fields: dict[str, Any] = {
            "u": int(row.u) if whole else row.u,
            "m": int(row.m) if whole else row.m,
            "r": json.loads(rating) if numbers and "," not in rating else rating,
            "t": json.loads(moment) if numbers and moment.replace(".", "", 1).isdigit() else moment,
            "x": {"note": ["a", None, row.i]},
        }
        names = dict(zip("umrt", shape.header, strict=True))
        keys = {names.get(letter, f"extra_{position}"): letter for position, letter in enumerate(shape.columns)}
        line = {key: fields[letter] for key, letter in keys.items()}
        rows.append(json.dumps(line, ensure_ascii=shape.separator in ",;|", separators=(",", ":")))
    name = f"{shape.encoding}, {shape.columns}, {shape.ids}, {shape.time}, {shape.scale}, {shape.quoting}, "
    name += f"{shape.line_end!r}, {shape.packing}, {shape.container}, {shape.header[0]}"
    return _variant(shape, "json", name, drawn, timed, _packed(shape, "jsonl", [], rows))


def _parquet(rng: np.random.Generator, shape: Shape) -> Variant:
    header = _HEADERS[0] if shape.header[0] == "no header" else shape.header
    shape = replace(shape, encoding="utf-8", line_end="\n", header=header)
    timed, unit = "t" in shape.columns, next(u for u in _UNITS if _TIMES[shape.time][0] % _UNITS[u] == 0)
    drawn = _records(rng, shape, timed)
    id_type = [pa.int64(), pa.decimal128(38, 0)][len(drawn) % 2] if shape.ids != "beyond 2^64" else pa.decimal256(40, 0)
    if shape.ids not in _WHOLE:
        id_type = [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())][len(drawn) % 3]
    time_type = pa.timestamp(unit, "UTC" if len(drawn) % 2 else None)
    columns = {
        "u": pa.array(
            [Decimal(row.u) if pa.types.is_decimal(id_type) else _whole(row.u, id_type) for row in drawn], id_type
        ),
        "m": pa.array(
            [Decimal(row.m) if pa.types.is_decimal(id_type) else _whole(row.m, id_type) for row in drawn], id_type
        ),
        "r": pa.array([row.r for row in drawn]).cast([pa.float64(), pa.decimal128(12, 4)][len(drawn) % 2]),
        "t": pa.array([row.ns // _UNITS[unit] for row in drawn], pa.int64()).cast(time_type),
        "x": pa.array([[row.i, None] for row in drawn]),
    }
    names = dict(zip("umrt", shape.header, strict=True))
    keys = {names.get(letter, f"extra_{position}"): letter for position, letter in enumerate(shape.columns)}
    table = pa.table({key: columns[letter] for key, letter in keys.items()})
    compression = ("snappy", "zstd", "gzip", "none")[len(drawn) % 4]
    pieces = [table.slice(0, 9), table.slice(9)] if shape.container in ("parts", "glob") else [table]
    files = {}
    for position, piece in enumerate(pieces):
        buffer = io.BytesIO()
        pq.write_table(piece, buffer, compression=compression, row_group_size=7)
        files[f"dump/part-{position}.parquet"] = buffer.getvalue()
    name = f"{shape.columns}, {id_type} ({shape.ids}), {time_type}, {shape.scale}, {compression}, {shape.header[0]}"
    return _variant(shape, "parquet", f"{name}, {len(pieces)} files", drawn, timed, (files, "dump"))


def _whole(text: str, kind: pa.DataType) -> Any:
    return int(text) if pa.types.is_integer(kind) else text


def _number(shape: Shape, rating: float) -> str:
    pattern = _SCALES[shape.scale][0]
    if pattern == ",":
        return f"{rating:g}".replace(".", ",")
    return pattern.format(int(rating) if "d" in pattern else rating)


def _packed(shape: Shape, ending: str, header: list[str], rows: list[str]) -> tuple[dict[str, bytes], str]:
    """Return the files' bytes by path, and the source."""
    parts = [rows[:7], rows[7:]] if shape.container in ("parts", "glob") else [rows]
    blobs = [_ended(shape, [*header, *part]).encode(_CODECS.get(shape.encoding, shape.encoding)) for part in parts]
    if shape.packing == "gzip":
        blobs = [gzip.compress(blob, mtime=0) for blob in blobs]
    elif shape.packing:
        blobs = [gzip.compress(blob[:50], mtime=0) + gzip.compress(blob[50:], mtime=0) for blob in blobs]
    ending += ".gz" if shape.packing else ""
    if shape.container == "file":
        return {f"my ratings.{ending}": blobs[0]}, ""
    if shape.container == "no ending":
        return {"ratings": blobs[0]}, ""
    files = {f"dump/2024/part-{position}.{ending}": blob for position, blob in enumerate(blobs)}
    marks = {"dump/_SUCCESS": b"", "dump/2024/.part-0.crc": b"crc\0"}
    return {**files, **marks}, f"dump/*/part-*.{ending}" if shape.container == "glob" else "dump"


def _ended(shape: Shape, lines: list[str]) -> str:
    if shape.line_end == "mixed":
        return "".join(line + ("\n", "\r\n")[position % 2] for position, line in enumerate(lines))
    return "\n".join(lines) if shape.line_end == "no last" else "".join(line + shape.line_end for line in lines)


def _variant(
    shape: Shape, kind: str, name: str, drawn: list[Record], timed: bool, files: tuple[dict[str, bytes], str]
) -> Variant:
    """Return the variant, with what its owner says of it."""
    roles = ("user_id", "movie_id", "rating", "timestamp")[: 3 + timed]
    settings: dict[str, Any] = {}
    knows: dict[str, Any] = {"separator": shape.separator} if shape.separator in ("~", "\x01") else {}
    if kind == "text" and shape.encoding in _TOLD:
        settings["encoding"] = shape.encoding
    if shape.scale == "decimal comma, set" and kind != "parquet":
        settings["decimal"] = ","
    if shape.header[0] in ("Kunde", "пользователь"):
        knows |= {f"columns.{role}": column for role, column in zip(roles, shape.header, strict=False)}
    if shape.header[0] == "no header":
        knows |= {"header": False, **{f"columns.{role}": str(number) for number, role in enumerate(roles, 1)}}
    rows = newest(row.row(timed) for row in drawn)
    return Variant(
        f"{kind}: {name}", f"drawn: {kind}", files[0], rows, files[1], settings=settings, knows=knows, must_read=True
    )
