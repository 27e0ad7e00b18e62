"""The compiled update step: errors and row gradients in one pass over each grouping, then clipping and Adam.

A row is padded to W numbers in the layout of `row_layout`, so that a prediction is one dot product and a
gradient one sum. One thread sums each row's gradient in the order of the batch, so no result depends on the
number of threads.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cfmodel.optimizer import clip_coefficient
from cfmodel.system.compiled import compiled
from cfmodel.training.engines.cpu.grouping import FIRST, LAST, MOVIE_FIRST, MOVIE_LAST, USER_FIRST, USER_LAST
from cfmodel.training.engines.cpu.intrinsics import CACHE_LINE, fetch
from cfmodel.training.engines.cpu.thread_team import end, is_last, take, wait

#: Phases of a step: gradients, then Adam. Chunks of a lane in the second phase: its users, its movies.
PHASES, CHUNKS = 2, 2
#: Sums of a pass, and columns of a step's log.
SUMS = 7
LOSS, SQUARED_ERROR, TOTAL, COEFFICIENT, NORMS, LARGEST, LARGEST_USER, LARGEST_MOVIE, USERS, MOVIES, SIZE = (
    0, 1, 2, 3, 4, 8, 9, 10, 11, 12, 13,
)  # fmt: skip
COLUMNS = 14

#: Rows are prefetched this many rows ahead: working on those takes about as long as the memory access.
_AHEAD = 4

_clip_coefficient = compiled()(clip_coefficient)
#: Sums may be reordered and multiplications fused; infinities and NaN stay as they are.
_FAST = {"reassoc", "contract", "nsz", "arcp"}


class PaddedSide(NamedTuple):
    """One side's tables in padded rows.

    Attributes:
        weights: Shape (rows, W).
        penalty: The penalty's weights for each rating, of the embedding and of the bias, shape (rows, 2).
        first: Adam's running mean of the gradient, shape (rows, W).
        second: Adam's running mean of the squared gradient, shape (rows, W).
        gradient: Gradients of the current batch's groups, summed over the batch, shape (groups, W); the last is zero.
        first_gradient: First group of each lane in `gradient`, shape (L,).
        group: Index of each row in `gradient`, -1 if the batch does not have it, shape (rows,); for `all_rows`.
    """

    weights: Any
    penalty: Any
    first: Any
    second: Any
    gradient: Any
    first_gradient: npt.NDArray[np.int64]
    group: npt.NDArray[np.int32]


class Constants(NamedTuple):
    """The constants of an epoch.

    Attributes:
        numbers: Adam's 1 - beta_1 and 1 - beta_2, epsilon, largest norm, in the tables' precision, shape (4,).
        dim: K.
        all_rows: Whether Adam moves all rows, or only those of the batch.
    """

    numbers: Any
    dim: int
    all_rows: bool


@compiled()
def run_steps(
    phases: Any, thread: int, first: int, last: int, stage: int, at: Any, by_user: Any, by_movie: Any,
    user: Any, movie: Any, error: Any, sums: Any, rates: Any, constants: Any, log: Any,
) -> None:  # fmt: skip
    """Do steps [first, last) of a visit; for a thread team.

    Args:
        phases: The state of the team's phases, 2 a step, of `CHUNKS` chunks for each lane.
        thread: Number of this thread.
        first: First step of the visit to do.
        last: First step not to do.
        stage: 0: a whole step; 1: its gradients alone; 2: Adam alone, after the gradients.
        at: Groups and ratings of each part in `by_user` and `by_movie`, shape (S, L, 6).
        by_user: The batches grouped by user.
        by_movie: The batches grouped by movie.
        user: The users' tables.
        movie: The movies' tables.
        error: Memory for the errors of each lane, shape (L, B).
        sums: Memory for the sums of each lane, shape (L, 2, 7).
        rates: Step size of each step, and its factor of the root of `second`, shape (S, 2).
        constants: The epoch's constants.
        log: Receives the numbers of each step of the visit, float64, shape (S, 14).
    """
    lanes, phase = at.shape[1], 0
    for step in range(first, last):
        if stage != 2:
            for turn in range(lanes):
                lane = (thread + turn) % lanes
                if take(phases, phase, lane):
                    _gradients(at[step, lane], lane, by_user, by_movie, user, movie, error[lane], constants, sums[lane])
                    if is_last(phases, phase, lanes):
                        _add_up(at[step], sums, constants.numbers, log[step])
                        end(phases)
            wait(phases, phase)
            phase += 1
        if stage != 1:
            # The gradients are sums over the batch; this factor makes them means and clips them.
            scale = constants.numbers.dtype.type(log[step, COEFFICIENT] * 2.0 / log[step, SIZE])
            chunks = CHUNKS * lanes
            for turn in range(chunks):
                chunk = (CHUNKS * thread + turn) % chunks
                if take(phases, phase, chunk):
                    lane = chunk // CHUNKS
                    is_user = chunk % CHUNKS == 0
                    side, field = (user, USER_FIRST) if is_user else (movie, MOVIE_FIRST)
                    rows = by_user.rows if is_user else by_movie.rows
                    part = at[step, lane]
                    if constants.all_rows:
                        _move_all(lane, lanes, side, scale, rates[step], constants.numbers)
                    else:
                        _move(
                            rows[part[field] : part[field + 1]], side, side.first_gradient[lane], scale,
                            rates[step], constants.numbers,
                        )  # fmt: skip
                    if is_last(phases, phase, chunks):
                        end(phases)
            wait(phases, phase)
            phase += 1


@compiled()
def _gradients(
    part: Any, lane: int, by_user: Any, by_movie: Any, user: Any, movie: Any, error: Any, constants: Any, sums: Any
) -> None:
    """Compute the errors and the row gradients of one lane's part of a batch."""
    _user_gradients(
        part[USER_FIRST], part[USER_LAST], part[FIRST], user.weights, user.penalty, movie.weights,
        by_user.rows, by_user.starts, by_user.others, by_user.values,
        error, user.gradient, user.first_gradient[lane], user.group, constants, sums[0],
    )  # fmt: skip
    _movie_gradients(
        part[MOVIE_FIRST], part[MOVIE_LAST], movie.weights, movie.penalty, user.weights,
        by_movie.rows, by_movie.starts, by_movie.others, by_movie.values,
        error, movie.gradient, movie.first_gradient[lane], movie.group, constants, sums[1],
    )  # fmt: skip


