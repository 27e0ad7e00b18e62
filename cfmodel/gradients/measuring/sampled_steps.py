"""Which steps are looked at closely: nested grids, so that runs with different intervals share steps."""

#: Step after which the interval is chosen.
CALIBRATION_STEPS = 16
#: Steps that are looked at whatever the interval is: the start, where most happens, is seen in every run.
ALWAYS = (1, 4, CALIBRATION_STEPS)
#: Most multiples of the interval in a phase: more snapshots than this show nothing more.
MOST_SAMPLES = 256


def on_grid(position: int, every: int | None) -> bool:
    """Say whether a step (or epoch), counted from 1, is a multiple of K; grids are nested: that of 2K is a part of K's.

    Args:
        position: Number of the step, from 1.
        every: K, a power of two; None, not chosen yet: none is.
    """
    return every is not None and position % every == 0


def is_mark(epoch: int) -> bool:
    """Say whether an epoch is one of 1, 2, 4, 8, ...: every run looks at their last steps, and shows them."""
    return epoch & (epoch - 1) == 0


def next_sampled(position: int, every: int | None, *, end: int | None = None) -> int | None:
    """Return the first step after this one that is looked at closely; None: there is none.

    Those are the multiples of K, the first few, and the end of an epoch where that is asked for.

    Args:
        position: Number of the step, from 1; 0: none was done.
        every: K, a power of two; None, not chosen yet.
        end: Last step of an epoch that is looked at; None: no such step.
    """
    multiple = None if every is None else (position // every + 1) * every
    return min((step for step in (*ALWAYS, multiple, end) if step is not None and step > position), default=None)


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
