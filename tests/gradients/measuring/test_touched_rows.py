"""The rows of a batch, and the popularity of rows."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cfmodel.gradients.measuring.touched_rows import TouchedRows, count_by_mask, popularity_deciles, rows_touched

rows = st.lists(st.integers(0, 19), min_size=1, max_size=40)


@settings(deadline=None)
@given(rows)
def test_the_rows_of_a_batch_are_the_same_with_and_without_waiting_for_the_device(index: list[int]) -> None:
    batch, table = torch.tensor(index, dtype=torch.int32), torch.randn(20, 3)
    expected, counts = np.unique(index, return_counts=True)
    compact, padded = (make(batch, 20) for make in (TouchedRows.compact, TouchedRows.padded))
    assert compact.rows.tolist() == expected.tolist()
    assert compact.counts.tolist() == counts.tolist()
    assert int(compact.number) == int(padded.number) == len(expected)
    assert padded.kept is not None
    assert padded.rows[padded.kept].tolist() == expected.tolist()
    torch.testing.assert_close(padded.take(table)[padded.kept], compact.take(table))
    assert not padded.take(table)[~padded.kept].any()


@settings(deadline=None)
@given(rows, st.integers(1, 4), st.booleans())
def test_every_way_of_counting_distinct_rows_gives_the_same(index: list[int], batches: int, large: bool) -> None:
    batch = torch.tensor(index * 30 if large else index, dtype=torch.int32).repeat(batches, 1)
    batch += torch.arange(batches, dtype=torch.int32).unsqueeze(1)
    expected = [len(set(each.tolist())) for each in batch]
    assert rows_touched(batch, 30).tolist() == expected
    assert count_by_mask(batch, 30).tolist() == expected


def test_deciles_have_equal_numbers_of_rated_rows_rarest_first() -> None:
    counts = torch.tensor([0, *range(20, 0, -1)])
    deciles = popularity_deciles(counts)
    assert deciles[1:].tolist() == [9 - rank // 2 for rank in range(20)]
