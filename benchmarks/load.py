"""The whole pipeline on 25,000,000 ratings with limited memory, twice: seconds and peak memory of each step.

    python benchmarks/load.py [--ratings 25000000] [--epochs 2] [--limit-gib 4] [--cores 2] [--set NAME=VALUE]

The ratings are those of `benchmarks/ingest.py` (162,541 users, 59,047 movies, half stars), written as CSV first. Then
`cfmodel run` and every process it starts, Prefect's server included, run on a few cores in a control group with a
memory limit, swap included if the kernel counts it. The kernel kills a process that needs more; the output shows the
step. The second run trains on the same split with another seed, and is compared with the first run's model on all of
its test ratings.

*group* is the memory of all processes without files (files that were read or written also count against the limit, but
the kernel can evict them). The other two columns are resident sets, in which each process counts shared pages.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ingest import write_ratings
from machine import describe_machine, use_cores
from mlflow import MlflowClient

from cfmodel.config import MODEL
from cfmodel.tracking import CHAMPION

ROOT = Path(__file__).parent.parent
MIB = 2**20
#: Sampling interval of memory; the kernel's own peak of the whole run is exact.
EVERY_SECONDS = 0.05

_STEP_ENDS = re.compile(r"^(\w+) .*\((?:([\d.]+) s|reused)\)$")


@dataclass(frozen=True)
class MemoryGroup:
    """A memory control group of the kernel, version 1 or 2.

    Attributes:
        folder: Its folder in the control group file system.
        is_v1: Whether it is version 1.
    """

    folder: Path
    is_v1: bool

    @classmethod
    @contextmanager
    def limited_to(cls, most: int) -> Iterator["MemoryGroup"]:
        """Create a group for the duration of a block.

        Args:
            most: Memory limit in bytes.

        Raises:
            SystemExit: This machine or this user may not create one.
        """
        base = Path("/sys/fs/cgroup")
        is_v1 = (base / "memory").is_dir()
        made = cls((base / "memory" if is_v1 else base) / f"cfmodel-load-{os.getpid()}", is_v1)
        try:
            made.folder.mkdir()
            made._file("memory.limit_in_bytes", "memory.max").write_text(str(most))
        except OSError as error:
            raise SystemExit(f"{made.folder}: cannot create a control group ({error.strerror}); run as root") from None
        try:
            swap = made._file("memory.memsw.limit_in_bytes", "memory.swap.max")
            if swap.exists():
                swap.write_text(str(most if is_v1 else 0))
            yield made
        finally:
            made._end()

    def enter(self) -> None:
        """Move this process into the group; processes it starts later are in it too."""
        (self.folder / "cgroup.procs").write_text(str(os.getpid()))

    def processes(self) -> list[int]:
        """Return the processes in the group."""
        return [int(line) for line in (self.folder / "cgroup.procs").read_text().split()]

    def bytes_now(self) -> int:
        """Return the bytes its processes use, without files."""
        return self._number("memory.stat", "total_rss" if self.is_v1 else "anon")

    def peak_with_files(self) -> int:
        """Return the peak that the kernel counted, files that were read or written included."""
        return int(self._file("memory.max_usage_in_bytes", "memory.peak").read_text())

    def killed(self) -> int:
        """Return how many of its processes the kernel killed for exceeding the limit."""
        return self._number("memory.oom_control" if self.is_v1 else "memory.events", "oom_kill")

    def _file(self, first: str, second: str) -> Path:
        return self.folder / (first if self.is_v1 else second)

    def _number(self, file: str, name: str) -> int:
        lines = (line.split() for line in (self.folder / file).read_text().splitlines())
        return int(next(value for key, value in lines if key == name))

    def _end(self) -> None:
        deadline = time.monotonic() + 30
        while self.processes() and time.monotonic() < deadline:
            for process in self.processes():
                os.kill(process, 9)
            time.sleep(0.1)
        self.folder.rmdir()


class Watch:
    """Follows a run: its current step, and the peak memory of each step.

    Attributes:
        seconds: Seconds of each step, as the run prints them.
        peaks: Peak bytes by step and by owner: `group`, `run` or `server`.
        said: Lines that the run printed.
    """

    def __init__(self, group: MemoryGroup, process: "subprocess.Popen[str]") -> None:
        self.seconds: dict[str, float] = {}
        self.peaks: dict[str, dict[str, int]] = {"": defaultdict(int)}
        self.said: list[str] = []
        self._group, self._process, self._ended = group, process, threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)

    def follow(self) -> int:
        """Follow the run to its end; return its exit status."""
        self._sampler.start()
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.said.append(line)
            if found := _STEP_ENDS.match(line.rstrip()):
                # Samples since the previous step belong to the step that ends here.
                self.seconds[found[1]] = float(found[2] or 0)
                self.peaks[found[1]] = self.peaks.pop("")
                self.peaks[""] = defaultdict(int)
                print(self.row(found[1]), flush=True)
        status = self._process.wait()
        self._ended.set()
        self._sampler.join()
        return status

    def row(self, step: str) -> str:
        """Return a step's line of the table."""
        cells = [f"{self.peaks[step][whose] / MIB:7,.0f} MiB" for whose in ("group", "run", "server")]
        return f"{step or 'the end':10} {self.seconds.get(step, 0.0):8.1f} s  {'  '.join(cells)}"

    def _sample(self) -> None:
        while not self._ended.wait(EVERY_SECONDS):
            peaks = self.peaks.get("", {})
            seen = {"group": self._group.bytes_now(), "run": 0, "server": 0}
            for number in self._group.processes():
                seen["run" if number == self._process.pid else "server"] += _resident(number)
            for whose, now in seen.items():
                peaks[whose] = max(peaks.get(whose, 0), now)


