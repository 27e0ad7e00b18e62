"""`find-lr` held against a sweep of the learning rate, by whole trainings on sets that its rule was not chosen on.

    CFMODEL_DATA_DIR=folder/that/holds/ml-100k/and/others python benchmarks/range_test.py

The rule (see `zones_of`) was fitted to sweeps on ML-100K u1, board games, FilmTrust and the generated sets of 1 and 8
thousand ratings, with batches of a quarter to 64 times the usual size and with 5 and 15 epochs. Here other sets are
used, some of them on another scale, thinned to a thousand ratings, or with other batches, epochs or embeddings.

`find-lr` trains with seed 0. The figures are the RMSE on val of whole trainings with seed 1, in per cent above the best
rate of the sweep: of the default rate, of the range test's suggestion alone, and of the rate that `find-lr` chooses
after a few trainings.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from machine import describe_machine
from real_sets import Parts, parts_of, require_data

from cfmodel.config import TrainSettings
from cfmodel.training.batching.batches import default_batch_size
from cfmodel.training.fit import fit
from cfmodel.training.planning.plan import TrainingPlan
from cfmodel.training.range_test import best_trial, range_test, try_rates, zones_of

GRID = (0.0005, 0.001, 0.0015, 0.002, 0.003, 0.0045, 0.007, 0.01, 0.015, 0.022, 0.033, 0.05, 0.08)
#: Set, factor of its ratings, and settings that differ; `batches` multiplies the batch size.
CASES: tuple[tuple[str, float, dict[str, Any]], ...] = (
    ("ml-latest-small", 1, {}),
    ("ML-1M", 1, {}),
    ("MovieTweetings", 1, {}),
    ("Ciao", 1, {}),
    ("Jester", 1, {}),
    ("Last.fm", 1, {}),
    ("100 thousand", 1, {}),
    ("100 thousand", 20, {}),
    ("100 thousand", 0.002, {}),
    ("100 thousand, sparse", 1, {}),
    ("400 thousand", 1, {}),
    ("ml-latest-small / 100", 1, {}),
    ("ML-1M / 100", 1, {}),
    ("Jester / 200", 1, {}),
    ("ml-latest-small", 1, {"batches": 8}),
    ("ML-1M", 1, {"batches": 0.25}),
    ("ml-latest-small", 1, {"epochs": 5}),
    ("MovieTweetings", 1, {"embedding_dim": 16}),
    ("400 thousand", 1, {"embedding_dim": 128, "schedule": "constant"}),
)
TRAININGS = 7


def plan_of(parts: Parts, changed: dict[str, Any], *, seed: int, rate: float = 0.003) -> TrainingPlan:
    """Return the plan of a training."""
    size = round(changed.get("batches", 1) * default_batch_size(len(parts.train)))
    settings = TrainSettings(
        seed=seed, learning_rate=rate, batch_size=size, **{key: changed[key] for key in changed if key != "batches"}
    )
    return TrainingPlan.of(parts.train, parts.val, settings=settings, **parts.sizes)


def rmse(parts: Parts, changed: dict[str, Any], rate: float) -> float:
    """Return the best RMSE on val of a training with seed 1."""
    return fit(plan_of(parts, changed, seed=1, rate=rate)).best_val_rmse or 0.0


def report(name: str, parts: Parts, changed: dict[str, Any]) -> None:
    """Print the row of one case."""
    sweep = {rate: rmse(parts, changed, rate) for rate in GRID}
    best = min(sweep, key=sweep.__getitem__)
    began, plan = time.perf_counter(), plan_of(parts, changed, seed=0)
    suggestion = zones_of(tuple(range_test(plan)), plan).suggestion
    trials = list(try_rates(plan, suggestion, most=TRAININGS))
    seconds = time.perf_counter() - began
    chosen = best_trial(trials).learning_rate
    above = [100 * (rmse(parts, changed, rate) / sweep[best] - 1) for rate in (0.003, suggestion, chosen)]
    print(
        f"| {name} | {best:g} ({sweep[best]:.4g}) | {above[0]:+.2f} % | {suggestion:.2g}: {above[1]:+.2f} % "
        f"| {chosen:.2g}: {above[2]:+.2f} % | {len(trials)} | {seconds:.1f} |",
        flush=True,
    )


def main() -> None:
    """Print the table, as Markdown."""
    require_data()
    torch.set_num_threads(1)
    print(describe_machine(), end="\n\n", flush=True)
    print("| ratings | best of the sweep | 0.003 | range test | `find-lr` | trainings | seconds |")
    print("|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, factor, changed in CASES:
            differs = "".join(f", {key} {value}" for key, value in changed.items())
            shown = f"{name}{f' x {factor:g}' if factor != 1 else ''}{differs}"
            report(shown, parts_of(name, Path(folder)).scaled(factor), changed)


if __name__ == "__main__":
    main()
