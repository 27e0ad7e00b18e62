"""Counting values by bucket, against their raw bits."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cfmodel.gradients.recording.buckets import BUCKETS
from cfmodel.gradients.statistics.histogram import _count_on_device, bucket_counts

SPECIAL = [0.0, -0.0, 1e-45, -1e-40, 1.1754944e-38, float("inf"), float("-inf"), float("nan"), 1.0, -1.0, 3.4e38]


any_bits = st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=60)


def of_bits(bits: list[int]) -> Tensor:
    return torch.from_numpy(np.array(bits, dtype=np.uint32).view(np.float32).copy())


def plain(values: Tensor) -> tuple[np.ndarray, int, int]:
    bits = values.numpy().view(np.uint32).ravel()
    counts = np.zeros(BUCKETS, dtype=np.int64)
    for one in bits:
        counts[(int(one) >> 23) & 511] += 1
    return counts, int(sum(int(one) & 0x7FFFFFFF == 0 for one in bits)), int(np.isinf(values.numpy()).sum())


@settings(deadline=None)
@given(any_bits)
def test_counts_equal_the_sign_and_exponent_of_the_raw_bits(bits: list[int]) -> None:
    values = of_bits(bits)
    counts, zeros, infinities = plain(values)
    found = bucket_counts(values)
    np.testing.assert_array_equal(found.counts.numpy(), counts)
    assert (int(found.zeros), int(found.infinities)) == (zeros, infinities)


@settings(deadline=None)  # the first call of an operation loads it
@given(any_bits, st.data())
def test_counts_without_a_wait_for_the_device_are_the_same(bits: list[int], data: st.DataObject) -> None:
    values = of_bits(bits)
    kept = torch.tensor(data.draw(st.lists(st.booleans(), min_size=len(bits), max_size=len(bits))))
    host, device = bucket_counts(values, kept=kept), _count_on_device(values, kept)
    for one, other in zip(host, device, strict=True):
        torch.testing.assert_close(one, other)


@settings(deadline=None)
@given(any_bits, any_bits)
def test_counts_of_two_parts_add_up_to_those_of_the_whole(one: list[int], other: list[int]) -> None:
    parts = bucket_counts(of_bits(one)).counts + bucket_counts(of_bits(other)).counts
    torch.testing.assert_close(bucket_counts(of_bits([*one, *other])).counts, parts)


def test_zeros_denormals_infinities_and_nan_are_counted_separately() -> None:
    found = bucket_counts(torch.tensor(SPECIAL))
    assert (int(found.zeros), int(found.infinities)) == (2, 2)
    assert int(found.counts[[0, 256]].sum()) - 2 == 2
    assert int(found.counts[[255, 511]].sum()) - 2 == 1


def test_counting_does_not_change_the_values() -> None:
    values = torch.tensor(SPECIAL)
    bits = values.view(torch.int32).clone()
    bucket_counts(values)
    _count_on_device(values, torch.ones(len(values), dtype=torch.bool))
    assert torch.equal(values.view(torch.int32), bits)
