"""Pace and peak memory at 25 M ratings, measured in a process of its own.

    python benchmarks/speed_scale.py make SET FILE
    python benchmarks/speed_scale.py train FILE --cores N --repeats N

`make` and `measure` call these. The first writes a file of ratings, the second prints its measurements as JSON.
"""

import os

# As the `cfmodel` command does: idle threads soon sleep.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

import argparse
import json
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
from machine import peak_bytes, use_cores
from speed_race import predict_of, train, warm_up
from speed_sets import RatingSet, load

from cfmodel.config import TrainSettings
from cfmodel.data.splitting.parts import RatingArrays

_COLUMNS = ("user_idx", "movie_idx", "rating")
_PARTS = ("train", "test")


class Scale(NamedTuple):
    """The result of training on one set.

    Attributes:
        ratings: Training ratings.
        seconds: Seconds of the whole training, the median of `times`.
        ratings_per_second: Training ratings times epochs, divided by `seconds`.
        rmse: Test RMSE.
        peak_bytes: Peak memory during the first training, minus what the process held after importing and
            compiling everything. The training ratings count.
        times: Number of trainings.
    """

    ratings: int
    seconds: float
    ratings_per_second: float
    rmse: float
    peak_bytes: int
    times: int


def measure(path: Path, line: TrainSettings, *, cores: int, repeats: int) -> Scale:
    """Train on a file of ratings in a process of its own."""
    how = ["--cores", str(cores), "--repeats", str(repeats), "--line", line.model_dump_json()]
    return Scale(**json.loads(_called("train", str(path), *how)))


def make(name: str, path: Path) -> int:
    """Generate or read a set in a process of its own and write it to a file; return its number of training ratings."""
    return int(_called("make", name, str(path)))


def save(ratings: RatingSet, path: Path) -> None:
    """Write a set to a file."""
    parts = {"train": ratings.train, "test": ratings.test}
    columns = {f"{part}.{name}": getattr(parts[part], name) for part in _PARTS for name in _COLUMNS}
    sizes = np.array([ratings.num_users, ratings.num_movies, ratings.left_out])
    with path.open("wb") as file:
        np.savez(file, sizes=sizes, name=np.array(ratings.name), **columns)


def read(path: Path, parts: Collection[str] = _PARTS) -> RatingSet:
    """Read a file of `save`; parts that are not in `parts` are empty."""
    with np.load(path) as file:
        train, test = (
            RatingArrays(*(file[f"{part}.{name}"] if part in parts else np.empty(0) for name in _COLUMNS))
            for part in _PARTS
        )
        return RatingSet(str(file["name"]), train, test, *file["sizes"].tolist())


def _train(path: Path, line: TrainSettings, repeats: int) -> Scale:
    _compile(line)
    held = _resident_bytes()
    ratings = read(path, ["train"])
    taken, peak = [], 0
    for _ in range(repeats):
        result, seconds, records = train(ratings, line)
        taken.append(seconds)
        if not peak:
            peak, ratings = peak_bytes() - held, read(path)
        rmse = ratings.rmse(predict_of(result.model))
        del result, records
    rated = len(ratings.train) * line.epochs
    return Scale(len(ratings.train), median(taken), rated / median(taken), rmse, peak, repeats)


def _compile(line: TrainSettings) -> None:
    rng = np.random.default_rng(0)
    few = RatingArrays(*(rng.integers(1, 100, 2000).astype(kind) for kind in (np.int32, np.int32, np.float32)))
    warm_up(RatingSet.divided("few", few), [line])


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _called(*arguments: str) -> str:
    return subprocess.run([sys.executable, __file__, *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> None:
    """Run the subcommand that the parent process asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tasks = parser.add_subparsers(dest="task", required=True)
    making, training = tasks.add_parser("make"), tasks.add_parser("train")
    making.add_argument("name")
    making.add_argument("path", type=Path)
    training.add_argument("path", type=Path)
    training.add_argument("--cores", type=int, default=2)
    training.add_argument("--repeats", type=int, default=1)
    training.add_argument("--line", type=TrainSettings.model_validate_json, default=TrainSettings())
    given = parser.parse_args()
    if given.task == "make":
        ratings = load(given.name)
        save(ratings, given.path)
        print(len(ratings.train))
        return
    use_cores(given.cores)
    print(json.dumps(_train(given.path, given.line, given.repeats)._asdict()))


if __name__ == "__main__":
    main()
