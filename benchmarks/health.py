"""How well the health rules separate sound trainings from faulty ones and identify the fault.

    CFMODEL_DATA_DIR=folder/that/holds/ml-100k/and/ml-latest-small python benchmarks/health.py

`--set development` runs the set that the thresholds were chosen on. `--set reporting`, the default, runs other ratings,
folds and seeds. Without CFMODEL_DATA_DIR only generated ratings are used.
"""

import argparse
import os
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from math import sqrt
from multiprocessing import get_context
from statistics import median

import torch
from anchors import RULES as ANCHORS
from faults import CLEAR, FAULTS, HEALTHY
from machine import describe_machine
from trainings import DEVELOPMENT, REPORTING, Training, observe, training_on

from cfmodel.gradients.health.judge import THRESHOLDS, judge_health
from cfmodel.gradients.health.rules.catalogue import RULES

SETS = {"development": (DEVELOPMENT, 100), "reporting": (REPORTING, 200)}


@dataclass(frozen=True)
class Case:
    """One run: its ratings and seed, and either the sound training or the fault and its grade."""

    source: str
    seed: int
    sound: str | None = None
    fault: int | None = None
    grade: int | None = None


@dataclass(frozen=True)
class Judged:
    """The verdicts on a case: rules by severity, step of the first verdict, and rules of other tools that fired."""

    case: Case
    overall: str
    loud: tuple[str, ...]
    quiet: tuple[str, ...]
    first_step: int
    others: tuple[str, ...]
    seconds: float


def cases(sources: dict[str, str], first_seed: int) -> Iterator[Case]:
    """Yield every case of a set, each with a seed of its own."""
    seed = first_seed
    for source in sources.values():
        for name in HEALTHY:
            seed += 1
            yield Case(source, seed, sound=name)
        for fault in range(len(FAULTS)):
            for grade in range(4):
                seed += 1
                yield Case(source, seed, fault=fault, grade=grade)


def run(case: Case) -> Judged:
    """Train a case and judge it."""
    torch.set_num_threads(1)
    started = time.perf_counter()
    history = observe(_training(case))
    report = judge_health(history)
    return Judged(
        case,
        report.overall,
        tuple(verdict.rule for verdict in report.verdicts if verdict.severity != "info"),
        tuple(verdict.rule for verdict in report.verdicts if verdict.severity == "info"),
        report.verdicts[0].first_step if report.verdicts else 0,
        tuple(name for name, fires in ANCHORS.items() if fires(history)),
        time.perf_counter() - started,
    )


def is_right(judged: Judged) -> bool:
    """Return whether the first verdict identifies the fault."""
    return bool(judged.loud) and judged.loud[0] in FAULTS[judged.case.fault or 0].verdicts


def wilson(hits: int, of: int) -> str:
    """Return a share with its 95 % Wilson interval.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference" (1927).
    """
    if not of:
        return "-"
    share, z = hits / of, 1.96
    centre, scale = (share + z**2 / (2 * of)), 1 + z**2 / of
    margin = z * sqrt(share * (1 - share) / of + z**2 / (4 * of**2))
    low, high = max(centre - margin, 0) / scale, min((centre + margin) / scale, 1)
    return f"{hits}/{of} = {share:.1%} ({low:.1%} to {high:.1%})"


def print_summary(sound: list[Judged], faulty: list[Judged]) -> None:
    """Print false alarms and detection, with every exception."""
    alarms, clear = [one for one in sound if one.loud], [one for one in faulty if one.case.grade in CLEAR]
    print("| | 95 % Wilson interval |\n|---|---|")
    print(f"| false alarms on sound runs | {wilson(len(alarms), len(sound))} |")
    print(f"| clear faults with the right verdict first | {wilson(sum(map(is_right, clear)), len(clear))} |")
    print(f"| clear faults with any warning or error | {wilson(sum(bool(one.loud) for one in clear), len(clear))} |")
    print(f"| all faults with the right verdict first | {wilson(sum(map(is_right, faulty)), len(faulty))} |\n")
    for one in alarms:
        print(f"- false alarm: {one.case.sound} on {one.case.source}, seed {one.case.seed}: {', '.join(one.loud)}")
    for one in clear:
        if not is_right(one):
            fault = FAULTS[one.case.fault or 0]
            found = ", ".join(one.loud) or "nothing"
            print(f"- {fault.name} {fault.grades[one.case.grade or 0]} on {one.case.source}: found {found}")


