"""Kill a pipeline repeatedly at random moments, resume it, and compare the result with a run that was not killed.

Weights, points in MLflow, artifacts and archive must be the same, in one MLflow run.

    python benchmarks/kills.py [--kills 50] [--seed 0]
"""

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import safetensors.numpy
from mlflow import MlflowClient

from flows.server import prefect_server

ROOT = Path(__file__).parent.parent
SOURCE = "synthetic:users=300,movies=150,ratings=20000"
#: Small steps on the slower engine, so that kills reach every part of a run; a sampling interval without the clock.
SETTINGS = {
    "train.epochs": "3",
    "train.embedding_dim": "4",
    "train.batch_size": "64",
    "train.engine": "autograd",
    "monitor.sample_every": "64",
    "runtime.device": "cpu",
    "runtime.threads": "1",
    "runtime.checkpoint_seconds": "0",
}
#: What the clock says differs from run to run.
BY_THE_CLOCK = ("time/", "monitor/seconds", "monitor/overhead_fraction", "refit/monitor/", "refit/time/")
#: Longest a start may take on a busy machine.
PATIENCE_SECONDS = 1200.0
MOST_KILLS_A_RUN = 5


@dataclass(frozen=True)
class Outcome:
    """The results of a run.

    Attributes:
        run_id: Its id in MLflow.
        status: Its status in MLflow.
        weights: SHA-256 of the saved weights and of Adam's state.
        points: Step and value of every point in MLflow, by metric; without values for metrics measured by a clock.
        artifacts: Paths of its artifacts.
        archive: Number of rows in the gradient archive, by file.
        models: Number of models logged for it.
    """

    run_id: str
    status: str
    weights: str
    points: Mapping[str, Sequence[tuple[int, float | None]]]
    artifacts: Sequence[str]
    archive: Mapping[str, int]
    models: int


