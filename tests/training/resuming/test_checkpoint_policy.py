"""The policy for checkpoints."""

import math
from pathlib import Path

import pytest
import torch

from cfmodel.errors import CheckpointError
from cfmodel.training.epoch_records import EpochRecord
from cfmodel.training.resuming.checkpoint_policy import CheckpointPolicy
from cfmodel.training.resuming.checkpoints import CheckpointFolder

RECORD = EpochRecord("fit", 1, 2, 3, 0.5, 0.5, None, True, 1e-3, {"user_biases": 0.1}, 1.0, 0.0, 1.0, 1.0)


def policy(folder: Path | None, *, every_seconds: float = 0.0, **identity: str) -> CheckpointPolicy:
    checkpoints = CheckpointFolder(folder) if folder else None
    return CheckpointPolicy(checkpoints, identity=identity, every_seconds=every_seconds, most_share=math.inf)


def test_without_a_folder_the_last_state_is_in_memory_alone() -> None:
    checkpoints = policy(None)
    checkpoints.begin(None)
    checkpoints.save({"table": torch.ones(2)})
    assert not checkpoints.is_on_disk
    assert not checkpoints.is_due
    assert checkpoints.last is not None
    assert checkpoints.where == ""


def test_a_resumed_policy_has_the_last_state_the_result_carried_and_the_records_again(tmp_path: Path) -> None:
    first, second, received = policy(tmp_path, data="a"), policy(tmp_path, data="a"), []
    first.begin(None)
    first.records(RECORD)
    first.carry({"best_epoch": 3})
    first.save({"epoch": 5})
    second.begin(received.append)
    assert second.last == {"epoch": 5, "carried": {"best_epoch": 3}}
    assert second.carried == {"best_epoch": 3}
    assert received == [RECORD]


def test_a_state_is_written_only_when_due_or_at_once(tmp_path: Path) -> None:
    checkpoints = policy(tmp_path, every_seconds=3600)
    checkpoints.begin(None)
    checkpoints.save({"epoch": 1})
    assert not list(tmp_path.iterdir())
    checkpoints.save({"epoch": 2}, at_once=True)
    checkpoints.write()  # is on disk already
    assert len(list(tmp_path.iterdir())) == 1


def test_checkpoints_of_another_training_are_refused_by_name(tmp_path: Path) -> None:
    first = policy(tmp_path, data="a", code="1")
    first.begin(None)
    first.save({})
    with pytest.raises(CheckpointError, match="differs in data, code; resume with the same data and code, or start a"):
        policy(tmp_path, data="b", code="2").begin(None)
