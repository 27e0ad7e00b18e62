"""Seconds and memory of evaluation and recommendation at the size of MovieLens 25M.

    python benchmarks/recommending.py

162,541 users, 59,047 movies, dimension 50; tables and ratings are made up. It times the ranking of 10,000 users over
the whole catalogue (lists of the model and of popularity, and the measures of both), the ten best unseen movies for
every user, and the same lists written, checked and published as Parquet. Reading the ratings is excluded. Memory is the
peak of the process above its size with tables and ratings loaded.
"""

import os

# As the `cfmodel` command does: idle threads soon sleep.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from machine import describe_machine

from cfmodel.baselines import popularity
from cfmodel.column_statistics import RatingScale
from cfmodel.config import ScoringSettings
from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.data.vocabulary import Vocabulary
from cfmodel.evaluation.metrics import ranking_metrics
from cfmodel.evaluation.ranking import ranking_task
from cfmodel.model import CollaborativeFiltering
from cfmodel.recommending.rated import History
from cfmodel.recommending.recommender import Recommender
from cfmodel.recommending.score import score
from cfmodel.recommending.suggest import suggest

USERS, MOVIES, DIMENSION = 162_541, 59_047, 50
TRAIN, TEST = 22_500_000, 2_500_000
RANKED_USERS, K = 10_000, 10


@dataclass
class Cost:
    """The cost of a block.

    Attributes:
        seconds: Wall time.
        cpu_seconds: Processor time of all cores.
        megabytes: Peak memory above the level before the block.
    """

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    megabytes: float = 0.0


def drawn(count: int, rng: np.random.Generator) -> RatingArrays:
    """Return made-up ratings; rows with low numbers are drawn more often."""
    skew = rng.random((2, count), dtype=np.float32) ** 2
    return RatingArrays(
        user_idx=np.minimum(skew[0] * USERS, USERS - 1).astype(np.int32),
        movie_idx=np.minimum(skew[1] * MOVIES, MOVIES - 1).astype(np.int32),
        rating=rng.integers(1, 11, count).astype(np.float32) / 2,
    )


def made_up(train: RatingArrays, test: RatingArrays) -> Recommender:
    """Return a recommender with random tables."""
    generator = torch.Generator().manual_seed(0)
    model = CollaborativeFiltering(USERS, MOVIES, DIMENSION, scale=RatingScale(3.5), init_std=0.2, generator=generator)
    with torch.no_grad():
        model.movie_biases.weight.normal_(0, 0.4, generator=generator)
    ids = Vocabulary.of(range(USERS)), Vocabulary.of(range(MOVIES))
    return Recommender(model, *ids, 0.5, 5.0, History.of([train], [test], num_users=USERS))


def resident_megabytes() -> float:
    """Return the resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


@contextmanager
def measured() -> Iterator[Cost]:
    """Measure time and memory of a block; memory is sampled every 10 ms."""
    cost, done, before = Cost(), threading.Event(), resident_megabytes()

    def watch() -> None:
        while not done.wait(0.01):
            cost.megabytes = max(cost.megabytes, resident_megabytes() - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        yield cost
    finally:
        cost.seconds, cost.cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
        done.set()
        watcher.join()


def row(name: str, limit: str, work: Callable[[], object]) -> None:
    """Do some work and print its cost."""
    with measured() as cost:
        work()
    print(f"{name:<52}{limit:>8}{cost.seconds:>8.1f} s{cost.cpu_seconds:>8.1f} s{cost.megabytes:>8,.0f} MB", flush=True)


def main() -> None:
    """Print the table."""
    rng = np.random.default_rng(0)
    train, test = drawn(TRAIN, rng), drawn(TEST, rng)
    recommender = made_up(train, test)
    counts = popularity(train, MOVIES)

    def evaluate() -> None:
        task = ranking_task(
            test,
            [train],
            movie_keys=test.movie_idx.astype(np.int64),
            num_users=USERS,
            num_movies=MOVIES,
            threshold=4.0,
            limit=RANKED_USERS,
            seed=0,
        )
        ranking_metrics(recommender, task, ks=(K,), counts=counts, cold_users=0, on_record=lambda _: None)

    def publish() -> None:
        with tempfile.TemporaryDirectory() as folder:
            score(recommender, ScoringSettings(k=K), folder=Path(folder), model_name="made up")

    print(describe_machine())
    print(f"load      {os.getloadavg()[0]:.1f} runnable processes on average in the last minute, this one included")
    print(f"\n{'':<52}{'limit':>8}{'took':>10}{'cores':>10}{'memory':>11}")
    row(f"ranking of {RANKED_USERS:,} users, model and popularity", "20 s", evaluate)
    row(f"top {K} for {USERS:,} users", "60 s", lambda: suggest(recommender, np.arange(USERS), k=K))
    row("the same as Parquet, checked and published", "", publish)


if __name__ == "__main__":
    main()