def print_faults(faulty: list[Judged]) -> None:
    """Print detection by fault and grade, and the step of the first verdict."""
    print("\n| fault | grades | right verdict first, by grade | first seen at step (median) |\n|---|---|---|---|")
    for number, fault in enumerate(FAULTS):
        own = [one for one in faulty if one.case.fault == number]
        grades = [[is_right(one) for one in own if one.case.grade == grade] for grade in range(4)]
        cells = ", ".join(f"{sum(grade)}/{len(grade)}" for grade in grades)
        steps = [one.first_step for one in own if is_right(one)]
        delay = f"{median(steps):.0f}" if steps else "-"
        print(f"| {fault.name} | {', '.join(f'{grade:g}' for grade in fault.grades)} | {cells} | {delay} |")


def print_rules(sound: list[Judged], faulty: list[Judged]) -> None:
    """Print the precision of each rule where it ranks first, and its recall on the clear faults it is meant for."""
    print("\n| rule | precision, ranked first | recall on clear faults | sound runs: warned, informed |")
    print("|---|---|---|---|")
    for name in dict.fromkeys(rule.name for rule in RULES):
        first = [one for one in sound + faulty if one.loud and one.loud[0] == name]
        right = [one for one in first if one.case.fault is not None and is_right(one)]
        own = [one for one in faulty if one.case.grade in CLEAR and FAULTS[one.case.fault or 0].verdicts[0] == name]
        found = sum(name in one.loud for one in own)
        warned, told = (sum(name in getattr(one, how) for one in sound) for how in ("loud", "quiet"))
        shares = f"{wilson(len(right), len(first))} | {wilson(found, len(own))}"
        print(f"| {name} | {shares} | {warned}, {told} of {len(sound)} |")


def print_confusion(faulty: list[Judged]) -> None:
    """Print the first verdicts for each fault, for clear grades only."""
    print("\n| clear fault | verdict ranked first |\n|---|---|")
    for number, fault in enumerate(FAULTS):
        own = [one for one in faulty if one.case.fault == number and one.case.grade in CLEAR]
        found = Counter(one.loud[0] if one.loud else "none" for one in own)
        print(f"| {fault.name} | {', '.join(f'{name} {count}' for name, count in found.most_common())} |")


def print_others(sound: list[Judged], faulty: list[Judged]) -> None:
    """Print how often the rules of other tools fire; firing at all counts as detection of any fault."""
    clear = [one for one in faulty if one.case.grade in CLEAR]
    print("\n| rule | sound runs it fires on | clear faults it fires on |\n|---|---|---|")
    for name in ANCHORS:
        cells = (wilson(sum(name in one.others for one in runs), len(runs)) for runs in (sound, clear))
        print(f"| {name} | {' | '.join(cells)} |")
    quiet = [name for name in ANCHORS if not any(name in one.others for one in sound)]
    union = sum(any(name in one.others for name in quiet) for one in clear)
    print(f"| all of them that fire on no sound run | 0 | {wilson(union, len(clear))} |")
    cells = (wilson(sum(bool(one.loud) for one in runs), len(runs)) for runs in (sound, clear))
    print(f"| cfmodel, any warning or error | {' | '.join(cells)} |")


@cache
def _base(source: str, seed: int) -> Training:
    return training_on(source, seed=seed)


def _training(case: Case) -> Training:
    base = _base(case.source, case.seed)
    if case.sound is not None:
        return HEALTHY[case.sound](base)
    fault = FAULTS[case.fault or 0]
    return fault.inject(base, fault.grades[case.grade or 0])


def main() -> None:
    """Print the tables, as Markdown."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--set", choices=SETS, default="reporting")
    arguments.add_argument("--processes", type=int, default=2)
    chosen = arguments.parse_args()
    sources, seed = SETS[chosen.set]
    if "CFMODEL_DATA_DIR" not in os.environ:
        sources = {name: source for name, source in sources.items() if source.startswith("synthetic")}
    # Threads that spin while waiting would slow down all processes on the same cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    torch.set_num_threads(1)
    print(f"{describe_machine()}\nset       {chosen.set}: {', '.join(sources)}\nthresholds {THRESHOLDS.digest()}\n")
    started = time.perf_counter()
    with ProcessPoolExecutor(chosen.processes, mp_context=get_context("spawn")) as pool:
        judged = list(pool.map(run, cases(sources, seed), chunksize=4))
    sound = [one for one in judged if one.case.sound is not None]
    faulty = [one for one in judged if one.case.sound is None]
    print_summary(sound, faulty)
    print_faults(faulty)
    print_rules(sound, faulty)
    print_confusion(faulty)
    print_others(sound, faulty)
    seconds = time.perf_counter() - started
    print(
        f"\n{len(judged)} runs in {seconds:.0f} s on {chosen.processes} processes, "
        f"the longest {max(one.seconds for one in judged):.1f} s"
    )


if __name__ == "__main__":
    main()
