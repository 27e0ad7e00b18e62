"""Which steps are looked at closely, and how often the time allows it."""

#: Steps before the interval is chosen; every power of two up to here is sampled whatever it will be.
CALIBRATION_STEPS = 16
#: Most intervals in a phase: more snapshots than this show nothing more.
MOST_SAMPLES = 256


def on_grid(position: int, every: int | None) -> bool:
    """Say whether a step (or epoch), counted from 1, is on the grid.

    The grid of K holds the multiples of K and the powers of two below K, so that the start, where
    most happens, is seen at any K. Grids are nested: that of 2K is a part of that of K, so that two
    runs with different intervals share the steps of the coarser one.

    Args:
        position: Number of the step, from 1.
        every: K, a power of two; None, not chosen yet: the powers of two alone.
    """
    if every is not None and position % every == 0:
        return True
    return position & (position - 1) == 0 and (every is None or position < every)


def samples_in(positions: int, every: int) -> int:
    """Return how many of the positions 1, 2, ..., `positions` are on the grid of `every`."""
    return positions // every + min(every - 1, positions).bit_length()


def choose_every(positions: int, *, cost: float, budget: float, smallest: int = 1) -> int:
    """Return the smallest interval whose samples fit the budget.

    Args:
        positions: Steps (or epochs) planned.
        cost: Seconds one sample takes.
        budget: Seconds all of them may take.
        smallest: Power of two to start from.

    Returns:
        A power of two; the first above `positions`, which leaves the powers of two alone, if none fits.
    """
    every = smallest
    while every <= positions and (
        samples_in(positions, every) * cost > budget or positions // every > MOST_SAMPLES
    ):
        every *= 2
    return every
