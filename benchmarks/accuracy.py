"""Accuracy with the default settings, on the canonical folds of ML-100K, eight other real sets and generated ratings.

    CFMODEL_DATA_DIR=folder/that/holds/ml-100k/and/others python benchmarks/accuracy.py

Each set goes through the functions of the pipeline: ingest, split (a random tenth is test where there is no test file),
train, and evaluate on every test row. No setting was chosen on these test rows; docs/defaults.md shows how they were
chosen.
"""

import argparse
import tempfile
import time
from pathlib import Path

import torch
from machine import describe_machine
from real_sets import FILES, ingested, require_data

from cfmodel.config import IngestSettings, PipelineSettings
from cfmodel.data.ingest.ingest import ingest
from cfmodel.data.splitting.split import split
from cfmodel.evaluation.evaluate import evaluate
from cfmodel.refs import DatasetRef
from cfmodel.training.train import train

#: Published figures. Their folds differ from ours and from each other, so they only give a rough scale.
ANCHORS = """\
published, for orientation (the protocols differ):
  random 5-fold, not these folds   Surprise SVD 0.934, SVD++ 0.919
  u1 alone                         GC-MC 0.910, with side information 0.905; GLocal-K 0.889"""

HEADER = (
    f"{'set':<16}{'RMSE':>8}{'MAE':>8}{'global mean':>13}{'damped bias':>13}{'floor':>8}{'over floor':>12}"
    f"{'batch':>7}{'epochs':>8}{'rows':>9}{'seconds':>9}"
)


def measure(data: DatasetRef, test: DatasetRef | None, *, folder: Path) -> dict[str, float]:
    """Run split, train and evaluate on one set with the defaults, and return the metrics."""
    chosen = {} if test is None else {"split.strategy": "predefined", "split.test_source": "the test file"}
    settings = PipelineSettings.of(overrides=chosen)
    parts = split(data, settings.split, folder=folder, test=test)
    started = time.perf_counter()
    trained = train(parts, settings.train, device=torch.device("cpu"))
    seconds = time.perf_counter() - started
    evaluation = evaluate(
        trained.recommender,
        parts,
        settings.evaluation,
        trained_parts=settings.train.trained_parts,
        device=torch.device("cpu"),
    )
    return {**evaluation.metrics, **trained.summary(), "best_epoch": trained.best_epoch, "seconds": seconds}


def row(name: str, found: dict[str, float]) -> str:
    """Return one line of the table."""
    floor = found.get("test/noise_floor_rmse")
    planted = f"{floor:>8.4f}{found['test/rmse'] / floor - 1:>12.1%}" if floor else f"{'':>20}"
    return (
        f"{name:<16}{found['test/rmse']:>8.5g}{found['test/mae']:>8.5g}{found['test/global_mean_rmse']:>13.5g}"
        f"{found['test/damped_bias_rmse']:>13.5g}{planted}{found['train/batch_size']:>7,.0f}"
        f"{found['best_epoch']:>8.0f}{found['test/rows']:>9,.0f}"
        f"{found['seconds']:>9.1f}"
    )


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--threads", type=int, help="CPU threads torch may use")
    threads = arguments.parse_args().threads
    ratings = require_data() / "ml-100k"
    if threads:
        torch.set_num_threads(threads)
    print(describe_machine(), f"\n\n{HEADER}", sep="\n", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        folds = []
        for fold in range(1, 6):
            parts = (
                ingest(str(ratings / f"u{fold}.{part}"), IngestSettings(), folder=Path(folder))
                for part in ("base", "test")
            )
            folds.append(measure(*parts, folder=Path(folder)))
            print(row(f"u{fold}", folds[-1]), flush=True)
        means = [sum(fold[key] for fold in folds) / 5 for key in ("test/rmse", "test/mae")]
        print(f"{'mean':<16}{means[0]:>8.4f}{means[1]:>8.4f}\n", flush=True)
        for name in (*FILES, "synthetic"):
            if name != "ML-100K u1":
                print(row(name, measure(ingested(name, Path(folder)), None, folder=Path(folder))), flush=True)
    print(f"\n{ANCHORS}")


if __name__ == "__main__":
    main()