@compiled(fastmath=_FAST)
def _user_gradients(
    low: int, high: int, first: int, own: Any, penalty: Any, other: Any, rows: Any, starts: Any, others: Any,
    rating: Any, error: Any, gradient: Any, first_gradient: int, group: Any, constants: Any, parts: Any,
) -> None:  # fmt: skip
    """Predict, store the errors and sum the gradients of the groups [low, high) of users.

    The part's ratings begin at `first`, its errors at 0.
    """
    zero, dim, width = constants.numbers[0] - constants.numbers[0], constants.dim, own.shape[1]
    sums = np.empty(width, own.dtype)
    squares, pulls, embeddings, biases, largest, place = 0.0, 0.0, 0.0, 0.0, zero, first
    user = rows[low] if low < high else 0
    for at in range(low, high):
        if at + _AHEAD < high:
            _fetch_row(own, rows[at + _AHEAD])
        row = rows[at]
        weights = own[row]
        sums[:] = zero
        square = zero
        for rated in range(starts[at], starts[at + 1]):
            factors = other[others[rated]]
            score = zero
            for k in range(width):
                score += weights[k] * factors[k]
            miss = rating[rated] - score
            error[rated - first] = miss
            square += miss * miss
            for k in range(width):
                sums[k] += miss * factors[k]
            if largest == largest and not abs(miss) <= largest:  # the first NaN is the largest and stays it
                largest, place, user = abs(miss), rated, row
        squares += square
        count = starts[at + 1] - starts[at]
        pull, own_square, own_bias = _write(
            gradient[first_gradient + at - low], weights, sums, count, dim, dim, penalty[row]
        )
        pulls += pull
        embeddings += own_square
        biases += own_bias
        if constants.all_rows:
            group[row] = first_gradient + at - low
    parts[0], parts[1], parts[2], parts[3] = pulls, embeddings, biases, squares
    parts[4], parts[5], parts[6] = largest, user, others[place] if low < high else 0


@compiled(fastmath=_FAST)
def _movie_gradients(
    low: int, high: int, own: Any, penalty: Any, other: Any, rows: Any, starts: Any, others: Any, slot: Any, error: Any,
    gradient: Any, first_gradient: int, group: Any, constants: Any, parts: Any,
) -> None:  # fmt: skip
    """Sum the gradients of the groups [low, high) of movies, from the errors that the users' pass stored."""
    zero, dim, width = constants.numbers[0] - constants.numbers[0], constants.dim, own.shape[1]
    sums = np.empty(width, own.dtype)
    pulls, embeddings, biases = 0.0, 0.0, 0.0
    for at in range(low, high):
        if at + _AHEAD < high:
            _fetch_row(own, rows[at + _AHEAD])
        row = rows[at]
        sums[:] = zero
        for rated in range(starts[at], starts[at + 1]):
            factors = other[others[rated]]
            miss = error[slot[rated]]
            for k in range(width):
                sums[k] += miss * factors[k]
        count = starts[at + 1] - starts[at]
        pull, own_square, own_bias = _write(
            gradient[first_gradient + at - low], own[row], sums, count, dim, dim + 1, penalty[row]
        )
        pulls += pull
        embeddings += own_square
        biases += own_bias
        if constants.all_rows:
            group[row] = first_gradient + at - low
    parts[0], parts[1], parts[2] = pulls, embeddings, biases


