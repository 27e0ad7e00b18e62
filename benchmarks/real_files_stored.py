"""Variants written by hand of JSON, Parquet, folders, compressed files and formats that are no tables of ratings."""

import bz2
import gzip
import io
import lzma
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import time, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
from pyarrow import feather, orc
from pyarrow import parquet as pq
from real_files_variant import HEAD, LINE, Record, Variant, made, newest, records, zipped


def stored_variants(rng: np.random.Generator) -> Iterator[Variant]:
    """Yield the variants of JSON, Parquet, folders, compression and other formats."""
    for kind in (_json, _parquet, _folders, _packed, _other_formats):
        yield from kind(rng)


def _json(rng: np.random.Generator) -> Iterator[Variant]:
    make = partial(made, rng, "JSON", file="ratings.json")
    line = '{"user_id":"<u>","movie_id":"<m>","rating":<r>,"timestamp":<s>}'
    yield make("an array", lambda row: line + ("," if row.i < 12 else ""), "[", foot="]")
    yield make("an array in one line", lambda row: line + ("," if row.i < 12 else ""), "[", foot="]", end="")
    yield make("a comma after each", f"{line},")
    yield make("no line ends", line, end="")
    yield make("record separators", f"\x1e{line}")
    yield make("pretty, one after the other", line.replace(",", ",\n  ").replace("{", "{\n  "))
    yield make("under a key", lambda row: line + ("," if row.i < 12 else ""), '{"data": [', foot="]}")
    yield make("ids as floats", line.replace('"<u>"', "<u>.0").replace('"<m>"', "<m>.0"))
    order = {0: '{"rating":<r>,"x":[1,{"y":2}],"user_id":"<u>","timestamp":<s>,"movie_id":"<m>"}'}
    yield make("keys in any order", lambda row: order.get(row.i % 2, line))
    yield make("null moments", line.replace("<s>", "null"), knows={"columns.timestamp": ""})
    mongo = '{"_id":{"$oid":"5f43a1b2c3d4e5f6a7b8c9d0"},"user_id":{"$numberInt":"<u>"},"movie_id":"<m>",'
    dates = {"relaxed": '{"$date":"<%Y-%m-%dT%H:%M:%S.%L>Z"}', "canonical": '{"$date":{"$numberLong":"<ms>"}}'}
    for name, text in dates.items():
        yield make(f"mongoexport, {name}", mongo + f'"rating":{{"$numberDouble":"<r>"}},"timestamp":{text}}}')
    yield make("nested ids", '{"user":{"id":"<u>"},"movie":{"id":"<m>"},"rating":<r>}', refuse="(?i)user")
    yield make("Elasticsearch hits", f'{{"_index":"r","_source":{line}}}', refuse="(?i)user")
    column = '"<i>":<r>'
    yield make("pandas, by column", column, '{"user_id":{"0":"a"},"rating":{', foot="}}", refuse=".")


def _stored(
    rng: np.random.Generator, kind: str, name: str, write: Callable[[list[Record]], bytes], **more: Any
) -> Variant:
    """Return a variant of one file that is written from all its records."""
    drawn = records(rng)
    more = {"rows": newest(record.row() for record in drawn), **more}
    return Variant(name, kind, {more.pop("file", "ratings.parquet"): write(drawn)}, **more)


def _table(changes: dict[str, Callable[[Record], Any] | pa.DataType], drawn: list[Record]) -> pa.Table:
    """Return a table of ratings; columns are changed to another type, or to the values of a function."""
    plain: dict[str, Callable[[Record], Any]] = {
        "user_id": lambda row: int(row.u),
        "movie_id": lambda row: row.m,
        "rating": lambda row: row.r,
        "timestamp": lambda row: row.ns // 10**9,
    }
    columns = {}
    for name, value in {**plain, **changes}.items():
        made_by = plain[name] if isinstance(value, pa.DataType) else value
        array = pa.array([made_by(row) for row in drawn])
        columns[name] = array.cast(value) if isinstance(value, pa.DataType) else array
    return pa.table(columns)


def _parquet_bytes(changes: dict[str, Any], drawn: list[Record], **options: Any) -> bytes:
    return _written(_table(changes, drawn), **options)


def _written(table: pa.Table, **options: Any) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **options)
    return buffer.getvalue()


