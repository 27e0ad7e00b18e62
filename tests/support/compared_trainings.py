"""Comparison of two trainings: their weights and Adam's state bit for bit, and their records."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from cfmodel.gradients.recording.gradient_records import MonitorCost
from cfmodel.gradients.recording.plain_json import to_plain
from cfmodel.training.epoch_records import EpochRecord, StepProgress

#: PYTHONPATH of a process that imports test modules: the checkout and tests/support.
PATHS = os.pathsep.join(str(Path(__file__).parents[up]) for up in (2, 0))


def digest_of_tables(*tables: Mapping[str, Tensor], facts: object) -> str:
    """Return the SHA-256 of groups of tables, each in the order of names, and of other facts about a training."""
    digest = hashlib.sha256(repr(facts).encode())
    for group in tables:
        for name in sorted(group):
            digest.update(group[name].detach().contiguous().numpy().tobytes())
    return digest.hexdigest()


def without_the_clock(records: list[Any]) -> list[Any]:
    """Return records as plain values, without progress and without durations."""
    plain = []
    for record in records:
        if isinstance(record, EpochRecord):
            record = replace(record, seconds=0, ratings_per_second=0)
        if isinstance(record, MonitorCost):
            record = replace(record, seconds=0, training_seconds=0, overhead_fraction=0)
        if not isinstance(record, StepProgress):
            plain.append((type(record).__name__, to_plain(record)))
    return plain
