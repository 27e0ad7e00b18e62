"""Checkpoints on disk: atomic, verified, and the newest good one is found after a kill or damage."""

import logging
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from cfmodel.errors import CheckpointError
from cfmodel.system.digests import sha256_of_file
from cfmodel.training.resuming.checkpoints import FORMAT_VERSION, CheckpointFolder

WRITER = """
import itertools, sys
from pathlib import Path
import torch
from cfmodel.training.resuming.checkpoints import CheckpointFolder
folder = CheckpointFolder(Path(sys.argv[1]))
for number in itertools.count():
    folder.write({"number": number, "table": torch.full((300_000,), float(number))})
    print(number, flush=True)
"""


def checkpoint(number: int) -> dict[str, Any]:
    return {"number": number, "table": torch.full((4, 3), float(number))}


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


def number_of(found: dict[str, Any] | None) -> int:
    assert found is not None
    number: int = found["number"]
    assert torch.equal(found["table"], torch.full_like(found["table"], float(number)))
    return number


def damaged_by_a_flipped_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-2] ^= 0b100  # in the tensors, where safetensors itself sees nothing
    path.write_bytes(content)


def damaged_by_a_cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def damaged_by_emptying(path: Path) -> None:
    path.write_bytes(b"")


def test_an_empty_or_absent_folder_has_no_checkpoint(tmp_path: Path) -> None:
    assert CheckpointFolder(tmp_path).newest() is None
    assert CheckpointFolder(tmp_path / "absent").newest() is None
    assert not (tmp_path / "absent").exists()


def test_a_checkpoint_is_read_back_bit_for_bit(tmp_path: Path) -> None:
    tensors = {
        "float": torch.tensor([0.1, -0.0, math.nan, math.inf, 1e-45]),
        "double": torch.tensor([[0.1], [1e-320]], dtype=torch.float64),
        "long": torch.tensor([2**62, -1]),
        "bool": torch.tensor([True, False]),
        "part": torch.arange(12.0).view(3, 4)[:, 1:3],
        "scalar": torch.tensor(7.5),
        "empty": torch.empty(0, 5),
    }
    state = {"loss": 0.1 + 0.2, "name": "ä", "steps": [1, 2], "best": None, "worst": math.inf, "nested": {"flag": True}}
    CheckpointFolder(tmp_path).write({**state, "some": {"of them": tensors}, "none": {}})
    found = CheckpointFolder(tmp_path).newest()
    assert found is not None
    read = found["some"].pop("of them")
    assert found == {**state, "some": {}, "none": {}}
    assert set(read) == set(tensors)
    for name, tensor in tensors.items():
        assert (read[name].dtype, read[name].shape) == (tensor.dtype, tensor.shape)
        assert read[name].numpy().tobytes() == tensor.contiguous().numpy().tobytes()


def test_only_the_newest_few_are_kept(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, keep=3)
    for number in range(12):
        folder.write(checkpoint(number))
    assert len(files(tmp_path)) == 3
    assert number_of(folder.newest()) == 11


def test_the_name_of_a_checkpoint_ends_in_its_digest(tmp_path: Path) -> None:
    path = CheckpointFolder(tmp_path).write(checkpoint(1))
    assert path.stem.partition("-")[2] == sha256_of_file(path)


@pytest.mark.parametrize("damage", [damaged_by_a_flipped_bit, damaged_by_a_cut, damaged_by_emptying])
def test_a_damaged_checkpoint_is_skipped_with_a_warning(
    damage: object, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert callable(damage)
    folder = CheckpointFolder(tmp_path)
    for number in range(3):
        folder.write(checkpoint(number))
    newest = files(tmp_path)[-1]
    damage(newest)
    with caplog.at_level(logging.WARNING):
        assert number_of(folder.newest()) == 1
    (warning,) = caplog.records
    assert f"skipping the damaged checkpoint {newest}: " in warning.getMessage()
    # The next checkpoint is the newest, whether others are damaged or not.
    folder.write(checkpoint(9))
    assert number_of(folder.newest()) == 9


def test_if_all_are_damaged_there_is_none(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    for number in range(3):
        folder.write(checkpoint(number))
    for path in files(tmp_path):
        damaged_by_a_cut(path)
    assert folder.newest() is None


@pytest.mark.parametrize(("version", "age"), [(FORMAT_VERSION + 1, "a newer"), (FORMAT_VERSION - 1, "an older")])
def test_a_checkpoint_of_another_format_is_refused_and_not_skipped(version: int, age: str, tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    folder.write(checkpoint(1))
    other = tmp_path / "other"
    safetensors.torch.save_file({}, other, metadata={"format_version": str(version), "state": "{}"})
    other.rename(tmp_path / f"00000002-{sha256_of_file(other)}.safetensors")
    message = rf"{age} cfmodel wrote this checkpoint \(format {version}, this one reads {FORMAT_VERSION}\)"
    with pytest.raises(CheckpointError, match=message):
        folder.newest()


def test_views_of_the_same_memory_are_written_separately(tmp_path: Path) -> None:
    table = torch.arange(12.0).view(1, 12)
    CheckpointFolder(tmp_path).write({"row": table[:, :11], "bias": table[:, 11:], "again": table})
    found = CheckpointFolder(tmp_path).newest()
    assert found is not None
    for name, expected in (("row", table[:, :11]), ("bias", table[:, 11:]), ("again", table)):
        assert torch.equal(found[name], expected)


def test_a_file_with_the_right_digest_and_wrong_content_is_skipped(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    folder.write(checkpoint(1))
    stray = tmp_path / "stray"
    stray.write_bytes(b"cos\nsystem\n(S'touch /tmp/ran'\ntR.")  # a pickle, which must not run
    stray.rename(tmp_path / f"00000002-{sha256_of_file(stray)}.safetensors")
    assert number_of(folder.newest()) == 1


def test_a_checkpoint_that_cannot_be_written_leaves_the_earlier_ones(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path / "run")
    folder.write(checkpoint(1))
    before = files(tmp_path / "run")
    code = (
        "import resource, signal, sys, torch\n"
        "from pathlib import Path\n"
        "from cfmodel.errors import DiskFullError\n"
        "from cfmodel.training.resuming.checkpoints import CheckpointFolder\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try:\n"
        "    CheckpointFolder(Path(sys.argv[1])).write({'table': torch.zeros(100_000)})\n"
        "except DiskFullError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "run")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "could not be written" in done.stdout
    assert "Free disk space" in done.stdout
    assert list((tmp_path / "run").iterdir()) == before
    assert number_of(folder.newest()) == 1


def test_a_process_killed_while_writing_leaves_a_good_checkpoint(tmp_path: Path) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    last = 0
    for kill in range(3):
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(3):
                last = int(process.stdout.readline())
            time.sleep(0.003 * kill)
            process.send_signal(signal.SIGKILL)
            last = max([last, *(int(line) for line in process.stdout.read().split("\n")[:-1])])
        assert number_of(CheckpointFolder(tmp_path).newest()) in (last, last + 1)
    CheckpointFolder(tmp_path).write(checkpoint(1))
    assert not list(tmp_path.glob(".tmp-*"))
