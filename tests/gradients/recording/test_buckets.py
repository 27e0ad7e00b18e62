"""Histogram buckets: their edges, and quantiles from their counts."""

import numpy as np
import pytest
import torch

from cfmodel.gradients.recording.buckets import bucket_edges, bucket_lower_bounds, magnitude_quantiles
from cfmodel.gradients.statistics.histogram import bucket_counts


def test_a_bucket_starts_at_its_power_of_two() -> None:
    bounds = bucket_lower_bounds()
    for value in (1.0, 0.75, 3.0, 1e-6, -2.5, -1e30):
        bucket = int(bucket_counts(torch.tensor([value])).counts.argmax())
        assert bounds[bucket] <= abs(np.float32(value)) < 2 * bounds[bucket]
        assert (bucket >= 256) == (value < 0)


def test_quantiles_from_buckets_are_off_by_a_factor_of_two_at_most() -> None:
    values = np.random.default_rng(0).standard_normal(10_000).astype(np.float32)
    shares = (0.05, 0.5, 0.95)
    found = magnitude_quantiles(bucket_counts(torch.from_numpy(values)).counts.numpy(), shares)
    ratio = found / np.quantile(np.abs(values), shares)
    assert np.all((ratio > 0.5) & (ratio < 2))


@pytest.mark.parametrize("values", [[float("nan")], [float("inf")]])
def test_quantiles_of_nothing_finite_are_nan(values: list[float]) -> None:
    counts = bucket_counts(torch.tensor(values)).counts.numpy()
    assert np.isnan(magnitude_quantiles(counts, [0.5])).all()


def test_quantiles_of_zeros_are_zero() -> None:
    counts = bucket_counts(torch.zeros(5)).counts.numpy()
    assert magnitude_quantiles(counts, [0.0, 0.5, 1.0]).tolist() == [0.0, 0.0, 0.0]


def test_the_edges_of_a_bucket_hold_its_values() -> None:
    values = np.array([1.0, 1.999, -1.0, 0.3, -1e-20, 3e38, -3e38, 1e-40], np.float32)
    buckets = values.view(np.uint32) >> 23
    low, high = bucket_edges()[buckets].T
    assert ((low <= values) & (values <= high)).all()
    assert bucket_edges()[127].tolist() == [1.0, 2.0]
    assert bucket_edges()[127 + 256].tolist() == [-2.0, -1.0]
    assert np.isnan(bucket_edges()[[255, 511]]).all()
