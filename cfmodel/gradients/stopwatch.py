"""Time spent on one kind of work, added up."""

import time
from typing import Self


class Stopwatch:
    """Adds up the time its blocks take: `with stopwatch: ...`; blocks do not nest.

    It reads the host's clock and never waits for a device: on CUDA it sees what the host spends on
    launching work, which is most of what recording costs there, since its kernels are small.

    Attributes:
        seconds: All blocks so far.
    """

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self._began = 0.0

    def __enter__(self) -> Self:
        self._began = time.perf_counter()
        return self

    def __exit__(self, *raised: object) -> None:
        self.seconds += time.perf_counter() - self._began
