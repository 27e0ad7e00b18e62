"""Processor instructions for compiled code."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from cfmodel.system.compiled import compiled
from cfmodel.training.engines.cpu.intrinsics import add, exchange, fetch, yield_core


@compiled()
def add_ones(counter: Any, number: int) -> None:
    for _ in range(number):
        add(counter, np.int64(0), np.int64(1))
        yield_core()


@compiled()
def exchanged(array: Any, value: int) -> int:
    fetch(array, np.int64(1))
    return exchange(array, np.int64(1), np.int64(value))  # type: ignore[no-any-return]


def test_additions_of_several_threads_are_all_counted() -> None:
    counter = np.zeros(1, np.int64)
    with ThreadPoolExecutor(4) as threads:
        for task in [threads.submit(add_ones, counter, 2_000) for _ in range(4)]:
            task.result()
    assert counter.tolist() == [8_000]


def test_an_exchange_returns_the_old_value() -> None:
    array = np.array([5, 6, 7])
    assert exchanged(array, 60) == 6
    assert array.tolist() == [5, 60, 7]
