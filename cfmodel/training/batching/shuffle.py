"""A keyed permutation of [0, count) in about a nanosecond an item, and counting sorts.

A Feistel network over a grid of at least `count` places is a bijection of the grid. A place outside `count`
goes through the network again until it falls inside.

Source: Black & Rogaway, "Ciphers with Arbitrary Finite Domains" (2002), the generalised Feistel
construction with cycle walking; the mixer is the finaliser of MurmurHash3 (Appleby, 2011).
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from cfmodel.system.compiled import compiled

Keys = npt.NDArray[np.uint32]

#: Rounds, in pairs of two; with six, a few dozen items were not shuffled quite evenly.
_ROUNDS = 8
_u32 = np.uint32


def shuffle_keys(sequence: np.random.SeedSequence) -> Keys:
    """Return the keys of one permutation, shape (8,)."""
    return sequence.generate_state(_ROUNDS, np.uint32).astype(np.uint32)


def permutation(count: int, keys: Keys) -> Keys:
    """Return the new place of each of `count` items: a permutation of [0, count), uint32.

    Args:
        count: Number of items, from 1 to 2**31.
        keys: Select the permutation.
    """
    rows = max(1, int(np.ceil(np.sqrt(count))))
    columns = -(-count // rows)
    grid = np.empty((rows, columns), np.uint32)
    _fill(grid, keys)
    table = grid.ravel()
    found = table[:count]
    outside = np.flatnonzero(found >= count)
    while len(outside):
        found[outside] = table[found[outside]]
        outside = outside[found[outside] >= count]
    return found


@compiled()
def _fill(table: Any, keys: Any) -> None:
    for row in range(len(table)):
        _fill_row(table[row], row, _u32(table.shape[0]), _u32(table.shape[1]), keys)


@compiled()
def _fill_row(found: Any, row: int, rows: Any, columns: Any, keys: Any) -> None:
    # Every operation is cast back to 32 bits, without branches, so that the compiler vectorises eight places.
    for column in range(len(found)):
        left, right = _u32(row), _u32(column)
        for pair in range(_ROUNDS // 2):
            left = _u32(left + _scaled(_u32(right ^ keys[2 * pair]), rows))
            left = min(left, _u32(left - rows))  # less than `rows`: the difference wraps round to the largest
            right = _u32(right + _scaled(_u32(left ^ keys[2 * pair + 1]), columns))
            right = min(right, _u32(right - columns))
        found[column] = _u32(left * columns) + right


@compiled(forceinline=True)
def _scaled(number: Any, limit: Any) -> Any:
    """Mix a number's bits and return a number in [0, limit), limit < 2**16."""
    number = _u32(number ^ (number >> _u32(16)))
    number = _u32(number * _u32(0x85EB_CA6B))
    number = _u32(number ^ (number >> _u32(13)))
    number = _u32(number * _u32(0xC2B2_AE35))
    return _u32(_u32(_u32(number >> _u32(16)) * limit) >> _u32(16))


@compiled()
def batch_of_place(places: Any, batches: int) -> Any:
    """Return the batch of each of n places, for batches of equal size, give or take one.

    Args:
        places: Integers in [0, n), shape (n,).
        batches: Number of batches, at most n.

    Returns:
        Integers in [0, batches), int32, shape (n,).
    """
    found, share = np.empty(len(places), np.int32), batches / len(places)
    for item in range(len(places)):
        # The half keeps away from the borders, where rounding would matter; a division takes ten times as long.
        found[item] = np.int32((places[item] + 0.5) * share)
    return found


@compiled()
def counting_sort(keys: Any, order: Any, starts: Any) -> None:
    """Sort by key, stably.

    Args:
        keys: Integers in [0, M), shape (N,).
        order: Receives the sorted positions, shape (N,).
        starts: Receives the first place of each key, and N, shape (M + 1,).
    """
    starts[:] = 0
    for key in keys:
        starts[key + 1] += 1
    for key in range(len(starts) - 1):
        starts[key + 1] += starts[key]
    cursor = starts[:-1].copy()
    for position in range(len(keys)):
        key = keys[position]
        order[cursor[key]] = position
        cursor[key] += 1


@compiled()
def sort_cells(order: Any, starts: Any, rows: Any, place: Any, largest: int) -> None:
    """Sort each cell of an order by row, in place and stably.

    Args:
        order: Positions in `rows`, cell after cell, shape (N,).
        starts: First place of each cell, and N, shape (cells + 1,).
        rows: Row of each position, shape (N,).
        place: Place of each row in its block, shape (rows,).
        largest: Rows of the largest block.
    """
    copy = np.empty_like(order[: np.max(np.diff(starts))])
    cursor = np.empty(largest + 1, np.int64)
    for cell in range(len(starts) - 1):
        part = order[starts[cell] : starts[cell + 1]]
        copy[: len(part)] = part
        cursor[:] = 0
        for position in part:
            cursor[place[rows[position]] + 1] += 1
        for row in range(largest):
            cursor[row + 1] += cursor[row]
        for position in copy[: len(part)]:
            row = place[rows[position]]
            part[cursor[row]] = position
            cursor[row] += 1
