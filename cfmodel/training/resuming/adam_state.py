"""What Adam remembers at the end of training: its moments, without which no one can say what it would do next."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from cfmodel.errors import DigestError
from cfmodel.system import atomic
from cfmodel.training.engines.base import AdamState

_NUMBERS = ("epoch", "step", "learning_rate", "batch_size", "blocks", "regularization")
_FIRST, _SECOND = "first_moment.", "second_moment."


@dataclass(frozen=True, eq=False)
class SavedAdamState:
    """Adam's state beside the weights it belongs to.

    Attributes:
        epoch: Epoch after which it was taken, from 1.
        step: Updates done by then.
        learning_rate: Step size of the last of them, in weight units a step.
        batch_size: Ratings in a step.
        blocks: Blocks that users and movies were each divided into.
        regularization: Weight of the penalty.
        first_moments: Running mean of each table's gradient, by table, shaped as the table.
        second_moments: Running mean of its square, likewise.
    """

    epoch: int
    step: int
    learning_rate: float
    batch_size: int
    blocks: int
    regularization: float
    first_moments: dict[str, Tensor]
    second_moments: dict[str, Tensor]

    @classmethod
    def of(
        cls,
        state: AdamState,
        *,
        epoch: int,
        learning_rate: float,
        batch_size: int,
        blocks: int,
        regularization: float,
    ) -> Self:
        """Copy the state of an engine's Adam."""
        return cls(
            epoch=epoch,
            step=state.step,
            learning_rate=learning_rate,
            batch_size=batch_size,
            blocks=blocks,
            regularization=regularization,
            first_moments=copied(state.first_moments),
            second_moments=copied(state.second_moments),
        )

    def save(self, path: Path) -> None:
        """Write the state as safetensors; the file appears whole or not at all.

        Raises:
            DiskFullError: There is no room for it.
        """
        sides = ((_FIRST, self.first_moments), (_SECOND, self.second_moments))
        tensors = {f"{side}{name}": table.cpu() for side, tables in sides for name, table in tables.items()}
        numbers = {name: json.dumps(getattr(self, name)) for name in _NUMBERS}
        with atomic.file(path) as temporary:
            temporary.write_bytes(safetensors.torch.save(tensors, metadata=numbers))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a saved state.

        Raises:
            DigestError: The file is missing or damaged.
        """
        try:
            with safetensors.safe_open(path, framework="pt") as file:
                numbers, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            first, second = (
                {name.removeprefix(side): table for name, table in tensors.items() if name.startswith(side)}
                for side in (_FIRST, _SECOND)
            )
            numbers = {name: json.loads(numbers[name]) for name in _NUMBERS}
            return cls(**numbers, first_moments=first, second_moments=second)
        except (OSError, safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DigestError(
                f"{path}: what Adam remembers of this training cannot be read ({reason}); train again to have it"
            ) from None


def copied(tables: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tables with memory of their own, each row right behind the one before."""
    return {name: table.clone(memory_format=torch.contiguous_format) for name, table in tables.items()}


def adam_state_path(model_folder: Path) -> Path:
    """Return where the memory of a saved recommender's training is kept: beside its folder."""
    return model_folder.with_name(f"{model_folder.name}-adam.safetensors")
