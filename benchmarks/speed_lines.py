"""Our settings against each system, chosen on the training parts alone.

    CFMODEL_DATA_DIR=... python benchmarks/speed_lines.py [--sets SET ...] [PEER ...]

The training part of a set is split once more, and both sides train on nine tenths of it. Of the settings below, the
choice is the fastest whose RMSE on the other tenth is at least `MARGIN` below theirs; on small sets the mean over
several splits counts. The test parts are not read. The output is the content of `LINES`.
"""

import os

# As the `cfmodel` command does: idle threads soon sleep.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

import argparse
from collections.abc import Iterator
from itertools import product
from statistics import fmean, median
from typing import Any, NamedTuple

from machine import describe_machine, use_cores
from speed_peers import CORNAC, LENSKIT, LIBMF, SURPRISE
from speed_race import best_of, ours, warm_up
from speed_sets import ML_1M, RatingSet, is_at_hand, load
from speed_system import Peer
from speed_textbook import TEXTBOOK

from cfmodel.config import TrainSettings

PEERS = (LIBMF, CORNAC, SURPRISE, LENSKIT, TEXTBOOK)
RACED = (ML_1M, "ml-100k", "ml-latest-small")

#: Margin for the test part, where the two RMSEs can be closer: about the noise of a tenth of the ratings.
MARGIN = {ML_1M: 0.0005, "ml-100k": 0.002, "ml-latest-small": 0.002}
#: Number of splits of the training part.
DIVISIONS = {ML_1M: 1, "ml-100k": 5, "ml-latest-small": 5}
#: The grid by set: batch sizes and blocks, None for the default, each with every rate, schedule and number of epochs.
#: If a step is exactly four whole pairs of blocks, batches need no dealing.
DEALT: dict[str, tuple[tuple[int, int | None], ...]] = {
    ML_1M: ((32_768, None), (16_384, None), (8_192, None), (4_096, None), (65_536, 8), (16_384, 16), (4_096, 32)),
    "ml-100k": ((8_192, None), (4_096, None), (2_048, None), (1_024, None), (4_096, 8), (1_024, 16)),
    "ml-latest-small": ((8_192, None), (4_096, None), (2_048, None), (1_024, None), (4_096, 8), (1_024, 16)),
}
RATES = (0.01, 0.02, 0.03, 0.04)
EPOCHS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12)
SCHEDULES = ("linear", "cosine")


def line(batch_size: int, learning_rate: float, epochs: int, **more: Any) -> TrainSettings:
    """Return settings of ours, with `touched_rows` and otherwise the defaults of training."""
    return TrainSettings(
        adam="touched_rows",
        batch_size=batch_size,
        learning_rate=learning_rate,
        epochs=epochs,
        **more,
    )


#: The result of `main`, by set and system.
LINES: dict[str, dict[str, TrainSettings]] = {
    ML_1M: {
        "libmf": line(16_384, 0.02, 4, blocks=16),
        "cornac": line(4_096, 0.01, 7, blocks=32, schedule="cosine"),
        "surprise": line(4_096, 0.01, 6, blocks=32, schedule="cosine"),
        "lenskit": line(16_384, 0.04, 2),
        "textbook": line(8_192, 0.01, 6),
    },
    "ml-100k": {
        "libmf": line(1_024, 0.04, 3, blocks=16),
        "cornac": line(1_024, 0.02, 4, blocks=16),
        "surprise": line(1_024, 0.04, 2),
        "lenskit": line(2_048, 0.04, 2),
        "textbook": line(1_024, 0.04, 3),
    },
    "ml-latest-small": {
        "libmf": line(4_096, 0.04, 2),
        "cornac": line(1_024, 0.04, 3, blocks=16),
        "surprise": line(4_096, 0.04, 3),
        "lenskit": line(1_024, 0.04, 1),
        "textbook": line(4_096, 0.04, 3),
    },
}


def line_for(name: str, peer: Peer) -> TrainSettings:
    """Return our settings for a set against a system."""
    return LINES[name][peer.name]


def candidates(name: str) -> Iterator[TrainSettings]:
    """Yield the grid of settings for a set."""
    for batch_size, blocks in DEALT[name]:
        for rate, schedule, epochs in product(RATES, SCHEDULES, EPOCHS):
            yield line(batch_size, rate, epochs, blocks=blocks, schedule=schedule)


def choose(name: str, divisions: list[RatingSet], peers: list[Peer]) -> None:
    """Print each system's RMSE and seconds, and the fastest settings that reach its RMSE."""
    warm_up(divisions[0], [line(batch_size, RATES[0], 1, blocks=blocks) for batch_size, blocks in DEALT[name]])
    tried = sorted(_tried(divisions, settings) for settings in candidates(name))
    best = min(tried, key=lambda each: each.rmse)
    for peer in peers:
        theirs = [best_of(peer, peer.prepare(ratings), ratings) for ratings in divisions]
        rmse = fmean(each.rmse for each in theirs)
        print(f"  {peer.name}: {rmse:.4f} in {median(each.seconds for each in theirs):.3f} s", flush=True)
        found = next((each for each in tried if each.rmse <= rmse - MARGIN[name]), None)
        said = "" if found else f", never {MARGIN[name]} below theirs"
        found = found or best
        print(f'"{peer.name}": {found.said},  # {found.rmse:.4f} in {found.seconds:.3f} s{said}', flush=True)


class _Tried(NamedTuple):
    """The result of one setting: least seconds, mean RMSE, and its text for `LINES`."""

    seconds: float
    rmse: float
    said: str


def _tried(divisions: list[RatingSet], settings: TrainSettings) -> _Tried:
    reached = [ours(ratings, settings) for ratings in (divisions * 2)[: max(2, len(divisions))]]
    more = {name: getattr(settings, name) for name in ("blocks", "schedule")}
    told = [f", {name}={value!r}" for name, value in more.items() if value != TrainSettings.model_fields[name].default]
    said = f"line({settings.batch_size:_}, {settings.learning_rate}, {settings.epochs}{''.join(told)})"
    return _Tried(min(each.seconds for each in reached), fmean(each.rmse for each in reached), said)


def main() -> None:
    """Print the settings for each set and system."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peers", nargs="*", metavar="PEER", help="any of " + ", ".join(peer.name for peer in PEERS))
    parser.add_argument("--sets", nargs="+", choices=RACED, default=RACED)
    parser.add_argument("--cores", type=int, default=2)
    given = parser.parse_args()
    use_cores(given.cores)
    print(describe_machine(), flush=True)
    for name in filter(is_at_hand, given.sets):
        whole = load(name)
        divisions = [whole.validation(number + 1) for number in range(DIVISIONS[name])]
        print(f"\n{divisions[0]}", flush=True)
        wanted = [peer for peer in PEERS if peer.version is not None and peer.name in (given.peers or peer.name)]
        choose(name, divisions, wanted)


if __name__ == "__main__":
    main()
