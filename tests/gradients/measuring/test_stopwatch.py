"""The stopwatch."""

import time

import torch

from cfmodel.gradients.measuring.stopwatch import Stopwatch, clock_of


def test_only_the_time_within_blocks_is_added_up() -> None:
    ticks = iter([1.0, 3.0, 10.0, 10.5])
    stopwatch = Stopwatch(lambda: next(ticks))
    for _ in range(2):
        with stopwatch:
            pass
    assert stopwatch.seconds == 2.5


def test_on_the_cpu_the_clock_is_the_threads_processor_time_and_elsewhere_the_wall_clock() -> None:
    assert clock_of(torch.device("cpu")) is time.thread_time
    assert clock_of(torch.device("cuda")) is time.perf_counter
