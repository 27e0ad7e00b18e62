"""The evidence for the defaults of training: RMSE on val with one default changed at a time, over 14 sets.

    CFMODEL_DATA_DIR=folder/that/holds/ml-100k/and/others python benchmarks/defaults.py

Defaults were chosen on the sets of `CHOSEN_ON` (of ML-100K the training file of fold u1, never a test file); the others
were looked at afterwards. Each set is split at random into train, val and a held-out part, which only the comparison of
the refit reads, since the refit trains on val.
"""

import tempfile
import time
from pathlib import Path
from statistics import mean, median
from typing import Any

import torch
from machine import describe_machine
from real_sets import FILES, GENERATED, Parts, parts_of, require_data

from cfmodel.config import EvaluationSettings, TrainSettings
from cfmodel.evaluation.evaluate import evaluate
from cfmodel.training.batching.batches import default_batch_size
from cfmodel.training.fit import FitResult, fit
from cfmodel.training.planning.plan import TrainingPlan
from cfmodel.training.train import train

CHOSEN_ON = ("ML-100K u1", "board games", "FilmTrust", "1 thousand", "8 thousand")
NAMES = (*CHOSEN_ON, *(name for name in (*FILES, *GENERATED) if name not in CHOSEN_ON))
CHANGES: tuple[dict[str, Any], ...] = (
    {"seed": 1},
    {"bias_start": "zero"},
    {"bias_start": "zero", "learning_rate": 0.001, "schedule": "constant", "epochs": 40},
    {"learning_rate": 0.001},
    {"learning_rate": 0.002},
    {"learning_rate": 0.005},
    {"learning_rate": 0.01},
    {"schedule": "constant"},
    {"schedule": "cosine"},
    {"epochs": 8},
    {"epochs": 30},
    {"patience": 15},
    {"regularization": 0.0},
    {"regularization": 0.6},
    {"regularization": 1.2},
    {"init_std": 0.03},
    {"init_std": 0.1},
    {"embedding_dim": 20},
    {"embedding_dim": 100},
    {"batches": 0.5},
    {"batches": 2.0},
    {"adam": "touched_rows"},
)


def trained(parts: Parts, change: dict[str, Any]) -> FitResult:
    """Train with some defaults changed; `batches` multiplies the batch size."""
    size = round(change.get("batches", 1) * default_batch_size(len(parts.train)))
    settings = TrainSettings(batch_size=size, **{key: change[key] for key in change if key != "batches"})
    return fit(TrainingPlan.of(parts.train, parts.val, settings=settings, **parts.sizes))


def held_out(parts: Parts, *, refit: bool) -> float:
    """Return the RMSE on the held-out part, with or without the refit."""
    settings = TrainSettings(refit=refit)
    result = train(parts.made, settings, device=torch.device("cpu"))
    return evaluate(
        result.recommender, parts.made, EvaluationSettings(ranking_users=1), trained_parts=settings.trained_parts
    ).metrics["test/rmse"]


def print_changes(sets: dict[str, Parts], defaults: dict[str, FitResult]) -> None:
    """Print what each change does to the RMSE on val, in per cent, with the best epoch."""
    print(f"\n| changed | {' | '.join(sets)} | mean |\n|---|{'---|' * (len(sets) + 1)}", flush=True)
    cells = [f"{result.best_val_rmse:.4g} @{result.best_epoch}" for result in defaults.values()]
    print(f"| nothing | {' | '.join(cells)} | |", flush=True)
    for change in CHANGES:
        results = {name: trained(parts, change) for name, parts in sets.items()}
        above = {
            name: 100 * ((result.best_val_rmse or 0) / (defaults[name].best_val_rmse or 1) - 1)
            for name, result in results.items()
        }
        cells = [f"{above[name]:+.2f} @{result.best_epoch}" for name, result in results.items()]
        shown = ", ".join(f"{key} {value}" for key, value in change.items())
        print(f"| {shown} | {' | '.join(cells)} | {mean(above.values()):+.2f} |", flush=True)


def print_refit(sets: dict[str, Parts]) -> None:
    """Print the RMSE on the held-out part with the refit, against the one without it, in per cent."""
    found = {
        name: 100 * (held_out(parts, refit=True) / held_out(parts, refit=False) - 1) for name, parts in sets.items()
    }
    cells = [f"{above:+.2f}" for above in found.values()]
    print(f"| refit, on the held-out part | {' | '.join(cells)} | {mean(found.values()):+.2f} |", flush=True)


def main() -> None:
    """Print the table, as Markdown."""
    require_data()
    torch.set_num_threads(1)
    print(describe_machine(), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        sets = {name: parts_of(name, Path(folder)) for name in NAMES}
        began = time.perf_counter()
        defaults = {name: trained(parts, {}) for name, parts in sets.items()}
        print(f"seconds of the defaults on all sets: {time.perf_counter() - began:.1f}", flush=True)
        print(f"median best epoch: {median(result.best_epoch for result in defaults.values())}", flush=True)
        print_changes(sets, defaults)
        print_refit(sets)


if __name__ == "__main__":
    main()
