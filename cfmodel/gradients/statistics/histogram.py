"""Histograms of tensors: counts of their values by the buckets of `recording.buckets`."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from cfmodel.gradients.recording.buckets import BUCKETS, MAGNITUDE, MANTISSA_BITS, NOT_FINITE, TINY
from cfmodel.system.compiled import compiled

_INFINITY = 0x7F80_0000


class BucketCounts(NamedTuple):
    """Counts on the device, int64: by bucket, shape (512,), of exact zeros and of infinities, scalars."""

    counts: Tensor
    zeros: Tensor
    infinities: Tensor


def bucket_counts(values: Tensor, *, kept: Tensor | None = None) -> BucketCounts:
    """Count float32 values by bucket, without a wait for the device.

    Args:
        values: Values of any shape, float32.
        kept: Whether to count each entry of the first dimension, bool; None counts all.
    """
    values = values.detach().contiguous()
    if values.device.type == "cpu":
        return _count_on_host(values if kept is None else values[kept])
    if kept is None:
        kept = torch.ones(len(values), dtype=torch.bool, device=values.device)
    return _count_on_device(values, kept.view(-1, *[1] * (values.dim() - 1)))


def _count_on_host(values: Tensor) -> BucketCounts:
    counts, special = np.zeros(BUCKETS, np.int64), np.zeros(2, np.int64)
    bits = values.numpy().view(np.uint32).ravel()
    count_bits(bits, 1, len(bits), 1, counts, special)
    zeros, infinities = torch.from_numpy(special)
    return BucketCounts(torch.from_numpy(counts), zeros, infinities)


def _count_on_device(values: Tensor, kept: Tensor) -> BucketCounts:
    """Count in fixed shapes, since `bincount` and selection by a mask wait for a GPU."""
    bits = values.view(torch.int32)
    magnitude = bits & MAGNITUDE
    buckets = torch.where(kept, (bits >> MANTISSA_BITS) & (BUCKETS - 1), BUCKETS).view(-1)
    ones = torch.ones((), dtype=torch.int64, device=values.device).expand(len(buckets))
    counts = torch.zeros(BUCKETS + 1, dtype=torch.int64, device=values.device).index_add_(0, buckets, ones)
    zeros, infinities = ((kept & (magnitude == special)).sum() for special in (0, _INFINITY))
    return BucketCounts(counts[:BUCKETS], zeros, infinities)


@compiled()
def count_bits(bits: Any, stride: int, rows: int, dim: int, counts: Any, special: Any) -> None:
    """Count float32 values on the CPU: by bucket, and exact zeros and infinities.

    Args:
        bits: The values' bits, flat, uint32.
        stride: Distance between the starts of two rows, in values.
        rows: Number of rows.
        dim: Values to count in each row.
        counts: Added to, int64, shape (512,).
        special: Zeros and infinities, added to, int64, shape (2,).
    """
    # Neighbours often share a bucket, and each addition to it would wait for the one before: use four arrays in turn.
    parts = np.zeros((4, len(counts)), np.int64)
    for at in range(rows):
        row = bits[at * stride : at * stride + dim]
        for k in range(dim):
            parts[k % 4, row[k] >> np.uint32(MANTISSA_BITS)] += 1
    counts += parts.sum(axis=0)
    if counts[TINY[0]] + counts[TINY[1]] + counts[NOT_FINITE[0]] + counts[NOT_FINITE[1]]:
        for at in range(rows):
            row = bits[at * stride : at * stride + dim]
            for k in range(dim):
                size = row[k] & np.uint32(MAGNITUDE)
                special[0] += size == 0
                special[1] += size == _INFINITY