@compiled(forceinline=True)
def _fetch_row(table: Any, row: int) -> None:
    """Prefetch a row."""
    width = table.shape[1]
    for k in range(0, width, CACHE_LINE // table.itemsize):
        fetch(table, row * width + k)


@compiled(fastmath=_FAST, forceinline=True)
def _write(gradient: Any, weights: Any, sums: Any, count: int, dim: int, bias: int, penalty: Any) -> Any:
    """Write the gradient of a row with `count` ratings, not yet divided by the batch size.

        count * penalty * w_k - sum of error * factor_k

    Returns:
        The penalty, and the squared norms of the embedding's and the bias's gradient.
    """
    zero = penalty[0] - penalty[0]
    pull, bias_pull = penalty[0] * penalty.dtype.type(count), penalty[1] * penalty.dtype.type(count)
    size, square = zero, zero
    for k in range(dim):
        slope = pull * weights[k] - sums[k]
        gradient[k] = slope
        square += slope * slope
        size += weights[k] * weights[k]
    for k in range(dim, len(gradient)):
        gradient[k] = zero
    slope = bias_pull * weights[bias] - sums[bias]
    gradient[bias] = slope
    return pull * size + bias_pull * weights[bias] * weights[bias], square, slope * slope


@compiled()
def _add_up(at: Any, sums: Any, numbers: Any, log: Any) -> None:
    """Write the step's log from the sums of the lanes; see `StepLog` for the columns."""
    pulls, squares, largest, size = 0.0, 0.0, -1.0, 0
    log[:] = 0.0
    for lane in range(len(sums)):
        part = at[lane]
        size += part[LAST] - part[FIRST]
        log[USERS] += part[USER_LAST] - part[USER_FIRST]
        log[MOVIES] += part[MOVIE_LAST] - part[MOVIE_FIRST]
        for side in range(2):
            pulls += sums[lane, side, 0]
            log[NORMS + 2 * side] += sums[lane, side, 1]
            log[NORMS + 2 * side + 1] += sums[lane, side, 2]
        squares += sums[lane, 0, 3]
        if part[LAST] > part[FIRST] and largest == largest and not sums[lane, 0, 4] <= largest:
            largest = sums[lane, 0, 4]
            log[LARGEST_USER], log[LARGEST_MOVIE] = sums[lane, 0, 5], sums[lane, 0, 6]
    total = 0.0
    for table in range(NORMS, LARGEST):
        log[table] *= 4.0 / size / size
        total += log[table]
        log[table] = np.sqrt(log[table])
    total = np.sqrt(total)
    log[SIZE] = size
    log[SQUARED_ERROR] = squares / size
    log[LOSS] = log[SQUARED_ERROR] + pulls / size
    log[LARGEST] = largest
    log[TOTAL] = total
    log[COEFFICIENT] = _clip_coefficient(total, numbers[3])


@compiled(fastmath=_FAST)
def _move(rows: Any, side: Any, first_gradient: int, scale: Any, rates: Any, numbers: Any) -> None:
    """Apply Adam to the rows of one lane's part of a batch."""
    for at in range(len(rows)):
        if at + _AHEAD < len(rows):
            for table in (side.weights, side.first, side.second):
                _fetch_row(table, rows[at + _AHEAD])
        row = rows[at]
        gradient = side.gradient[first_gradient + at]
        _adam(side.weights[row], side.first[row], side.second[row], gradient, scale, rates, numbers)


@compiled(fastmath=_FAST)
def _move_all(lane: int, lanes: int, side: Any, scale: Any, rates: Any, numbers: Any) -> None:
    """Apply Adam to one of L equal parts of a side's rows, in the batch or not."""
    count = len(side.weights)
    for row in range(count * lane // lanes, count * (lane + 1) // lanes):
        # Rows that are not in the batch have index -1, that of the last gradient, which is zero.
        gradient = side.gradient[side.group[row]]
        side.group[row] = -1
        _adam(side.weights[row], side.first[row], side.second[row], gradient, scale, rates, numbers)


@compiled(fastmath=_FAST, forceinline=True)
def _adam(weights: Any, first: Any, second: Any, gradient: Any, scale: Any, rates: Any, numbers: Any) -> None:
    """Apply Adam to one row: the twin of torch's `Adam` and `SparseAdam`, which the tests compare it with.

    Source: Kingma & Ba, "Adam: A Method for Stochastic Optimization" (2015), algorithm 1.
    """
    step, root, new_first, new_second, epsilon = rates[0], rates[1], numbers[0], numbers[1], numbers[2]
    for k in range(len(weights)):
        slope = gradient[k] * scale
        first[k] += (slope - first[k]) * new_first
        second[k] += (slope * slope - second[k]) * new_second
        weights[k] -= step * first[k] / (np.sqrt(second[k]) * root + epsilon)
