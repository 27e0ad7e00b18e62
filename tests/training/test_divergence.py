"""A training that diverges: what is said, what is restored, and the second try at a lower rate."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cfmodel.config import IngestSettings, MonitorSettings, SplitSettings, TrainSettings
from cfmodel.data.ingest import ingest
from cfmodel.data.split import split
from cfmodel.errors import DivergedError
from cfmodel.gradients.records import InitialRecord, StepBlock
from cfmodel.training.checkpoints import CheckpointFolder
from cfmodel.training.fit import RETRY_RATE, fit
from cfmodel.training.keeper import Keeper
from cfmodel.training.records import EpochRecord, StepProgress
from cfmodel.training.train import train

CPU = torch.device("cpu")
SIZES = {"num_users": 200, "num_movies": 100, "device": CPU, "monitor": MonitorSettings(sample_every=8)}
#: Diverges in its fifth epoch, and not at a tenth of the rate.
TOO_FAST = TrainSettings(
    batch_size=500, learning_rate=10.0, schedule="constant", max_grad_norm=1e30, init_std=4e8, regularization=0.0
)


def kept(folder: Path) -> dict[str, Any]:
    found = CheckpointFolder(folder).newest()
    assert found is not None
    training: dict[str, Any] = found["training"]
    return training
