"""Sampled steps: the multiples of a power of two, so that runs with different intervals share steps."""

#: Step after which the interval is chosen.
CALIBRATION_STEPS = 16
#: Steps that every run samples: most happens at the start.
ALWAYS = (1, 4, CALIBRATION_STEPS)
#: Most multiples of the interval in a phase: more samples than this show nothing more.
MOST_SAMPLES = 256


def on_grid(position: int, every: int | None) -> bool:
    """Return whether a step (or epoch) is a multiple of K; the multiples of 2K are among those of K.

    Args:
        position: Number of the step, from 1.
        every: K, a power of two; None: not chosen yet, so no step is.
    """
    return every is not None and position % every == 0


def is_milestone(epoch: int) -> bool:
    """Return whether an epoch is one of 1, 2, 4, 8, ..., whose last steps every run samples."""
    return epoch & (epoch - 1) == 0


def next_sampled(position: int, every: int | None, *, end: int | None = None) -> int | None:
    """Return the first sampled step after this one; None: there is none.

    Sampled steps are the multiples of K, the first few steps, and `end`.

    Args:
        position: Number of the step, from 1; 0: before the first step.
        every: K, a power of two; None: not chosen yet.
        end: Last step of an epoch, if it is sampled.
    """
    multiple = None if every is None else (position // every + 1) * every
    return min((step for step in (*ALWAYS, multiple, end) if step is not None and step > position), default=None)


def choose_interval(positions: int, *, cost: float, budget: float, smallest: int = 1) -> int:
    """Return the smallest interval whose samples fit the budget.

    Args:
        positions: Steps (or epochs) planned.
        cost: Seconds per sample.
        budget: Seconds for all samples.
        smallest: Power of two to start from.

    Returns:
        A power of two; if none fits, the first one above `positions`, which means no samples.
    """
    every = smallest
    while every <= positions and (positions // every > MOST_SAMPLES or positions // every * cost > budget):
        every *= 2
    return every
