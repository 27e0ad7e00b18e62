"""Checkpoints on disk: written atomically, verified by digest, without pickle; the newest few are kept.

A checkpoint is a tree: mappings with text keys, whose leaves are tensors, numbers, texts and lists. It is one
safetensors file with the tensors by their path in the tree, and in its header the version of the format and
everything else as JSON. It is written under a temporary name, synced to disk and renamed. The name ends in the
SHA-256 of the file's bytes, which shows whether it is damaged:

    00000042-<sha256>.safetensors
"""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from cfmodel.errors import CheckpointError, DiskFullError
from cfmodel.system import atomic
from cfmodel.system.digests import sha256_of_file

#: Version of the format; other versions are refused. Since version 2 a state may be within an epoch,
#: since version 3 ratings are standardized.
FORMAT_VERSION = 3
#: Checkpoints to keep, in case the newest is damaged.
_KEEP = 3

_SUFFIX, _TEMPORARY = ".safetensors", ".tmp-"
_log = logging.getLogger(__name__)

#: The tree of a checkpoint.
State = Mapping[str, Any]


class CheckpointFolder:
    """The checkpoints of one run; only one process at a time may write them.

    Args:
        folder: The folder, created for the first checkpoint.
        keep: Number of checkpoints to keep.
    """

    def __init__(self, folder: Path, *, keep: int = _KEEP) -> None:
        self.folder, self._keep = folder, keep

    def write(self, state: State) -> Path:
        """Write a checkpoint, and delete the oldest ones beyond `keep`.

        Numbers are read back bit for bit, tensors on the CPU.

        Returns:
            The file, synced to disk.

        Raises:
            DiskFullError: The disk is full; earlier checkpoints are unchanged.
            CheckpointError: It cannot be written for another reason; earlier checkpoints are unchanged.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            return self._write(state)
        except (OSError, safetensors.SafetensorError) as error:
            refusal = DiskFullError if atomic.says_full(error) else CheckpointError
            raise refusal(
                f"{self.folder}: a checkpoint could not be written ({_first_line(error)}); earlier checkpoints are "
                "unchanged. Free disk space, or make the folder writable, and resume with `cfmodel run --resume RUN`"
            ) from error
        finally:
            self._sweep()

    def newest(self) -> dict[str, Any] | None:
        """Return the newest good checkpoint; None if there is none. Damaged ones are skipped with a warning.

        Raises:
            CheckpointError: The newest good one has another format.
        """
        return next((state for path in reversed(self._files()) if (state := _read(path)) is not None), None)

    def _write(self, state: State) -> Path:
        number = max((_number(path) for path in self._files()), default=0) + 1
        temporary = self.folder / f"{_TEMPORARY}{number}"
        tensors: dict[str, Tensor] = {}
        header = {"format_version": str(FORMAT_VERSION), "state": json.dumps(_without_tensors(state, tensors))}
        safetensors.torch.save_file(tensors, temporary, metadata=header)
        atomic.fsync(temporary)
        final = self.folder / f"{number:08d}-{sha256_of_file(temporary)}{_SUFFIX}"
        temporary.rename(final)
        atomic.fsync(self.folder)
        for path in self._files()[: -self._keep]:
            path.unlink()
        return final

    def _files(self) -> list[Path]:
        """Return the checkpoints, oldest first."""
        return sorted(self.folder.glob(f"*-*{_SUFFIX}"), key=_number)

    def _sweep(self) -> None:
        """Delete the files of interrupted writes."""
        for leftover in self.folder.glob(f"{_TEMPORARY}*"):
            leftover.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any] | None:
    """Return a checkpoint; None, with a warning, if it is damaged."""
    try:
        if sha256_of_file(path) != path.stem.partition("-")[2]:
            raise ValueError("its digest differs from the one in its name")
        with safetensors.safe_open(path, framework="pt") as file:
            header = file.metadata()
            _require_known(path, int(header["format_version"]))
            state: dict[str, Any] = json.loads(header["state"])
            for name in file.keys():  # noqa: SIM118 - a file, not a mapping
                _put(state, name, file.get_tensor(name))
            return state
    except (OSError, safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        _log.warning("skipping the damaged checkpoint %s: %s", path, _first_line(error))
        return None


def _require_known(path: Path, version: int) -> None:
    if version != FORMAT_VERSION:
        age = "a newer" if version > FORMAT_VERSION else "an older"
        raise CheckpointError(
            f"{path}: {age} cfmodel wrote this checkpoint (format {version}, this one reads {FORMAT_VERSION}); "
            "resume with the version that wrote it, or start a new run"
        )


def _without_tensors(state: State, tensors: dict[str, Tensor], path: str = "") -> dict[str, Any]:
    """Return a tree without its tensors, which are added to `tensors` by their paths."""
    rest: dict[str, Any] = {}
    for name, value in state.items():
        if isinstance(value, Tensor):
            table = value.detach().cpu().contiguous()
            # The format does not allow two views of the same memory.
            tensors[f"{path}{name}"] = table.clone() if _memory(table) in map(_memory, tensors.values()) else table
        else:
            rest[name] = _without_tensors(value, tensors, f"{path}{name}/") if isinstance(value, Mapping) else value
    return rest


def _memory(tensor: Tensor) -> int:
    """Return the address of a tensor's memory; 0 if it is empty."""
    return tensor.untyped_storage().data_ptr()


def _put(state: dict[str, Any], path: str, tensor: Tensor) -> None:
    *branches, leaf = path.split("/")
    for branch in branches:
        state = state[branch]
    state[leaf] = tensor


def _number(path: Path) -> int:
    number = path.name.partition("-")[0]
    return int(number) if number.isdecimal() else 0


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
