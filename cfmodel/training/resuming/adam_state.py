"""Adam's state at the end of training, as a file beside the model."""

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
from cfmodel.training.engines.protocol import AdamState
from cfmodel.training.planning.prior import Penalty

_NUMBERS = ("epoch", "step", "learning_rate", "batch_size", "blocks", "regularization")
_PULLS = ("user_bias_pull", "movie_bias_pull")
_FIRST, _SECOND = "first_moment.", "second_moment."


@dataclass(frozen=True, eq=False)
class SavedAdamState:
    """Adam's state after an epoch.

    Attributes:
        epoch: Number of the epoch, from 1.
        step: Updates done by then.
        learning_rate: Step size of the last update, in weight units a step.
        batch_size: Ratings in a step.
        blocks: Blocks of users and of movies, see `Batches`.
        regularization: Strength of the penalty on embeddings.
        user_bias_pull: Pull of the users' biases to zero, in ratings; None: written up to version 0.2.0.
        movie_bias_pull: Likewise of the movies'.
        first_moments: Running mean of each table's gradient, by table, in the table's shape.
        second_moments: Running mean of the squared gradient, likewise.
    """

    epoch: int
    step: int
    learning_rate: float
    batch_size: int
    blocks: int
    regularization: float
    user_bias_pull: float | None
    movie_bias_pull: float | None
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
        penalty: Penalty,
    ) -> Self:
        """Copy the state of an engine's Adam."""
        return cls(
            epoch=epoch,
            step=state.step,
            learning_rate=learning_rate,
            batch_size=batch_size,
            blocks=blocks,
            regularization=penalty.embedding,
            user_bias_pull=penalty.bias["user"],
            movie_bias_pull=penalty.bias["movie"],
            first_moments=clone_tables(state.first_moments),
            second_moments=clone_tables(state.second_moments),
        )

    @property
    def penalty(self) -> Penalty:
        """Strengths of the penalty."""
        if self.user_bias_pull is None or self.movie_bias_pull is None:
            return Penalty(self.regularization, {}, is_constant=True)
        return Penalty(self.regularization, {"user": self.user_bias_pull, "movie": self.movie_bias_pull})

    def save(self, path: Path) -> None:
        """Write the state as safetensors, atomically.

        Raises:
            DiskFullError: The disk is full.
        """
        moments = ((_FIRST, self.first_moments), (_SECOND, self.second_moments))
        tensors = {f"{prefix}{name}": table.cpu() for prefix, tables in moments for name, table in tables.items()}
        numbers = {name: json.dumps(getattr(self, name)) for name in (*_NUMBERS, *_PULLS)}
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
                {name.removeprefix(prefix): table for name, table in tensors.items() if name.startswith(prefix)}
                for prefix in (_FIRST, _SECOND)
            )
            pulls = {name: json.loads(numbers.get(name, "null")) for name in _PULLS}
            numbers = {name: json.loads(numbers[name]) for name in _NUMBERS}
            return cls(**numbers, **pulls, first_moments=first, second_moments=second)
        except (OSError, safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DigestError(
                f"{path}: Adam's state of this training cannot be read ({reason}); train again to get it"
            ) from None


def clone_tables(tables: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return contiguous copies of tables."""
    return {name: table.clone(memory_format=torch.contiguous_format) for name, table in tables.items()}


def adam_state_path(model_folder: Path) -> Path:
    """Return the path of Adam's state for a saved recommender: beside its folder."""
    return model_folder.with_name(f"{model_folder.name}-adam.safetensors")
