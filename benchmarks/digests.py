"""Digests of small runs: two checkouts that print the same train the same weights, bit for bit.

    python benchmarks/digests.py > before.txt
    python benchmarks/digests.py --checkout ../other > after.txt && diff before.txt after.txt

Each line is one run of the pipeline with one source, one Adam and one engine. It has the SHA-256 of the model's
weights, of Adam's state, of the metrics in MLflow and of the gradient archive, without values measured by a clock.
"""

import argparse
import hashlib
import itertools
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import safetensors.numpy

ROOT = Path(__file__).parent.parent
#: Sources, each with settings of its own: the last one makes its batches from blocks.
SOURCES = {
    "synthetic:users=400,movies=250,ratings=25000": {},
    "ml-latest-small/ratings.csv": {"train.refit": "false"},
    "ml-100k/u1.base": {"train.blocks": "4"},
}
#: The sampling interval is fixed, because by default the clock decides it.
SETTINGS = {
    "train.epochs": "4",
    "train.embedding_dim": "12",
    "monitor.sample_every": "16",
    "runtime.device": "cpu",
    "runtime.threads": "2",
}
#: Metrics, and fields of records, that are measured by a clock.
CLOCK = ("seconds", "per_second", "overhead", "system/")
CLOCK_FIELDS = {"seconds", "training_seconds", "overhead_fraction"}


def main() -> None:
    """Run every combination and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkout", type=Path, default=ROOT, help="checkout whose code runs")
    checkout = parser.parse_args().checkout.resolve()
    for source, adam, engine in itertools.product(SOURCES, ("all_rows", "touched_rows"), ("autograd", "fused")):
        settings = SETTINGS | SOURCES[source] | {"train.adam": adam, "train.engine": engine}
        found = " ".join(f"{name}={digest[:16]}" for name, digest in digests_of(source, settings, checkout).items())
        print(f"{source} {adam} {engine}: {found}", flush=True)


def digests_of(source: str, settings: dict[str, str], checkout: Path) -> dict[str, str]:
    """Run the pipeline of a checkout in a temporary folder and return the digests of its results."""
    named = source if source.startswith("synthetic") else str(Path(os.environ["CFMODEL_DATA_DIR"], source).resolve())
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        store = folder / "mlflow.db"
        own = {"runtime.data_dir": str(folder / "data"), "tracking.uri": f"sqlite:///{store}"}
        options = itertools.chain.from_iterable(("--set", f"{k}={v}") for k, v in (settings | own).items())
        environment = os.environ | {"PYTHONPATH": str(checkout), "PREFECT_HOME": str(folder / "prefect")}
        command = [sys.executable, "-m", "cfmodel", "run", named, *options]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stdout + done.stderr)
        return {
            "weights": _digest(_tables(next(folder.rglob("weights.safetensors")))),
            "adam": _digest(_tables(next(folder.rglob("*-adam.safetensors")))),
            "metrics": _digest(_metrics(store)),
            "archive": _digest(_archive(next(folder.rglob("histograms.parquet")).parent)),
        }


def _digest(parts: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _tables(path: Path) -> Iterator[bytes]:
    for name, table in sorted(safetensors.numpy.load_file(path).items()):
        yield name.encode() + str(table.shape).encode() + table.tobytes()


def _metrics(store: Path) -> Iterator[bytes]:
    with sqlite3.connect(store) as database:
        points = database.execute("SELECT key, step, value FROM metrics ORDER BY key, step, value").fetchall()
    yield from (repr(point).encode() for point in points if not any(word in point[0] for word in CLOCK))


def _archive(folder: Path) -> Iterator[bytes]:
    for name in ("histograms.parquet", "steps.parquet"):
        yield repr(pq.read_table(folder / name).to_pydict()).encode()
    yield json.dumps(_without_clock(json.loads((folder / "records.json").read_text()))).encode()


def _without_clock(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_clock(item) for key, item in value.items() if key not in CLOCK_FIELDS}
    return [_without_clock(item) for item in value] if isinstance(value, list) else value


if __name__ == "__main__":
    main()
