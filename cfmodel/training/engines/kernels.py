"""The update step, compiled: errors and row gradients in one pass over each grouping, then clip and Adam.

A row of a table is padded to `W` numbers and holds embedding, bias and a one side by side, so that
prediction and gradient are one dot product and one sum:

    user   [p_1 .. p_K, user_bias, 1, 0 ..]        movie   [q_1 .. q_K, 1, movie_bias, 0 ..]

Every row's gradient is summed by one thread in the order of the batch, so no result depends on how
many threads there are.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from cfmodel.training.engines.crew import claim, end, is_last, wait

#: Phases of a step: users' gradients, movies' gradients, moving both.
PHASES = 3
#: A group's own work, in ratings.
ROW_WORK = 2
#: Numbers that a pass leaves for each chunk, and what a step leaves in the log.
PARTS = 7
LOSS, SQUARED_ERROR, TOTAL, COEFFICIENT, NORMS, LARGEST, LARGEST_USER, LARGEST_MOVIE, USERS, MOVIES = (
    0, 1, 2, 3, 4, 8, 9, 10, 11, 12,
)  # fmt: skip
COLUMNS = 13

#: Sums may be reordered and multiplications fused; a value that is not finite stays what it is.
_FAST = {"reassoc", "contract", "nsz", "arcp"}


class Side(NamedTuple):
    """One side's tables, each row padded.

    Attributes:
        weights: Shape (rows, W).
        first: Adam's running mean of the gradient, shape (rows, W).
        second: Adam's running mean of its square, shape (rows, W).
        gradient: Of the groups of the batch under way, before clipping, shape (groups, W).
        group: Group of each row, -1 where it is not in the batch, shape (rows,); used where all rows move.
    """

    weights: Any
    first: Any
    second: Any
    gradient: Any
    group: npt.NDArray[np.int32]


class Constants(NamedTuple):
    """What does not change over an epoch, in the tables' precision where it is multiplied.

    Attributes:
        numbers: Global mean, penalty, Adam's 1 - beta_1 and 1 - beta_2, epsilon, largest norm, shape (6,).
        dim: K.
        all_rows: Whether Adam moves all rows, or those of the batch.
    """

    numbers: Any
    dim: int
    all_rows: bool


@njit(cache=True, nogil=True, error_model="numpy")
def run_steps(
    phases: Any, first: int, last: int, stage: int, chunks: int, user: Any, movie: Any, by_user: Any, by_movie: Any,
    ratings: Any, parts: Any, rates: Any, constants: Any, log: Any,
) -> None:  # fmt: skip
    """Do steps [first, last) of a block; for a crew.

    Args:
        phases: The crew's, 3 a step.
        first: First batch of the block to learn from.
        last: First one not to.
        stage: 0: all of a step; 1: its gradients alone; 2: the move that follows them.
        chunks: Chunks of a phase.
        user: The users' tables.
        movie: The movies' tables.
        by_user: The batches grouped by user.
        by_movie: The batches grouped by movie.
        ratings: Rating and slot of each place, shapes (S, B), and room for the errors of a batch, shape (B,).
        parts: Room for what each chunk of users and movies adds up, shape (2, chunks, 7).
        rates: Step size of each step of the block, and what the root of `second` is scaled by, shape (S, 2).
        constants: What does not change.
        log: Takes what each step of the block saw, float64, shape (S, 13).
    """
    rating, slot, error = ratings
    phase = 0
    for step in range(first, last):
        users, movies = by_user.number[step], by_movie.number[step]
        if stage != 2:
            chunk = claim(phases, phase)
            while chunk < chunks:
                low, high = _chunk(chunk, chunks, users, by_user.starts[step])
                _user_gradients(
                    low, high, user.weights, movie.weights, by_user.rows[step], by_user.starts[step],
                    by_user.others[step], rating[step], error, user.gradient, user.group, constants,
                    parts[0, chunk],
                )  # fmt: skip
                if is_last(phases, phase, chunks):
                    end(phases)
                chunk = claim(phases, phase)
            wait(phases, phase)
            phase += 1
            chunk = claim(phases, phase)
            while chunk < chunks:
                low, high = _chunk(chunk, chunks, movies, by_movie.starts[step])
                _movie_gradients(
                    low, high, movie.weights, user.weights, by_movie.rows[step], by_movie.starts[step],
                    by_movie.others[step], slot[step], error, movie.gradient, movie.group, constants,
                    parts[1, chunk],
                )  # fmt: skip
                if is_last(phases, phase, chunks):
                    _add_up(parts, by_user.starts[step, users], constants.numbers, log[step])
                    log[step, USERS], log[step, MOVIES] = users, movies
                    end(phases)
                chunk = claim(phases, phase)
            wait(phases, phase)
            phase += 1
        if stage != 1:
            # The gradients lie there as sums over the batch; what they are scaled by makes them its mean.
            size = by_user.starts[step, users]
            coefficient = constants.numbers.dtype.type(log[step, COEFFICIENT] * 2.0 / size)
            chunk = claim(phases, phase)
            while chunk < 2 * chunks:
                side, groups, number = (user, by_user, users) if chunk < chunks else (movie, by_movie, movies)
                part = chunk if chunk < chunks else chunk - chunks
                _move(part, chunks, side, groups.rows[step], number, coefficient, rates[step], constants)
                if is_last(phases, phase, 2 * chunks):
                    end(phases)
                chunk = claim(phases, phase)
            wait(phases, phase)
            phase += 1


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def _user_gradients(
    low: int, high: int, own: Any, other: Any, rows: Any, starts: Any, others: Any, rating: Any, error: Any,
    gradient: Any, group: Any, constants: Any, parts: Any,
) -> None:  # fmt: skip
    """Predict, note the errors and sum the gradients of the groups [low, high) of users."""
    mean, dim, width = constants.numbers[0], constants.dim, own.shape[1]
    zero = mean - mean
    sums = np.empty(width, own.dtype)
    squares, pulls, embeddings, biases, largest, place = 0.0, 0.0, 0.0, 0.0, zero, starts[low]
    user = rows[low] if low < high else 0
    for at in range(low, high):
        row = rows[at]
        weights = own[row]
        sums[:] = zero
        square = zero
        for rated in range(starts[at], starts[at + 1]):
            factors = other[others[rated]]
            prediction = mean
            for k in range(width):
                prediction += weights[k] * factors[k]
            miss = rating[rated] - prediction
            error[rated] = miss
            square += miss * miss
            for k in range(width):
                sums[k] += miss * factors[k]
            if largest == largest and not abs(miss) <= largest:  # one that is no number is the largest, and stays it
                largest, place, user = abs(miss), rated, row
        squares += square
        count = starts[at + 1] - starts[at]
        pull, own_square, own_bias = _write(gradient[at], weights, sums, count, dim, dim, constants.numbers)
        pulls += pull
        embeddings += own_square
        biases += own_bias
        if constants.all_rows:
            group[row] = at
    parts[0], parts[1], parts[2], parts[3] = pulls, embeddings, biases, squares
    parts[4], parts[5], parts[6] = largest, user, others[place] if low < high else 0


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def _movie_gradients(
    low: int, high: int, own: Any, other: Any, rows: Any, starts: Any, others: Any, slot: Any, error: Any,
    gradient: Any, group: Any, constants: Any, parts: Any,
) -> None:  # fmt: skip
    """Sum the gradients of the groups [low, high) of movies, from the errors the users' pass noted."""
    zero, dim, width = constants.numbers[0] - constants.numbers[0], constants.dim, own.shape[1]
    sums = np.empty(width, own.dtype)
    pulls, embeddings, biases = 0.0, 0.0, 0.0
    for at in range(low, high):
        row = rows[at]
        sums[:] = zero
        for rated in range(starts[at], starts[at + 1]):
            factors = other[others[rated]]
            miss = error[slot[rated]]
            for k in range(width):
                sums[k] += miss * factors[k]
        count = starts[at + 1] - starts[at]
        pull, own_square, own_bias = _write(gradient[at], own[row], sums, count, dim, dim + 1, constants.numbers)
        pulls += pull
        embeddings += own_square
        biases += own_bias
        if constants.all_rows:
            group[row] = at
    parts[0], parts[1], parts[2] = pulls, embeddings, biases


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy", forceinline=True)
def _write(gradient: Any, weights: Any, sums: Any, count: int, dim: int, bias: int, numbers: Any) -> Any:
    """Write the gradient of a row looked up `count` times, not yet divided by the size of the batch.

        embedding  count * penalty * w_k - sum of error * factor_k        bias  - sum of error

    Returns:
        `count` times the embedding's squared norm, the embedding's gradient's, and the bias's.
    """
    zero = numbers[0] - numbers[0]
    pull = numbers[1] * numbers.dtype.type(count)
    size, square = zero, zero
    for k in range(dim):
        slope = pull * weights[k] - sums[k]
        gradient[k] = slope
        square += slope * slope
        size += weights[k] * weights[k]
    for k in range(dim, len(gradient)):
        gradient[k] = zero
    gradient[bias] = -sums[bias]
    return size * count, square, sums[bias] * sums[bias]


