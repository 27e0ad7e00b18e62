"""The keyed permutation, equal batches and stable sorts."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cfmodel.training.batching.shuffle import batch_of_place, counting_sort, permutation, shuffle_keys, sort_cells


@settings(deadline=None)
@given(count=st.integers(1, 3000), seed=st.integers(0, 2**31))
def test_the_places_are_a_permutation_that_depends_on_the_keys(count: int, seed: int) -> None:
    places = permutation(count, shuffle_keys(np.random.SeedSequence(seed)))
    assert sorted(places.tolist()) == list(range(count))
    other = permutation(count, shuffle_keys(np.random.SeedSequence(seed + 1)))
    assert count < 30 or places.tolist() != other.tolist()


@given(count=st.integers(1, 5000), data=st.data())
def test_batches_have_equal_sizes_give_or_take_one(count: int, data: st.DataObject) -> None:
    batches = data.draw(st.integers(1, count))
    sizes = np.bincount(batch_of_place(np.arange(count, dtype=np.uint32), batches), minlength=batches)
    assert len(sizes) == batches
    assert sizes.max() - sizes.min() <= 1


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), max_size=200), st.integers(0, 200))
def test_both_sorts_are_numpys_stable_sort(keys: list[int], cut: int) -> None:
    array, cut = np.array(keys, np.int32), min(cut, len(keys))
    order, starts = np.empty(len(keys), np.int32), np.empty(11, np.int64)
    counting_sort(array, order, starts)
    assert order.tolist() == np.argsort(array, kind="stable").tolist()
    assert starts.tolist() == [sum(key < limit for key in keys) for limit in range(11)]
    cells = np.arange(len(keys), dtype=np.int32)
    sort_cells(cells, np.array([0, cut, len(keys)]), array, np.arange(10, dtype=np.int32), 10)
    parts = (np.argsort(array[:cut], kind="stable"), cut + np.argsort(array[cut:], kind="stable"))
    assert cells.tolist() == np.concatenate(parts).tolist()
