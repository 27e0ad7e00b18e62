"""The records of one phase: their tables, their sides, and their values by step."""

from dataclasses import replace

import numpy as np
import pytest
from histories import FIVE, FOUR, OTHER_SIDES, OTHERS, Shapes, history

from cfmodel.gradients.recording.gradient_history import GradientHistory
from cfmodel.gradients.recording.gradient_records import EpochGradients, InitialRecord, StepBlock, StepSample


@pytest.mark.parametrize("tables", [FOUR, FIVE, OTHERS])
@pytest.mark.parametrize("missing", [(), (InitialRecord,), (InitialRecord, StepBlock), (InitialRecord, EpochGradients)])
def test_any_kind_of_record_names_the_tables_in_their_order(tables: Shapes, missing: tuple[type, ...]) -> None:
    found = GradientHistory.of(one for one in history(tables=tables) if not isinstance(one, missing))
    assert found.tables == tuple(tables)
    assert found.vector_tables == tuple(table for table, (_, columns) in tables.items() if columns > 1)


def test_without_records_there_are_no_tables() -> None:
    found = GradientHistory.of([])
    assert (found.tables, found.vector_tables) == ((), ())


def test_a_side_is_what_the_records_say_or_else_the_start_of_the_tables_name() -> None:
    declared = GradientHistory.of(history(epochs=1, tables=OTHERS, sides=OTHER_SIDES))
    assert declared.rows_of("encoder.weight", (3,)) == (("user", 3),)
    derived = GradientHistory.of(history(epochs=1, tables=FIVE))
    assert [derived.side_of(table) for table in FIVE] == ["user", "user", "movie", "movie", "movie"]


def test_the_rating_of_a_largest_error_has_a_row_on_each_side() -> None:
    found = GradientHistory.of(history(epochs=2))
    block = found.blocks[1]
    user, movie = int(block.largest_error_user[3]), int(block.largest_error_movie[3])
    assert found.rating_of_largest_error(64 + 3) == (("user", user), ("movie", movie))


def test_the_reach_is_the_sum_of_the_learning_rate_over_the_spread_of_the_ratings() -> None:
    records = [replace(one, learning_rate=0.01) if isinstance(one, StepSample) else one for one in history(epochs=2)]
    assert GradientHistory.of(records).reach == pytest.approx(128 * 0.01 / 1.12)
    assert GradientHistory.of([]).reach is None


def test_only_the_records_of_the_phase_are_taken() -> None:
    found = GradientHistory.of(history(epochs=2), phase="refit")
    assert {record.phase for record in (*found.blocks, *found.samples, *found.epochs)} == {"refit"}
    assert found.steps.tolist() == list(range(1, 129))
    assert np.array_equal(found.epoch_of_step, np.repeat([1, 2], 64))