def _parquet(rng: np.random.Generator) -> Iterator[Variant]:
    whole = (
        pa.uint64(),
        pa.int16(),
        pa.uint8(),
        pa.float64(),
        pa.decimal128(38, 0),
        pa.decimal128(22, 2),
        pa.decimal256(50, 0),
    )
    texts = (pa.large_string(), pa.string_view(), pa.binary(), pa.dictionary(pa.int16(), pa.string()))
    rates = (pa.float32(), pa.float16(), pa.decimal128(7, 2), pa.string(), pa.large_string())
    moments = (
        pa.timestamp("s"),
        pa.timestamp("ms", "America/New_York"),
        pa.timestamp("us"),
        pa.timestamp("ns", "UTC"),
        pa.float64(),
    )
    types = {"user_id": whole, "movie_id": texts, "rating": rates, "timestamp": moments}
    for column, kinds in types.items():
        for kind in kinds:
            yield _stored(rng, "Parquet", f"{column} as {kind}", partial(_parquet_bytes, {column: kind}))
    drawn = records(rng, ids=lambda i: str(UUID(int=i * 0x1F3D5B79_2468ACE0_13579BDF_0F1E2D3C % 2**128)))
    keys = pa.array([UUID(row.u).bytes for row in drawn], pa.binary(16))
    for name, array in {"uuid": keys.cast(pa.uuid()), "16 bytes": keys}.items():
        table = pa.table(
            {"user_id": array, **{key: [getattr(row, key[0]) for row in drawn] for key in ("movie_id", "rating")}}
        )
        rows = [row.row(timed=False) for row in drawn]
        yield Variant(f"user_id as {name}", "Parquet", {"ratings.parquet": _written(table)}, rows, says="user_id")
    odd: dict[str, dict[str, Callable[[Record], Any]]] = {
        "user_id as struct": {"user_id": lambda row: {"id": row.u}},
        "movie_id as list": {"movie_id": lambda row: [row.m]},
        "rating as list": {"rating": lambda row: [row.r]},
        "user_id as inexact floats": {"user_id": lambda row: 2.0**60 + int(row.u) * 256.0},
        "timestamp as duration": {"timestamp": lambda row: timedelta(seconds=row.i)},
        "timestamp as time of day": {"timestamp": lambda row: time(10, row.i)},
    }
    for name, changes in odd.items():
        column = name.split()[0]
        yield _stored(rng, "Parquet", name, partial(_parquet_bytes, changes), rows=None, says=column)
    dates: dict[str, Callable[[Record], Any]] = {"timestamp": lambda row: row.t.date()}
    drawn = records(rng, unit=86_400 * 10**9)
    blob = _parquet_bytes(dates, drawn)
    yield Variant("timestamp as date", "Parquet", {"a.parquet": blob}, newest(row.row() for row in drawn))
    more: dict[str, Callable[[Record], Any]] = {
        "__index_level_0__": lambda row: row.i,
        "tags": lambda row: [row.u, None],
    }
    yield _stored(rng, "Parquet", "other columns", partial(_parquet_bytes, more))
    yield _stored(
        rng,
        "Parquet",
        "int96",
        partial(_parquet_bytes, {"timestamp": pa.timestamp("ns")}, use_deprecated_int96_timestamps=True),
    )
    for name, value in {"null": None, "not a number": float("nan")}.items():
        drawn = records(rng, 200)
        blob = _parquet_bytes({"rating": partial(_instead_at, 7, value)}, drawn)
        rows = newest(row.row() for row in drawn if row.i != 7)
        yield Variant(f"a rating is {name}", "Parquet", {"a.parquet": blob}, rows, bad_row=7)
    yield _stored(rng, "Parquet", "a cut file", lambda drawn: _parquet_bytes({}, drawn)[:-20], rows=None, says=".")


def _instead_at(position: int, value: float | None, row: Record) -> float | None:
    return value if row.i == position else row.r


