"""Training speed: seconds to the test RMSE of other systems, pace by size, cost of the monitor, limits of the machine.

    CFMODEL_DATA_DIR=... python benchmarks/speed.py [ROW ...] [--sets SET ...] [--repeats N] [--cores N]

Rows are the other systems by name, `monitor`, `scale` (takes minutes, because it generates 25 M ratings first) and
`floor`; the default is all. docs/speed.md describes what is timed, the targets, and how to install the other systems.
"""

import os

# As the `cfmodel` command does: idle threads soon sleep.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

import argparse
import math
import sys
import tempfile
from pathlib import Path

import speed_scale
from machine import describe_machine, use_cores
from speed_floor import Machine, Work, report
from speed_lines import LINES, PEERS, RACED, line_for
from speed_peers import LIBMF
from speed_race import Race, Reached, races, train, warm_up
from speed_sets import ML_1M, ML_25M, RatingSet, is_at_hand, load
from speed_system import Goal, Peer
from speed_watching import watch

from cfmodel.config import MonitorSettings, TrainSettings

#: Settings for measuring pace, memory, the monitor and the floor: those of the closest race.
FASTEST = LINES[ML_1M][LIBMF.name]
PACE, MEMORY, WATCHED = Goal(0.5, 0.8, at_least=True), Goal(1.5, 1.0), Goal(1.02, 1.01)
#: Epochs of the compared trainings on 25 M and on 1 M ratings.
SCALE_EPOCHS = 3
#: Epochs, and rounds per repeat, of the trainings that measure the cost of the monitor.
WATCH_EPOCHS, WATCH_ROUNDS = 10, 3