@njit(cache=True, nogil=True, error_model="numpy")
def _add_up(parts: Any, size: int, numbers: Any, log: Any) -> None:
    """Turn what the chunks added up into what the step saw; see `StepLog` for what each number is."""
    pulls, squares, largest = 0.0, 0.0, -1.0
    log[NORMS : NORMS + 4] = 0.0
    for side in range(2):
        for chunk in range(parts.shape[1]):
            part = parts[side, chunk]
            pulls += part[0]
            log[NORMS + 2 * side] += part[1]
            log[NORMS + 2 * side + 1] += part[2]
            if side == 0:
                squares += part[3]
                if largest == largest and not part[4] <= largest:
                    largest = part[4]
                    log[LARGEST_USER], log[LARGEST_MOVIE] = part[5], part[6]
    total = 0.0
    for table in range(NORMS, NORMS + 4):
        log[table] *= 4.0 / size / size
        total += log[table]
        log[table] = np.sqrt(log[table])
    total = np.sqrt(total)
    log[SQUARED_ERROR] = squares / size
    log[LOSS] = log[SQUARED_ERROR] + numbers[1] * pulls / size
    log[LARGEST] = largest
    log[TOTAL] = total
    log[COEFFICIENT] = min(1.0, numbers[5] / (total + 1e-6)) if total == total else total


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def _move(part: int, parts: int, side: Any, rows: Any, number: int, scale: Any, rates: Any, constants: Any) -> None:
    """Move one part of a side's rows: those of the batch, or all of them."""
    numbers = constants.numbers
    if not constants.all_rows:
        for at in range(number * part // parts, number * (part + 1) // parts):
            row = rows[at]
            _adam(side.weights[row], side.first[row], side.second[row], side.gradient[at], scale, rates, numbers)
        return
    count = len(side.weights)
    for row in range(count * part // parts, count * (part + 1) // parts):
        # The last gradient is kept at zero, for the rows that are not in the batch: group -1.
        gradient = side.gradient[side.group[row]]
        side.group[row] = -1
        _adam(side.weights[row], side.first[row], side.second[row], gradient, scale, rates, numbers)


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy", forceinline=True)
def _adam(weights: Any, first: Any, second: Any, gradient: Any, scale: Any, rates: Any, numbers: Any) -> None:
    """Move one row by Adam's rule.

    Source: Kingma & Ba, "Adam: A Method for Stochastic Optimization" (2015), algorithm 1.
    """
    step, root, new_first, new_second, epsilon = rates[0], rates[1], numbers[2], numbers[3], numbers[4]
    for k in range(len(weights)):
        slope = gradient[k] * scale
        first[k] += (slope - first[k]) * new_first
        second[k] += (slope * slope - second[k]) * new_second
        weights[k] -= step * first[k] / (np.sqrt(second[k]) * root + epsilon)


@njit(cache=True, nogil=True, error_model="numpy")
def _chunk(chunk: int, chunks: int, number: int, starts: Any) -> tuple[int, int]:
    """Return the first group of a chunk and the first beyond it; chunks take about as long each."""
    return _boundary(chunk, chunks, number, starts), _boundary(chunk + 1, chunks, number, starts)


@njit(cache=True, nogil=True, error_model="numpy")
def _boundary(chunk: int, chunks: int, number: int, starts: Any) -> int:
    """Return the first group before which there is a chunk's share of the work."""
    target = (starts[number] + ROW_WORK * number) * chunk // chunks
    low, high = 0, number
    while low < high:
        middle = (low + high) // 2
        if starts[middle] + ROW_WORK * middle < target:
            low = middle + 1
        else:
            high = middle
    return low