def _spread(rng: np.random.Generator, name: str, parts: dict[str, tuple[str, str]], **more: Any) -> Variant:
    """Return a folder of files, each with some of the ratings; a part is its header and line."""
    drawn = records(rng)
    size = -(-len(drawn) // len(parts))
    files = dict(more.pop("beside", {}))
    for position, (path, (head, line)) in enumerate(parts.items()):
        rows = [row.fill(line) for row in drawn[position * size : (position + 1) * size]]
        files[path] = "".join(f"{text}\n" for text in [*filter(None, [head]), *rows]).encode()
        if path.endswith(".gz"):
            files[path] = gzip.compress(files[path], mtime=0)
    more = {"rows": newest(row.row() for row in drawn), "source": "dump", **more}
    return Variant(name, "folders", files, **more)


def _folders(rng: np.random.Generator) -> Iterator[Variant]:
    spread, comma = partial(_spread, rng), {"separator": ","}
    both = (HEAD, LINE)
    two = {"dump/part-00000.csv": both, "dump/part-00002.csv": both}
    yield spread("an empty part", two, beside={"dump/part-00001.csv": b"", "dump/_SUCCESS": b""}, must_read=True)
    empty = {"dump/part-00001.csv.gz": gzip.compress(b""), "dump/part-00003.csv": HEAD.encode() + b"\n"}
    yield spread("an empty part, compressed; another of a header", two, beside=empty, must_read=True)
    yield spread("blank lines as a part", two, beside={"dump/part-00001.csv": b"\n\n"}, must_read=True)
    yield spread("a header in the first part", {"dump/a.csv": both, "dump/b.csv": ("", LINE)})
    yield spread("split -l", {"dump/xaa": both, "dump/xab": ("", LINE)}, source="dump/x*")
    other = ("timestamp;movie_id;rating;user_id", "<s>;<m>;<comma>;<u>")
    yield spread("another order and separator", {"dump/a.csv": both, "dump/b.csv": other})
    accents = (HEAD, "Zoë <u>,<m>,<r>,<s>")
    plain = spread("UTF-8 and Latin-1", {"dump/a.csv": accents, "dump/b.csv": accents})
    blob = plain.files["dump/b.csv"].decode().encode("latin-1")
    rows = [(f"Zoë {u}", m, r, t) for u, m, r, t in plain.rows or ()]
    yield replace(plain, files={**plain.files, "dump/b.csv": blob}, rows=rows)
    lines = ("", '{"user_id":"<u>","movie_id":"<m>","rating":<r>,"timestamp":<s>}')
    yield spread("CSV and JSON lines", {"dump/a.csv": both, "dump/b.jsonl": lines})
    yield spread("plain and compressed", {"dump/a.csv": both, "dump/b.csv.gz": both})
    yield spread("years", {"dump/year=2023/a.csv": both, "dump/year=2024/a.csv": both})
    yield spread("capital endings", {"dump/A.CSV": both, "dump/B.TXT": both, "dump/C.Tsv": both})
    noise = {
        "dump/.DS_Store": b"\0\0\0\1Bud1",
        "dump/._a.csv": b"\0\5\x16\7",
        "dump/__MACOSX/._a.csv": b"\0\5\x16\7",
    }
    yield spread("what macOS adds", {"dump/a.csv": both}, beside=noise)
    noise = {"dump/README.md": b"# Ratings\n", "dump/LICENSE": b"CC0\n", "dump/desktop.ini": b"[x]\n"}
    yield spread("a readme beside", {"dump/a.csv": both}, beside=noise)
    noise = {"dump/a.csv.metadata": b"\n\x0f\x12", "dump/manifest": b"{}"}
    yield spread("Athena's metadata beside", {"dump/a.csv": both}, beside=noise)
    noise = {"dump/Users.csv": b"User-ID,Age\n11,30\n", "dump/Books.csv": b"ISBN,Title\n301,Up\n"}
    yield spread("tables of users and books beside", {"dump/Ratings.csv": both}, beside=noise, knows=comma)
    noise = {"dump/movies.csv": b"movieId,title,genres\n301,Up,x\n", "dump/README.txt": b"Summary\n"}
    yield spread("MovieLens", {"dump/ratings.csv": ("userId,movieId,rating,timestamp", LINE)}, beside=noise)
    inter = ("user_id:token\titem_id:token\trating:float\ttimestamp:float", "<u>\t<m>\t<r>\t<s>")
    noise = {"dump/x.item": b"item_id:token\ttitle:token_seq\n301\tUp\n", "dump/x.user": b"user_id:token\n11\n"}
    known = {f"columns.{name.split(':')[0].replace('item', 'movie')}": name for name in inter[0].split("\t")}
    yield spread("RecBole", {"dump/x.inter": inter}, beside=noise, knows=known)
    for place in ("my [old] ratings", "a & b", "100% #1", "ünï 'x'", "a*b?"):
        yield spread(f"named {place}", {f"{place}/a.csv": both}, source=place)
        yield spread(f"a file below {place}", {f"{place}/a.csv": both}, source=f"{place}/a.csv")
    yield Variant("empty", "folders", {"dump/.keep": b""}, None, "dump", says=".")
    for name, blob in {
        "an empty file": b"",
        "a header alone": HEAD.encode(),
        "blank lines": b"\n\n",
        "a mark alone": b"\xef\xbb\xbf",
    }.items():
        yield Variant(name, "folders", {"ratings.csv": blob}, None, says="(?i)empty|no rating|no row")


def _packed(rng: np.random.Generator) -> Iterator[Variant]:
    make = partial(made, rng, "compression", line=LINE, head=HEAD)
    zstd, lz4 = pa.Codec("zstd"), pa.Codec("lz4")
    good: dict[str, Callable[[bytes], bytes]] = {
        "gzip named .csv": gzip.compress,
        "gzip, zeros after the end": lambda raw: gzip.compress(raw) + b"\0" * 512,
        "zstd": lambda raw: zstd.compress(raw, asbytes=True),
        "zstd, two frames": lambda raw: zstd.compress(raw[:90], asbytes=True) + zstd.compress(raw[90:], asbytes=True),
        "zstd, a frame to skip": lambda raw: b"\x50\x2a\x4d\x18\4\0\0\0abcd" + zstd.compress(raw, asbytes=True),
        "gzip twice": lambda raw: gzip.compress(gzip.compress(raw)),
        "bzip2": bz2.compress,
        "xz": lzma.compress,
        "lzma": partial(lzma.compress, format=lzma.FORMAT_ALONE),
        "lz4": lambda raw: lz4.compress(raw, asbytes=True),
        "zip": zipped("ratings.csv"),
        "zip of two": zipped("ratings.csv", "movies.csv"),
        "tar": _tarred("w"),
        "tar, gzip": _tarred("w:gz"),
    }
    for name, pack in good.items():
        yield make(name, pack=pack)
    yield make("none, named .gz", file="ratings.csv.gz")
    bad: dict[str, Callable[[bytes], bytes]] = {
        "gzip, cut": lambda raw: gzip.compress(raw)[:-30],
        "gzip, wrong checksum": lambda raw: gzip.compress(raw)[:-8] + b"abcd" + gzip.compress(raw)[-4:],
        "zstd, cut": lambda raw: zstd.compress(raw, asbytes=True)[:-30],
        "7z": lambda raw: b"7z\xbc\xaf\x27\x1c\0\4" + raw[::-1],
        "rar": lambda raw: b"Rar!\x1a\7\1\0" + raw[::-1],
    }
    for name, pack in bad.items():
        yield make(name, pack=pack, refuse=".")


def _tarred(mode: Any) -> Callable[[bytes], bytes]:
    """Return a function that puts bytes into a tar archive."""

    def pack(raw: bytes) -> bytes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode=mode) as archive:
            member = tarfile.TarInfo("ratings.csv")
            member.size = len(raw)
            archive.addfile(member, io.BytesIO(raw))
        return buffer.getvalue()

    return pack


