"""What trainings are compared by: what they learned, to the bit, and what they told."""

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

#: Where a process of its own finds what the tests of this folder import.
PATHS = os.pathsep.join(str(Path(__file__).parents[up]) for up in (2, 0))


def digest_of_tables(*tables: Mapping[str, Tensor], said: object) -> str:
    """Return the SHA-256 of tables, each group in the order of their names, and of what else is said of a training."""
    digest = hashlib.sha256(repr(said).encode())
    for group in tables:
        for name in sorted(group):
            digest.update(group[name].detach().contiguous().numpy().tobytes())
    return digest.hexdigest()


def without_the_clock(records: list[Any]) -> list[Any]:
    """Return records as plain values, progress and whatever a clock says left out."""
    kept = []
    for record in records:
        if isinstance(record, EpochRecord):
            record = replace(record, seconds=0, ratings_per_second=0)
        if isinstance(record, MonitorCost):
            record = replace(record, seconds=0, training_seconds=0, overhead_fraction=0)
        if not isinstance(record, StepProgress):
            kept.append((type(record).__name__, to_plain(record)))
    return kept
