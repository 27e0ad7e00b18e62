"""A fuzzer for ingest and settings: damaged input must give data or a clear error.

    python tests/support/fuzzing.py --inputs 100000

Every input comes from the seed and its number, so that `--only NUMBER` repeats one. Each is checked:
only cfmodel's own errors, at most a few seconds, counts that add up, as many ratings in the file as
counted, and for text without quotes as many rows as lines.
"""

import argparse
import gzip
import io
import json
import random
import resource
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq

from cfmodel.config import IngestSettings, PipelineSettings, setting_fields
from cfmodel.data.ingest.ingest import ingest
from cfmodel.data.sources.sources import check_source
from cfmodel.errors import CFModelError

MOST_SECONDS = 10.0
MOST_BYTES = 2 * 1024**3

ROWS = [(user % 7, f"m{user % 5}", 1 + user % 5, 1_260_759_144 + user) for user in range(30)]
TOKENS = [
    *(b",", b";", b"\t", b"|", b"::", b"\n", b"\r\n", b"\r", b"\n\n", b'"', b'""', b"'", b"#", b"# x\n", b" ", b"\0"),
    *(b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\xff", b"\xc3\xa9", b"\xe9", "\u00a0".encode(), "\u2028".encode()),
    *(
        b"nan",
        b"inf",
        b"-1e999",
        b"1e308",
        b"0x10",
        b"1_000",
        b"1,5",
        b"1,234",
        b"99",
        b"NA",
        b"\\N",
        b"null",
        b"-",
        b".",
    ),
    *(b"9223372036854775807", b"-9223372036854775808", b"18446744073709551616", b"9" * 400, b"007", b"+7", b"-0"),
    *(b"2009-12-14", b"2009-02-30", b"2009-12-14T02:52:24+25:00", b"0001-01-01T00:00:00+14:00", b"1e18", b"UTC"),
    *(b"{", b"}", b"[", b"]", b"[" * 3000, b'{"user":', b"user", b"rating", b"userId,movieId,rating\n", b"\\ud800"),
    *(b"=cmd|' /C calc'!A0", b"<script>", b"../../etc", b"PAR1", b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK\x03\x04"),
]


def text(separator: str, head: str = "") -> bytes:
    """Return ratings as delimited text."""
    return (head + "".join(separator.join(map(str, row)) + "\n" for row in ROWS)).encode()


def parquet(**options: Any) -> bytes:
    """Return ratings as Parquet."""
    columns = dict(zip(("user", "item", "rating", "time"), map(list, zip(*ROWS, strict=True)), strict=True))
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file, **options)
    return file.getvalue()


def seeds() -> list[bytes]:
    """Return undamaged files."""
    head = "userId,movieId,rating,timestamp\n"
    lines = [json.dumps(dict(zip(("user", "item", "rating", "ts"), row, strict=True))) for row in ROWS]
    quoted = "".join(f'"a ""b""\nc","{u}","{m}","{r},5","{t}"\n' for u, m, r, t in ROWS)
    wide = "user,a,b,c\n" + "".join(f"{u},{r},99,\n" for u, _, r, _ in ROWS)
    plain = [
        text(",", head),
        text("\t"),
        text("::"),
        text(";", "user;item;rating;date\n"),
        ("title,user,item,rating,time\n" + quoted).encode(),
        "\n".join(lines).encode(),
        wide.encode(),
        ("\ufeff" + head.replace(",", ";") + text(";").decode()).encode("utf-16"),
        head.encode() + b"1,caf\xe9,3,4\n" * 20,
        b"# made by hand\n\n" + text("|"),
        text("   "),
        b"%%MatrixMarket matrix coordinate real general\n%\n7 5 30\n"
        + "".join(f"{u} {m[1:]} {r}\n" for u, m, r, _ in ROWS).encode(),
        "".join(f"{m}:\n{u},{r},2005-09-06\n" for u, m, r, _ in ROWS).encode(),
        "".join(f"item: {m}\nuser: {u}\nrating: {r}\n\n" for u, m, r, _ in ROWS).encode(),
        f"[{','.join(lines)}]".encode(),
        "\n".join(lines).replace('"user": ', '"user": {"$numberLong": "').replace(', "item"', '"}, "item"').encode(),
    ]
    packed = [gzip.compress(plain[0]), pa.compress(plain[1], codec="zstd", asbytes=True)]
    return [*plain, *packed, parquet(), parquet(compression="zstd", write_page_checksum=True, use_dictionary=False)]


def damaged(content: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    """Return a file with up to eight faults."""
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        # Mostly after the first rows: damage in the first rows is usually refused at once.
        at, to = sorted(max(rng.randrange(len(content) + 1) for _ in range(rng.choice((1, 2)))) for _ in range(2))
        piece = content[at : min(to, at + 200)]
        match rng.choices(range(8), (6, 6, 6, 3, 3, 1, 2, 0.2))[0]:
            case 0:
                content = content[:at] + bytes([rng.randrange(256)]) + content[at + 1 :]
            case 1 | 2:
                content = content[:at] + rng.choice(TOKENS) + content[at + rng.choice((0, 0, 1, 3)) :]
            case 3:
                content = content[:at] + content[at + len(piece) :]
            case 4:
                content = content[:at] + piece * rng.choice((2, 2, 50)) + content[at:]
            case 5:
                content = content[:at]
            case 6:
                other = rng.choice(others)
                content = content[:at] + other[rng.randrange(len(other)) :]
            case 7:
                content = bytes(rng.randrange(256) for _ in range(rng.randrange(40)))
    return content


def some_settings(rng: random.Random) -> IngestSettings:
    """Return random settings that a user might choose."""
    choices: dict[str, list[Any]] = {
        "separator": [None, None, None, ",", ";", "::", "\t", "x", "§", " "],
        "header": [None, None, True, False],
        "encoding": [None, None, None, "utf-8", "utf-16", "latin-1", "shift_jis", "gb18030"],
        "decimal": [None, None, ",", "."],
        "timestamp_unit": [None, None, "s", "ms", "ns"],
        "layout": ["long", "long", "long", "wide"],
        "missing": [(), IngestSettings().missing, ("99", "1")],
        "not_rated": [None, 99.0, 3.0],
        "rating_range": [None, None, (0.5, 5.0)],
        "on_bad_row": ["quarantine", "quarantine", "quarantine", "stop"],
        "max_bad_fraction": [1.0, 1.0, 0.01],
        "on_duplicate": ["last", "mean", "stop"],
    }
    columns = [
        {},
        {},
        {},
        {"user_id": "1"},
        {"user_id": ""},
        {"timestamp": ""},
        {"user_id": "user", "rating": "rating"},
    ]
    if rng.random() < 0.6:
        choices = {name: choices[name] for name in ("on_bad_row", "max_bad_fraction", "on_duplicate")}
        columns = [{}]
    chosen = {name: rng.choice(values) for name, values in choices.items()}
    return IngestSettings.model_validate(chosen | {"columns": rng.choice(columns)})


def require(truth: bool, what: str) -> None:
    """Raise an AssertionError with a message if a condition is false."""
    if not truth:
        raise AssertionError(what)


def read_damaged(rng: random.Random, folder: Path, files: list[bytes]) -> str:
    """Ingest a damaged file; return the outcome as one word."""
    contents = [damaged(rng.choice(files), rng, files) for _ in range(rng.choice((1, 1, 1, 2)))]
    settings = some_settings(rng)
    place = folder / "source"
    place.mkdir()
    for number, content in enumerate(contents):
        (place / f"{number}.csv").write_bytes(content)
    source = str(place / "0.csv") if len(contents) == 1 else str(place)
    try:
        ref = ingest(source, settings, folder=folder)
    except CFModelError as refusal:
        require(len(str(refusal)) < 5_000, f"a message of {len(str(refusal)):,} characters")
        return type(refusal).__name__
    with pq.ParquetFile(ref.path / "ratings.parquet") as file:
        require(file.metadata.num_rows == ref.rows == ref.accounts.kept, "kept rows that are not in the file")
    aside = ref.path / "quarantine.parquet"
    quarantined = pq.read_metadata(aside).num_rows if aside.exists() else 0
    require(quarantined == ref.accounts.quarantined, "bad rows that are not in the quarantine")
    if len(contents) == 1 and settings.layout == "long" and settings.encoding in (None, "utf-8"):
        accounts = ref.accounts
        require_every_line(contents[0], accounts.rows_in + accounts.ignored + accounts.headers, ref.path)
    return "ingested"


def require_every_line(content: bytes, rows: int, folder: Path) -> None:
    """Compare the number of rows with the number of lines, counted independently, where a line is a row."""
    (file,) = json.loads((folder / "manifest.json").read_text())["files"]
    if (
        file["kind"] != "text"
        or file["shape"]
        or b'"' in content
        or b"\0" in content
        or content[:2] in (b"\x1f\x8b", b"\x28\xb5")
    ):
        return
    lines = [line for line in io.StringIO(content.decode("latin-1"), newline=None) if line.rstrip("\n")]
    above = sum(line.lstrip().startswith(("#", "%")) or not line.strip() for line in lines)
    require(len(lines) - above - 1 <= rows <= len(lines), f"{len(lines)} lines, {rows} rows")


def set_damaged(rng: random.Random, folder: Path) -> str:
    """Read damaged settings, names of sources and TOML."""
    names = [name for name, _ in setting_fields()]
    values = [None, "", "x", 0, -1, 1e400, float("nan"), 2**70, True, [], [1], {}, {"a": 1}, "\ud800", ["5", "1"], b"x"]
    try:
        match rng.randrange(3):
            case 0:
                given = {rng.choice([*names, "x.y", "ingest", ".", ""]): rng.choice(values) for _ in range(3)}
                PipelineSettings.of(overrides=given)
            case 1:
                path = folder / "settings.toml"
                toml = (
                    f"[{rng.choice(names).rpartition('.')[0]}]\n{rng.choice(names).rpartition('.')[2]} = 1\n".encode()
                )
                path.write_bytes(damaged(toml, rng, [toml]))
                PipelineSettings.read(path)
            case 2:
                name = damaged(b"synthetic:users=5,movies=9,ratings=9,noise=0.5", rng, [b"s3://x/y"])
                check_source(name.decode(errors="replace")[:3000])
    except CFModelError as refusal:
        return type(refusal).__name__
    return "accepted"


def inputs(seed: int, count: int, only: int | None) -> Iterator[tuple[int, random.Random]]:
    """Yield numbers, each with its random generator."""
    for number in range(count) if only is None else [only]:
        yield number, random.Random(seed * 1_000_003 + number)


def fuzz(count: int, *, seed: int = 0, only: int | None = None) -> tuple[Counter[str], list[str]]:
    """Try damaged inputs; return the outcomes and the faults found."""
    outcomes: Counter[str] = Counter()
    faults: list[str] = []
    files, before = seeds(), peak_bytes()
    base = Path(tempfile.mkdtemp(prefix="cfmodel-fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    # For speed: cfmodel's code does not change during the run, and the results are thrown away.
    with mock.patch("cfmodel.data.ingest.ingest.code_digest", return_value="fuzz"), mock.patch("os.fsync"):
        for number, rng in inputs(seed, count, only):
            folder = base / str(number)
            folder.mkdir()
            start = time.process_time()  # not wall time: the machine may be busy
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("error")
                    outcome = set_damaged(rng, folder) if number % 5 == 4 else read_damaged(rng, folder, files)
                outcomes[outcome] += 1
            except Exception:
                faults.append(f"input {number}:\n{traceback.format_exc()[-3_000:]}")
            if (seconds := time.process_time() - start) > MOST_SECONDS:
                faults.append(f"input {number}: took {seconds:.1f} s")
            shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(base, ignore_errors=True)
    if (peak := peak_bytes()) > max(MOST_BYTES, before):  # more than what else this process did took
        faults.append(f"memory: {peak:,} bytes at most")
    return outcomes, faults


def peak_bytes() -> int:
    """Return the most memory that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> int:
    """Fuzz, and print the outcomes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int)
    given = parser.parse_args()
    start = time.perf_counter()
    outcomes, faults = fuzz(given.inputs, seed=given.seed, only=given.only)
    seconds = time.perf_counter() - start
    counts = ", ".join(f"{name} {count:,}" for name, count in outcomes.most_common())
    peak = peak_bytes() / 2**20
    print(f"{outcomes.total():,} inputs in {seconds:.0f} s, {peak:.0f} MiB at most: {counts}; {len(faults)} faults")
    print("\n".join(faults[:20]))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
