"""Checkpoints on disk: whole or absent, checked by digest, free of pickle, the last few kept.

A checkpoint is a tree: mappings with text for keys, and for leaves tensors, numbers, texts and lists. It
is one safetensors file: the tensors by their path in the tree, and in its header the version of the
format and everything else as JSON. It is written under a temporary name, synced and renamed, and its name
ends in the SHA-256 of its bytes:

    00000042-<sha256>.safetensors

so that name and content appear together, and a file that was cut off or changed is known as such.
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

#: Of the files written here; those of another version are refused. 2: of states within an epoch, too.
FORMAT_VERSION = 2
#: Checkpoints that stay: should the newest be damaged, there are others.
KEPT = 3

_SUFFIX, _TEMPORARY = ".safetensors", ".tmp-"
_log = logging.getLogger(__name__)


#: What is kept: see above.
State = Mapping[str, Any]


class CheckpointFolder:
    """The checkpoints of one run, which one process at a time writes.

    Args:
        folder: Made when the first checkpoint is written.
        kept: Newest checkpoints that stay.
    """

    def __init__(self, folder: Path, *, kept: int = KEPT) -> None:
        self.folder, self._kept = folder, kept

    def write(self, state: State) -> Path:
        """Write a checkpoint, newer than all before it, and remove those that are too many.

        Numbers come back to the last bit, tensors on the CPU.

        Returns:
            The file, on the disk and not only on its way there.

        Raises:
            DiskFullError: There is no room for it; earlier checkpoints stay as they are.
            CheckpointError: The disk does not take it for another reason; they stay, too.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            return self._write(state)
        except (OSError, safetensors.SafetensorError) as error:
            refusal = DiskFullError if atomic.says_full(error) else CheckpointError
            raise refusal(
                f"{self.folder}: a checkpoint could not be written ({_first_line(error)}); the ones before it are "
                "untouched. Make room, or check that the folder can be written, and go on with "
                "`cfmodel run --resume RUN`"
            ) from error
        finally:
            self._sweep()

    def newest(self) -> dict[str, Any] | None:
        """Return the newest good checkpoint; None where there is none.

        One that is damaged is passed over with a warning.

        Raises:
            CheckpointError: The newest good one is of another format.
        """
        for path in reversed(self._files()):
            if (found := _read(path)) is not None:
                return found
        return None

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
        for path in self._files()[: -self._kept]:
            path.unlink()
        return final

    def _files(self) -> list[Path]:
        """Return the checkpoints, oldest first."""
        return sorted(self.folder.glob(f"*-*{_SUFFIX}"), key=_number)

    def _sweep(self) -> None:
        """Remove what a write left that was cut off."""
        for leftover in self.folder.glob(f"{_TEMPORARY}*"):
            leftover.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any] | None:
    """Read a checkpoint; None, and a warning, where it is damaged."""
    try:
        if sha256_of_file(path) != path.stem.partition("-")[2]:
            raise ValueError("its bytes are not those its name was given for")
        with safetensors.safe_open(path, framework="pt") as file:
            header = file.metadata()
            _require_known(path, int(header["format_version"]))
            state: dict[str, Any] = json.loads(header["state"])
            for name in file.keys():  # noqa: SIM118 - a file, not a mapping
                _put(state, name, file.get_tensor(name))
            return state
    except (OSError, safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        _log.warning("%s is damaged and passed over: %s", path, _first_line(error))
        return None


def _require_known(path: Path, version: int) -> None:
    if version != FORMAT_VERSION:
        age = "a newer" if version > FORMAT_VERSION else "an older"
        raise CheckpointError(
            f"{path}: {age} cfmodel wrote this checkpoint (format {version}, this one knows {FORMAT_VERSION}); "
            "go on with the version that wrote it, or start a new run"
        )


def _without_tensors(state: State, tensors: dict[str, Tensor], path: str = "") -> dict[str, Any]:
    """Return a tree less its tensors, which are added to `tensors` by their paths."""
    rest: dict[str, Any] = {}
    for name, value in state.items():
        if isinstance(value, Tensor):
            table = value.detach().cpu().contiguous()
            # The format has no place for two views of one memory.
            tensors[f"{path}{name}"] = table.clone() if _memory(table) in map(_memory, tensors.values()) else table
        else:
            rest[name] = _without_tensors(value, tensors, f"{path}{name}/") if isinstance(value, Mapping) else value
    return rest


def _memory(tensor: Tensor) -> int:
    """Return where a tensor's memory begins; 0 where it has none."""
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