def print_races(ratings: RatingSet, peers: list[Peer], *, repeats: int) -> None:
    """Print a row for each installed system."""
    entries = {peer: line_for(ratings.name, peer) for peer in peers}
    warm_up(ratings, list(entries.values()))
    print(f"\n{ratings}", flush=True)
    found = races(ratings, entries, repeats=repeats, tell=lambda text: print(text, file=sys.stderr, flush=True))
    print("| against | its RMSE | its seconds | n | our RMSE | our seconds | n | ratio | must | aim | |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for race in found:
        print(race_row(ratings, race))
    for race in found:
        print(f"  {race.peer.name}: {race.peer.settings}; {race.theirs.epochs} epochs. Ours: {said(race.line)}")
    sys.stdout.flush()


def race_row(ratings: RatingSet, race: Race) -> str:
    """Return the row of one race; against LIBMF there is a target only on the set shaped like ML-1M."""
    goal = race.peer.goal if race.peer is not LIBMF or ratings.name == ML_1M else Goal()
    ratio = "RMSE not reached" if math.isinf(race.ratio) else f"{race.ratio:.3f}"
    return (
        f"| {race.peer.name} | {_reached(race.theirs)} | {_reached(race.ours)} | {ratio} | {asked(goal, race.ratio)} |"
    )


def _reached(reached: Reached) -> str:
    return f"{reached.rmse:.4f} | {reached.seconds:.3f} | {reached.times}"


def asked(goal: Goal, value: float) -> str:
    """Return the cells of a goal: must, aim, and the verdict."""
    must, aim = (
        "" if bound is None else f"{'>=' if goal.at_least else '<='} {bound:g}" for bound in (goal.must, goal.aim)
    )
    return f"{must} | {aim} | {goal.verdict(value)}"


def said(line: TrainSettings) -> str:
    """Return a description of settings."""
    return (
        f"{line.epochs} epochs, batch {line.batch_size or 0:,}, rate {line.learning_rate}, "
        f"{line.schedule}, Adam on {line.adam}" + ("" if line.blocks is None else f", {line.blocks} blocks")
    )


def print_watching(ratings: RatingSet, *, rounds: int) -> None:
    """Print the cost of the monitor, with the fastest settings and with the defaults."""
    print(f"\n{ratings}\n| settings | seconds off | on / off | off / off | n | must | aim | |", flush=True)
    print("|---|---|---|---|---|---|---|---|")
    for name, line in {"fastest": FASTEST, "default": TrainSettings()}.items():
        line = line.model_copy(update={"epochs": WATCH_EPOCHS})
        warm_up(ratings, [line])
        cost = watch(ratings, line, rounds=rounds)
        print(
            f"| {name} | {cost.seconds:.2f} | {cost.ratio:.3f} | {cost.noise[0]:.3f} to {cost.noise[1]:.3f} | "
            f"{cost.rounds} | {asked(WATCHED, cost.ratio)} |",
            flush=True,
        )


def print_scale(small: str, large: str, *, cores: int, repeats: int) -> None:
    """Print pace and memory on a small and on a large set, and their ratio."""
    sizes, lines, found = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        for name in (small, large):
            path = Path(folder, "ratings.npz")
            sizes.append(speed_scale.make(name, path))
            # A batch is the same share of the ratings, so an epoch has the same number of steps.
            batch_size = round((FASTEST.batch_size or 1) * sizes[-1] / sizes[0])
            lines.append(FASTEST.model_copy(update={"epochs": SCALE_EPOCHS, "batch_size": batch_size}))
            found.append(speed_scale.measure(path, lines[-1], cores=cores, repeats=repeats))
    print("\n| set | training ratings | seconds | M ratings a second | test RMSE | peak, GB | n |")
    print("|---|---|---|---|---|---|---|")
    for name, scale in zip((small, large), found, strict=True):
        print(
            f"| {name} | {scale.ratings:,} | {scale.seconds:.2f} | {scale.ratings_per_second / 1e6:.1f} | "
            f"{scale.rmse:.4f} | {scale.peak_bytes / 1e9:.2f} | {scale.times} |"
        )
    for name, line in zip((small, large), lines, strict=True):
        print(f"  {name}: {said(line)}")
    pace, memory = found[1].ratings_per_second / found[0].ratings_per_second, found[1].peak_bytes / 1e9
    print("\n| what | measured | must | aim | |\n|---|---|---|---|---|")
    print(f"| pace on {large} over pace on {small} | {pace:.2f} | {asked(PACE, pace)} |")
    print(f"| peak memory on {large}, GB | {memory:.2f} | {asked(MEMORY, memory)} |", flush=True)


def print_floor(ratings: RatingSet, *, cores: int) -> None:
    """Print the limits of the machine and how far training is from them."""
    line = FASTEST.model_copy(update={"epochs": WATCH_EPOCHS})
    warm_up(ratings, [line])
    # The monitor measures every epoch; with the default budget it may leave some out, and the rows they touched.
    _, _, records = train(ratings, line, monitor=MonitorSettings(budget_fraction=1.0))
    _, _, paced = train(ratings, line)
    work = Work.of(records, paced, line, num_rows=ratings.num_users + ratings.num_movies)
    print(f"\n{ratings}\n{said(line)}\n{report(work, Machine.measured(work.table_bytes, threads=cores))}", flush=True)


def main() -> None:
    """Print the tables asked for."""
    rows = (*(peer.name for peer in PEERS), "monitor", "scale", "floor")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"any of {', '.join(rows)}; default: all")
    parser.add_argument(
        "--sets", nargs="+", choices=RACED, default=RACED, help="sets to race on; default: all that are there"
    )
    parser.add_argument("--repeats", type=int, default=5, help="trainings of each; the table has the median")
    parser.add_argument("--cores", type=int, default=2, help="number of cores to use")
    given = parser.parse_args()
    if unknown := set(given.rows) - set(rows):
        parser.error(f"{', '.join(sorted(unknown))}: no such row; choose from {', '.join(rows)}")
    cores, wanted = use_cores(given.cores), set(given.rows or rows)
    print(describe_machine())
    peers = [peer for peer in PEERS if peer.name in wanted]
    for peer in peers:
        print(f"{peer.name:<9} {peer.version or 'skipped, not installed; docs/speed.md describes how to install it'}")
    peers = [peer for peer in peers if peer.version is not None]
    for name in given.sets if peers else ():
        if is_at_hand(name):
            print_races(load(name), peers, repeats=given.repeats)
        else:
            print(f"\n{name}: skipped, not in the folder named by CFMODEL_DATA_DIR", flush=True)
    if "monitor" in wanted:
        print_watching(load(ML_1M), rounds=WATCH_ROUNDS * given.repeats)
    if "scale" in wanted:
        print_scale(ML_1M, ML_25M, cores=cores, repeats=given.repeats)
    if "floor" in wanted:
        print_floor(load(ML_1M), cores=cores)


if __name__ == "__main__":
    main()
