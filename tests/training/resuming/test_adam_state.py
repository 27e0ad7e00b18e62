"""Adam's state as a file."""

import json
from pathlib import Path

import pytest
import safetensors.torch
import torch

from cfmodel.errors import DigestError
from cfmodel.training.engines.protocol import AdamState
from cfmodel.training.planning.prior import Penalty
from cfmodel.training.resuming.adam_state import SavedAdamState, adam_state_path


def test_a_state_is_read_back_bit_for_bit(tmp_path: Path) -> None:
    first, second = {"movie_biases": torch.randn(3, 1)}, {"movie_biases": torch.rand(3, 1)}
    penalty = Penalty(0.85, {"user": 0.1 + 0.2, "movie": 3.5})
    state = SavedAdamState.of(
        AdamState(7, first, second), epoch=2, learning_rate=0.1 + 0.2, batch_size=32, blocks=4, penalty=penalty
    )
    path = adam_state_path(tmp_path / "models" / "m")
    state.save(path)
    found = SavedAdamState.load(path)
    assert (found.step, found.learning_rate, found.blocks) == (7, 0.1 + 0.2, 4)
    assert torch.equal(found.first_moments["movie_biases"], first["movie_biases"])
    assert torch.equal(found.second_moments["movie_biases"], second["movie_biases"])
    assert found.penalty == penalty
    assert [each.name for each in path.parent.iterdir()] == ["m-adam.safetensors"]


def test_a_state_without_pulls_is_one_of_an_earlier_version_with_a_constant_penalty(tmp_path: Path) -> None:
    path, numbers = tmp_path / "m-adam.safetensors", {"epoch": 2, "step": 7, "learning_rate": 0.1, "batch_size": 32}
    kept = {name: json.dumps(value) for name, value in {**numbers, "blocks": 1, "regularization": 0.02}.items()}
    path.write_bytes(safetensors.torch.save({"first_moment.movie_biases": torch.zeros(3, 1)}, metadata=kept))
    assert SavedAdamState.load(path).penalty == Penalty(0.02, {}, is_constant=True)


def test_a_missing_state_is_refused_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(DigestError, match=r"Adam's state of this training cannot be read .*; train again to get it"):
        SavedAdamState.load(tmp_path / "absent.safetensors")
