"""Which steps are looked at closely: nested grids, so that runs with different intervals share steps."""

#: Step after which the interval is chosen.
CALIBRATION_STEPS = 16
#: Most multiples of the interval in a phase: more snapshots than this show nothing more.
MOST_SAMPLES = 256


def on_grid(position: int, every: int | None, *, dense: int | None = None) -> bool:
    """Say whether a step (or epoch), counted from 1, is on the grid.

    The grid of K holds the multiples of K, steps 1, 4 and 16, and from there on each one sixteen times
    as far: the start, where most happens, is seen at any K, and no budget is so small that a record
    ends where training begins. Grids are nested: that of 2K is a part of that of K.

    Args:
        position: Number of the step, from 1.
        every: K, a power of two; None, not chosen yet: what does not hang on it.
        dense: Last position that is taken whatever K is; None: there is no last.
    """
    if every is not None and position % every == 0:
        return True
    return (dense is None or position <= dense) and position == _first_from(position)


def next_on_grid(position: int, every: int | None) -> int:
    """Return the first position after this one that is on the grid."""
    always = _first_from(position + 1)
    return always if every is None else min(always, (position // every + 1) * every)


def choose_every(positions: int, *, cost: float, budget: float, smallest: int = 1) -> int:
    """Return the smallest interval whose multiples fit the budget.

    Args:
        positions: Steps (or epochs) planned.
        cost: Seconds one look takes.
        budget: Seconds all of them may take.
        smallest: Power of two to start from.

    Returns:
        A power of two; the first above `positions`, which has no multiple there, if none fits.
    """
    every = smallest
    while every <= positions and (positions // every > MOST_SAMPLES or positions // every * cost > budget):
        every *= 2
    return every


def _first_from(position: int) -> int:
    """Return the first position from this one on that is taken whatever K is."""
    taken = 1
    while taken < position:
        taken *= 4 if taken < CALIBRATION_STEPS else 16
    return taken