def _resident(number: int) -> int:
    try:
        return int(Path(f"/proc/{number}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):  # it has ended
        return 0


def load(source: Path, group: MemoryGroup, *, folder: Path, epochs: int, overrides: Sequence[str]) -> int:
    """Run the pipeline on a file in a group, print the cost of each step, and return its exit status."""
    chosen = [f"train.epochs={epochs}", "runtime.device=cpu", *overrides]
    process = subprocess.Popen(
        [sys.executable, "-m", "cfmodel", "run", str(source), *(part for each in chosen for part in ("--set", each))],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "PREFECT_HOME": str(folder / "prefect")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=group.enter,
    )
    watch, began = Watch(group, process), time.monotonic()
    print(f"{'step':10} {'seconds':>10}  {'group':>11}  {'run':>11}  {'server':>11}")
    status = watch.follow()
    print(watch.row(""))
    print(f"{'whole':10} {time.monotonic() - began:8.1f} s  peak with files {group.peak_with_files() / MIB:,.0f} MiB")
    if status:
        print("".join(watch.said[-30:]))
        print(f"exit status {status}; the kernel killed {group.killed()} processes for memory after the steps above")
    return status


def crown(store: str) -> None:
    """Make the first run's model the champion, whatever was decided: made-up ratings hold nothing to learn."""
    MlflowClient(store).set_registered_model_alias(MODEL, CHAMPION, "1")


def decision(store: str) -> str:
    """Return the promotion decision on the second run's model.

    Raises:
        SystemExit: It was not compared with the champion.
    """
    tags = MlflowClient(store).get_model_version(MODEL, "2").tags
    if tags.get("promotion.champion_version") != "1":
        raise SystemExit(f"the second model was not compared with the first: {tags}")
    return f"compared with the champion on {float(tags['promotion.rows']):,.0f} ratings: {tags['promotion.verdict']}"


def main() -> int:
    """Write the ratings, run without and with a champion, and print a table for each run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ratings", type=int, default=25_000_000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--limit-gib", type=float, default=4.0)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="NAME=VALUE")
    given = parser.parse_args()
    cores = use_cores(given.cores)
    print(describe_machine())
    print(f"command   python benchmarks/load.py {' '.join(sys.argv[1:])}")
    print(f"limit     {given.limit_gib:g} GiB, {cores} cores; {given.ratings:,} ratings, {given.epochs} epochs\n")
    # On a disk, because files in a tmpfs would count against the limit.
    with tempfile.TemporaryDirectory(prefix="cfmodel-load-", dir="/var/tmp") as name:
        folder = Path(name)
        source, store = folder / "ratings.csv", f"sqlite:///{folder}/mlflow.db"
        write_ratings(source, given.ratings)
        for seed in (0, 1):
            overrides = [f"tracking.uri={store}", f"train.seed={seed}", *given.overrides]
            with MemoryGroup.limited_to(int(given.limit_gib * 2**30)) as group:
                if status := load(source, group, folder=folder, epochs=given.epochs, overrides=overrides):
                    return status
            if seed == 0:
                crown(store)
                print()
        print(decision(store))
    return 0


if __name__ == "__main__":
    sys.exit(main())
