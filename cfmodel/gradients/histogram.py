"""Counting a tensor's values by bucket; see `buckets` for what a bucket is."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from cfmodel.gradients.buckets import BUCKETS, MANTISSA_BITS, NOT_FINITE, TINY

_MAGNITUDE, _INFINITY = 0x7FFF_FFFF, 0x7F80_0000


class Histogram(NamedTuple):
    """Counts on the device: by bucket, shape (512,), and of exact zeros and infinities, scalars; int64."""

    counts: Tensor
    zeros: Tensor
    infinities: Tensor


def bucket_counts(values: Tensor, *, kept: Tensor | None = None) -> Histogram:
    """Count float32 values by bucket, without waiting for the device.

    Args:
        values: Values of any shape, float32.
        kept: Which of the values' first dimension to count, bool; None: all.
    """
    values = values.detach().contiguous()
    if values.device.type == "cpu":
        return _counted_on_host(values if kept is None else values[kept])
    if kept is None:
        kept = torch.ones(len(values), dtype=torch.bool, device=values.device)
    return _counted_on_device(values, kept.view(-1, *[1] * (values.dim() - 1)))


def _counted_on_host(values: Tensor) -> Histogram:
    """Count with NumPy, which needs fewer and cheaper calls for a few thousand values."""
    bits = values.numpy().view(np.uint32).ravel()
    counts = np.bincount(bits >> MANTISSA_BITS, minlength=BUCKETS)
    zeros = np.count_nonzero(bits << 1 == 0) if counts[TINY[0]] or counts[TINY[1]] else 0
    infinities = np.count_nonzero(bits << 1 == _INFINITY << 1) if counts[NOT_FINITE[0]] or counts[NOT_FINITE[1]] else 0
    return Histogram(torch.from_numpy(counts), torch.tensor(zeros), torch.tensor(infinities))


def _counted_on_device(values: Tensor, kept: Tensor) -> Histogram:
    """Count in fixed shapes: neither `bincount` nor a mask that selects, which wait for a GPU."""
    bits = values.view(torch.int32)
    magnitude = bits & _MAGNITUDE
    buckets = torch.where(kept, (bits >> MANTISSA_BITS) & (BUCKETS - 1), BUCKETS).view(-1)
    ones = torch.ones((), dtype=torch.int64, device=values.device).expand(len(buckets))
    counts = torch.zeros(BUCKETS + 1, dtype=torch.int64, device=values.device).index_add_(0, buckets, ones)
    zeros, infinities = ((kept & (magnitude == special)).sum() for special in (0, _INFINITY))
    return Histogram(counts[:BUCKETS], zeros, infinities)