def _other_formats(rng: np.random.Generator) -> Iterator[Variant]:
    def store(write: Callable[[pa.Table, Any], None], drawn: list[Record]) -> bytes:
        buffer = io.BytesIO()
        write(_table({}, drawn), buffer)
        return buffer.getvalue()

    for name, write in {"Feather": feather.write_feather, "ORC": orc.write_table}.items():
        says = f"(?i){name}|arrow"
        yield _stored(rng, "other formats", name, partial(store, write), file=f"r.{name.lower()}", says=says)
    starts = {
        "SQLite": b"SQLite format 3\0\x10\0",
        "Avro": b"Obj\1\4\x16avro.schema",
        "HDF5": b"\x89HDF\r\n\x1a\n",
        "NumPy": b"\x93NUMPY\1\0v\0{'descr': '<f8'}",
        "pickle": b"\x80\4\x95\x10\0\0\0\0\0\0\0",
        "PDF": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
        "RDS": b"X\n\0\0\0\3\0\4\1\2",
        "SPSS": b"$FL2@(#) SPSS DATA FILE",
        "MATLAB": b"MATLAB 5.0 MAT-file, Platform: GLNXA64" + b"\0" * 90,
    }
    for name, start in starts.items():
        blob = start + rng.bytes(400)
        files = {f"ratings.{name.lower()}": gzip.compress(blob, mtime=0) if name == "RDS" else blob}
        yield Variant(name, "other formats", files, None, says=f"(?i){name}|binary")