@dataclass(frozen=True)
class Pipeline:
    """`cfmodel run` in a folder of its own.

    Attributes:
        folder: Where it runs; what it says is appended to `said.txt` there.
        uri: The MLflow store.
        prefect: Address of a Prefect server.
        program: How Python is told to run `cfmodel`.
    """

    folder: Path
    uri: str
    prefect: str
    program: Sequence[str] = ("-m", "cfmodel")

    @property
    def said(self) -> Path:
        """The output of all processes so far."""
        return self.folder / "said.txt"

    @property
    def experiment(self) -> str:
        """The experiment of its runs, which nothing else uses."""
        return self.folder.name

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start it, and return once its MLflow run exists or it has ended."""
        self.folder.mkdir(exist_ok=True)
        of_its_own = {"tracking.experiment": self.experiment, "promotion.model_name": self.experiment}
        settings = SETTINGS | {"tracking.uri": self.uri, **of_its_own}
        options = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
        environment = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PREFECT_API_URL": self.prefect}
        with self.said.open("ab") as said:
            before = said.tell()
            process = subprocess.Popen(
                [sys.executable, *self.program, "run", *(arguments or [SOURCE]), *options],
                cwd=self.folder,
                env=os.environ | environment,
                stdout=said,
                stderr=subprocess.STDOUT,
            )
        while process.poll() is None and b"run " not in self.said.read_bytes()[before:]:
            time.sleep(0.02)
        return process

    def run(self) -> int:
        """Run it to its end; return the number of lines printed up to the end of the step `evaluate`."""
        before = self.lines()
        process = self.start()
        if process.wait(PATIENCE_SECONDS) != 0:
            raise SystemExit(f"the run failed:\n{self.said.read_text()[-4000:]}")
        said = self.said.read_text().splitlines()[before:]
        return next(number for number, line in enumerate(said, 1) if line.startswith("evaluate "))

    def killed(self, chance: random.Random, *, first: int = 1, last: int) -> bool:
        """Start it and kill it after a random number of lines; return whether it was still running.

        The moment is counted in lines, because the speed of a machine varies. Lines that a resumed run
        prints again count.
        """
        before, lines = self.lines(), chance.randint(first, last)
        process = self.start()
        while process.poll() is None and self.lines() - before < lines:
            time.sleep(0.005)
        time.sleep(chance.uniform(0.0, 0.3))
        process.send_signal(signal.SIGKILL)
        return process.wait() == -signal.SIGKILL

    def lines(self) -> int:
        """Return the number of lines that all processes printed so far."""
        return self.said.read_bytes().count(b"\n") if self.said.exists() else 0


def outcome_of(pipeline: Pipeline) -> Outcome:
    """Read the results of a pipeline.

    Raises:
        SystemExit: No run finished, or more than one run trained.
    """
    client = MlflowClient(pipeline.uri)
    found = client.get_experiment_by_name(pipeline.experiment)
    run, *others = sorted(client.search_runs([found.experiment_id]), key=lambda run: run.info.status != "FINISHED")
    # A run killed before its first checkpoint is closed and a new one starts; it recorded only metrics of its data.
    if any(other.info.status != "KILLED" or not all(map(_is_of_the_data, other.data.metrics)) for other in others):
        raise SystemExit(f"more than one run: {[(other.info.run_id, other.info.status) for other in (run, *others)]}")
    data = pipeline.folder / "data"
    model = data / "models" / run.info.run_id
    return Outcome(
        run_id=run.info.run_id,
        status=run.info.status,
        weights=_digest(model / "weights.safetensors", model.with_name(f"{model.name}-adam.safetensors")),
        points={key: _points(client, run.info.run_id, key) for key in sorted(run.data.metrics)},
        # The file of a decision is named by its time, and its content depends on the champion at that time.
        artifacts=sorted(path for path in _artifacts(client, run.info.run_id, "") if not path.startswith("promotion/")),
        archive=_archive(data / "gradients" / run.info.run_id),
        models=len(run.outputs.model_outputs),
    )


def differences(one: Outcome, other: Outcome) -> list[str]:
    """Return the differences between two runs, without values measured by a clock."""
    found = [
        name
        for name in ("status", "weights", "artifacts", "archive", "models")
        if getattr(one, name) != getattr(other, name)
    ]
    found += [
        f"metric {key}" for key in sorted({*one.points, *other.points}) if one.points.get(key) != other.points.get(key)
    ]
    for outcome in (one, other):
        for key, points in outcome.points.items():
            if max(Counter(step for step, _ in points).values()) > 1:
                found.append(f"doubled points of {key} in {outcome.run_id}")
    return found


def _is_of_the_data(metric: str) -> bool:
    return metric.startswith("data/")


def _points(client: MlflowClient, run_id: str, key: str) -> list[tuple[int, float | None]]:
    by_the_clock = key.startswith(BY_THE_CLOCK)
    history = client.get_metric_history(run_id, key)
    return sorted((point.step, None if by_the_clock else point.value) for point in history)


def _artifacts(client: MlflowClient, run_id: str, path: str) -> Iterator[str]:
    for entry in client.list_artifacts(run_id, path):
        if entry.is_dir:
            yield from _artifacts(client, run_id, entry.path)
        else:
            yield entry.path


def _archive(folder: Path) -> dict[str, int]:
    import pyarrow.parquet as pq

    return {file.name: pq.read_metadata(file).num_rows for file in sorted(folder.glob("*.parquet"))}


def _digest(*files: Path) -> str:
    """Return the SHA-256 of the tensors in some files, for any order in their headers."""
    digest = hashlib.sha256()
    for file in files:
        for name, table in sorted(safetensors.numpy.load_file(file).items()):
            digest.update(name.encode() + table.tobytes())
    return digest.hexdigest()


def kill_loop(kills: int, *, seed: int, folder: Path) -> int:
    """Run once without kills, then runs with kills until `kills` are done; return the number of those runs."""
    uri, chance, done, runs = f"sqlite:///{folder}/mlflow.db", random.Random(seed), 0, 0
    with prefect_server(folder / "prefect") as prefect:
        whole = Pipeline(folder / "whole", uri, prefect)
        last = whole.run()
        expected = outcome_of(whole)
        while done < kills:
            runs += 1
            broken = Pipeline(folder / f"broken-{runs}", uri, prefect)
            for _ in range(min(MOST_KILLS_A_RUN, kills - done)):
                if not broken.killed(chance, last=last):
                    break
                done += 1
            else:
                broken.run()
            if found := differences(expected, outcome_of(broken)):
                raise SystemExit(f"{broken.experiment}, after {done} kills: {'; '.join(found)}; see {broken.said}")
            print(f"{broken.experiment}: {done} of {kills} kills, same weights, same points", flush=True)
    return runs


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="number of kills")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random moments")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cfmodel-kills-") as temporary:
        print(f"in {temporary}", flush=True)
        print(f"{told.kills} kills, {kill_loop(told.kills, seed=told.seed, folder=Path(temporary))} runs: all the same")
