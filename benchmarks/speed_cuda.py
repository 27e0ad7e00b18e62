"""Ratings per second on a GPU at several batch sizes, with the test error compared to that of the CPU engine.

    python benchmarks/speed_cuda.py
    python benchmarks/speed_cuda.py --source synthetic:users=6040,movies=3706,ratings=1000209 --batch-sizes 8192 32768

The default has the shape of MovieLens 25M. A tenth of the ratings is the test part. The learning rate of each batch
size is the best of a few on a tenth of the rest; the test part is used once per row of the table. The time runs from
arrays in memory to trained weights and includes recording of the graph, making of batches and monitoring. `an epoch` is
the median of the epochs after the first. Kernels are loaded before the clock starts.
"""

import os

# As the `cfmodel` command does: idle threads soon sleep.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

import argparse
import sys
import time
from statistics import median
from typing import NamedTuple

import numpy as np
import torch
from machine import describe_machine
from trainings import Training, of_arrays, training_on

from cfmodel.config import TrainSettings
from cfmodel.training.batching.batches import DeviceRatings, default_batch_size
from cfmodel.training.epoch_records import EpochRecord
from cfmodel.training.fit import fit
from cfmodel.training.fitting import clamped_rmse
from cfmodel.training.planning.plan import TrainingPlan

SOURCE = "synthetic:users=162541,movies=59047,ratings=25000000"
BATCH_SIZES = (32_768, 65_536, 131_072, 262_144, 524_288)
#: Factors on the default learning rate; a larger batch can use a larger one.
FACTORS = (1.0, 2.0, 4.0, 8.0)
#: Largest difference to the CPU engine's test RMSE at which a row's pace counts, in rating units.
MARGIN = 0.002

HEADER = (
    f"{'engine':<16}{'batch':>9}{'rate':>8}{'val RMSE':>10}{'test RMSE':>11}{'to CPU':>9}"
    f"{'whole':>11}{'an epoch':>11}{'GPU GB':>8}"
)


class Outcome(NamedTuple):
    """The result of one training.

    Attributes:
        rmse: RMSE on the held-out ratings, in rating units.
        pace: Ratings per second over the whole training.
        epoch_pace: Ratings per second of the median epoch after the first.
        peak_bytes: Peak memory on the GPU.
    """

    rmse: float
    pace: float
    epoch_pace: float
    peak_bytes: int


def run(training: Training, settings: TrainSettings, device: torch.device) -> Outcome:
    """Train for all epochs with the monitor on, and score on the held-out ratings."""
    records: list[object] = []
    if device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    result = fit(
        TrainingPlan.of(
            training.train,
            None,
            num_users=training.num_users,
            num_movies=training.num_movies,
            settings=settings,
            device=device,
        ),
        on_record=records.append,
    )
    seconds = time.perf_counter() - began
    peak = torch.cuda.max_memory_allocated() if device.type == "cuda" else 0
    paces = [record.ratings_per_second for record in records if isinstance(record, EpochRecord)]
    scale = result.model.scale
    low, high = scale.standardized(np.array([result.rating_min, result.rating_max])).tolist()
    val = DeviceRatings.of(training.val.standardized(scale), device)
    rmse = scale.std * clamped_rmse(result.model, val, low=low, high=high)
    return Outcome(rmse, len(training.train) * result.epochs / seconds, median(paces[1:] or paces), peak)


def repeated(training: Training, settings: TrainSettings, device: torch.device, repeats: int) -> Outcome:
    """Return the medians of several trainings."""
    runs = [run(training, settings, device) for _ in range(repeats)]
    return Outcome(*(median(column) for column in zip(*runs, strict=True)))


def chosen(inner: Training, settings: TrainSettings, device: torch.device) -> tuple[float, TrainSettings]:
    """Return the lowest val RMSE among a few learning rates, and its settings."""
    tried = [
        settings.model_copy(update={"learning_rate": settings.learning_rate * factor})
        for factor in (FACTORS if device.type == "cuda" else FACTORS[:1])
    ]
    return min(((run(inner, one, device).rmse, one) for one in tried), key=lambda found: found[0])


def row(name: str, settings: TrainSettings, val_rmse: float, found: Outcome, cpu: float | None) -> str:
    """Return a line of the table."""
    over = "" if cpu is None else f"{found.rmse - cpu:+.4f}"
    return (
        f"{name:<16}{settings.batch_size or 0:>9,}{settings.learning_rate:>8.4f}{val_rmse:>10.4f}{found.rmse:>11.4f}"
        f"{over:>9}{found.pace / 1e6:>9.1f} M{found.epoch_pace / 1e6:>9.1f} M{found.peak_bytes / 1e9:>8.2f}"
    )


def table(
    whole: Training, *, device: torch.device, batch_sizes: list[int], settings: TrainSettings, repeats: int
) -> None:
    """Print a row for the CPU engine and one for each batch size on the device, then the result."""
    train = whole.train
    inner = of_arrays(train.user_idx, train.movie_idx, train.rating, seed=1)
    cpu = torch.device("cpu")
    rows = [(cpu, default_batch_size(len(train)), 1), *((device, size, repeats) for size in batch_sizes)]
    reference, fast_enough = None, 0.0
    print(HEADER, flush=True)
    for where, size, times in rows:
        val_rmse, best = chosen(inner, settings.model_copy(update={"batch_size": size}), where)
        found = repeated(whole, best, where, times)
        print(row(f"fused on {where}", best, val_rmse, found, reference), flush=True)
        reference = found.rmse if reference is None else reference
        if where is not cpu and found.rmse <= reference + MARGIN:
            fast_enough = max(fast_enough, found.pace)
    pace = f"{fast_enough / 1e6:.1f} M ratings a second (must 200, aim 1,000)"
    print(f"\nat most {MARGIN} above the CPU's test RMSE: {pace}")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", default=SOURCE, help="source to train on")
    parser.add_argument("--device", default="cuda", help="use cpu to try the script without a GPU")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=list(BATCH_SIZES))
    parser.add_argument("--epochs", type=int, default=TrainSettings().epochs)
    parser.add_argument("--repeats", type=int, default=3, help="trainings per row on the device")
    given = parser.parse_args()
    device = torch.device(given.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        sys.exit("speed_cuda: torch finds no GPU; this benchmark needs one, and a CUDA build of torch")
    print(describe_machine())
    print(f"device    {torch.cuda.get_device_name(device) if device.type == 'cuda' else device}, n = {given.repeats}")
    settings = TrainSettings(epochs=given.epochs)
    few = training_on("synthetic:users=200,movies=100,ratings=5000", seed=0)
    for where in (torch.device("cpu"), device):
        run(few, settings.model_copy(update={"epochs": 1}), where)
    whole = training_on(given.source, seed=0)
    print(f"ratings   {len(whole.train):,} to train on, {len(whole.val):,} to test, {given.epochs} epochs\n")
    table(whole, device=device, batch_sizes=given.batch_sizes, settings=settings, repeats=given.repeats)


if __name__ == "__main__":
    main()
