"""Rows per second and memory of ingest and split, at up to 25,000,000 ratings.

    python benchmarks/ingest.py [--ratings 25000000] [--repeats 3]

The ratings are made up in the shape of MovieLens 25M (162,541 users, 59,047 movies of uneven popularity, half stars,
seconds), sorted by user like the original, and written as CSV first. Each measurement runs in a process of its own. Its
memory is the peak resident set minus the resident set after the imports. Ingest includes the digest of the source,
reading, checking every row, duplicates, profile and Parquet. Split includes digests, the random split, three parts and
two vocabularies. The processor time of all threads is printed too; on a busy machine it says more than the wall time.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
from machine import describe_machine, peak_bytes

USERS, MOVIES = 162_541, 59_047
_BLOCK = 1_000_000


def write_ratings(path: Path, count: int) -> None:
    """Write made-up ratings as CSV, each pair once, sorted by user."""
    rng = np.random.default_rng(0)
    activity = np.minimum(rng.lognormal(sigma=1.2, size=USERS), 50)
    ends = np.rint(np.cumsum(activity) * (count / activity.sum())).astype(np.int64)
    user = np.repeat(np.arange(USERS), np.diff(ends, prepend=0))
    movie = (rng.random(len(user)) ** 3 * MOVIES).astype(np.int64)
    while len(again := _repeated(user, movie)):
        movie[again] = rng.integers(0, MOVIES, len(again))
    with csv.CSVWriter(path, _schema(), write_options=csv.WriteOptions(quoting_style="none")) as writer:
        for first in range(0, len(user), _BLOCK):
            rows = slice(first, first + _BLOCK)
            size = len(user[rows])
            rating = rng.integers(1, 11, size) / 2
            moment = rng.integers(789_652_009, 1_574_327_703, size)
            columns = [user[rows] + 1, movie[rows] + 1, rating, moment]
            writer.write_batch(pa.record_batch([pa.array(column) for column in columns], schema=_schema()))


def _schema() -> pa.Schema:
    names = ("userId", "movieId", "rating", "timestamp")
    return pa.schema([(name, pa.float64() if name == "rating" else pa.int64()) for name in names])


def _repeated(user: np.ndarray, movie: np.ndarray) -> np.ndarray:
    """Return the positions of pairs that occurred before."""
    pairs = user * MOVIES + movie
    order = np.argsort(pairs, kind="stable")
    return order[1:][np.diff(pairs[order]) == 0]


def measured(step: str, source: Path, folder: Path) -> dict[str, float]:
    """Run one step in a process of its own; return its seconds and bytes."""
    done = subprocess.run(
        [sys.executable, __file__, "--step", step, str(source), str(folder)], check=True, capture_output=True, text=True
    )
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


def run_step(step: str, source: str, folder: Path) -> None:
    """Do one step and print its seconds and bytes."""
    from cfmodel.config import IngestSettings, SplitSettings
    from cfmodel.data.ingest.ingest import ingest
    from cfmodel.data.splitting.split import split
    from cfmodel.refs import DatasetRef

    before, start, start_cpu = peak_bytes(), time.perf_counter(), time.process_time()
    if step == "ingest":
        ref = ingest(source, IngestSettings(), folder=folder)
        seconds = time.perf_counter() - start
        (folder / "ref.json").write_text(ref.model_dump_json())
    else:
        data = DatasetRef.model_validate_json((folder / "ref.json").read_text())
        start, start_cpu = time.perf_counter(), time.process_time()
        split(data, SplitSettings(), folder=folder)
        seconds = time.perf_counter() - start
    cpu = time.process_time() - start_cpu
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu, "bytes": peak_bytes() - before}))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ratings", type=int, default=25_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--step", nargs=3, metavar=("STEP", "SOURCE", "FOLDER"))
    given = parser.parse_args()
    if given.step:
        run_step(given.step[0], given.step[1], Path(given.step[2]))
        return
    print(describe_machine())
    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary) / "ratings.csv"
        write_ratings(source, given.ratings)
        print(f"source    {given.ratings:,} ratings, {source.stat().st_size / 1e6:,.0f} MB of CSV")
        for step in ("ingest", "split"):
            taken = []
            for repeat in range(given.repeats):
                folder = Path(temporary) / str(repeat)
                folder.mkdir(exist_ok=True)
                taken.append(measured(step, source, folder))
            seconds = [one["seconds"] for one in taken]
            pace = given.ratings / np.median(seconds) / 1e6
            print(
                f"{step:<9} median {np.median(seconds):.2f} s, {min(seconds):.2f} to {max(seconds):.2f}, "
                f"n = {len(taken)}: {pace:.2f} M rows/s; CPU {np.median([one['cpu_seconds'] for one in taken]):.2f} s; "
                f"{max(one['bytes'] for one in taken) / 1e6:,.0f} MB"
            )


if __name__ == "__main__":
    main()
