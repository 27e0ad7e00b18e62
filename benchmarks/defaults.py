"""The evidence for the defaults of training: RMSE on val with one default changed at a time.

    CFMODEL_DATA_DIR=folder/that/holds/ml-100k/and/ml-latest-small python benchmarks/defaults.py

It reads the training files of ML-100K's folds u1, u3 and u5 (never a test file), ml-latest-small and the generated
ratings. Each set is split at random into train, val and a held-out part. The refit trains on val, so it is compared on
the held-out part.
"""

import os
import sys
import tempfile
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from machine import describe_machine

from cfmodel.config import EvaluationSettings, IngestSettings, SplitSettings, TrainSettings
from cfmodel.data.ingest.ingest import ingest
from cfmodel.data.splitting.split import split
from cfmodel.evaluation.evaluate import evaluate
from cfmodel.refs import SplitRef
from cfmodel.training.train import TrainingResult, train

CHANGES: tuple[dict[str, Any], ...] = (
    {},
    {"seed": 1},
    {"adam": "touched_rows"},
    {"adam": "touched_rows", "learning_rate": 0.002},
    {"learning_rate": 0.001, "schedule": "constant", "epochs": 40},
    {"learning_rate": 0.001},
    {"learning_rate": 0.005},
    {"schedule": "constant"},
    {"schedule": "cosine"},
    {"epochs": 30},
    {"init_std": 0.1},
    {"embedding_dim": 20},
    {"embedding_dim": 100},
    {"regularization": 0.0},
    {"regularization_factor": 0.7},
    {"regularization_factor": 1.4},
    {"batch_factor": 0.5},
    {"batch_factor": 2.0},
)

Splits = dict[str, list[SplitRef]]


def make_splits(ratings: Path, folder: Path) -> Splits:
    """Split every set at random; one entry per column of the table."""
    sources = {
        "ml-100k": [(str(ratings / "ml-100k" / f"u{fold}.base"), 0) for fold in (1, 3, 5)],
        "ml-latest-small": [(str(ratings / "ml-latest-small" / "ratings.csv"), seed) for seed in (0, 1)],
        "synthetic": [("synthetic", 0)],
    }
    return {
        name: [
            split(ingest(source, IngestSettings(), folder=folder), SplitSettings(seed=seed), folder=folder)
            for source, seed in each
        ]
        for name, each in sources.items()
    }


def trained(part: SplitRef, change: dict[str, Any], defaults: TrainingResult | None) -> TrainingResult:
    """Train with one default changed; a factor multiplies the value that the default gave on this set."""
    change = {"refit": False, **change}
    for name in ("batch", "regularization"):
        factor = change.pop(f"{name}_factor", None)
        if factor and defaults:
            field = {"batch": "batch_size"}.get(name, name)
            change[field] = type(getattr(defaults, field))(factor * getattr(defaults, field))
    return train(part, TrainSettings(**change), device=torch.device("cpu"))


def held_out(part: SplitRef, refit: bool) -> float:
    """Return the RMSE on the held-out part, with or without the refit."""
    settings = TrainSettings(refit=refit)
    result = train(part, settings, device=torch.device("cpu"))
    found = evaluate(result.recommender, part, EvaluationSettings(), trained_parts=settings.trained_parts)
    return found.metrics["test/rmse"]


def print_refit(splits: Splits) -> None:
    """Print the RMSE with and without training again on train and val."""
    print(f"\n| refit | {' | '.join(splits)} |\n|---|{'---|' * len(splits)}", flush=True)
    for refit in (False, True):
        cells = [f"{mean(held_out(part, refit) for part in parts):.4f}" for parts in splits.values()]
        print(f"| {refit} | {' | '.join(cells)} |", flush=True)


def print_changes(splits: Splits) -> None:
    """Print the RMSE on val and the best epoch for each change."""
    print(f"\n| changed | {' | '.join(splits)} | seconds |\n|---|{'---|' * (len(splits) + 1)}", flush=True)
    defaults: dict[SplitRef, TrainingResult] = {}
    for change in CHANGES:
        results = {
            name: [(part, trained(part, change, defaults.get(part))) for part in parts]
            for name, parts in splits.items()
        }
        if not change:
            defaults = dict(pair for pairs in results.values() for pair in pairs)
        cells = [
            f"{mean(result.best_val_rmse or 0 for _, result in pairs):.4f} "
            f"@{mean(result.best_epoch for _, result in pairs):.0f}"
            for pairs in results.values()
        ]
        seconds = sum(result.seconds for pairs in results.values() for _, result in pairs)
        name = ", ".join(f"{key} {value}" for key, value in change.items()) or "nothing"
        print(f"| {name} | {' | '.join(cells)} | {seconds:.0f} |", flush=True)


def main() -> None:
    """Print both tables, as Markdown."""
    ratings = Path(os.environ.get("CFMODEL_DATA_DIR", ""))
    if "CFMODEL_DATA_DIR" not in os.environ or not (ratings / "ml-100k" / "u1.base").is_file():
        sys.exit("defaults: set CFMODEL_DATA_DIR to the folder that holds ml-100k/ and ml-latest-small/")
    torch.set_num_threads(1)
    print(describe_machine(), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        splits = make_splits(ratings, Path(folder))
        print_refit(splits)
        print_changes(splits)


if __name__ == "__main__":
    main()
