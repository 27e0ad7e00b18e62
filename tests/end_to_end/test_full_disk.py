"""A disk that fills up during a write: one clear error, earlier files complete, no partial file."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from cfmodel.training.resuming.checkpoints import CheckpointFolder

MEGABYTE = 2**20

INGEST = """
import sys
from pathlib import Path
from cfmodel.config import IngestSettings
from cfmodel.data.ingest.ingest import ingest
ingest(sys.argv[2], IngestSettings(), folder=Path(sys.argv[1]))
"""
SAVE = """
import sys
from pathlib import Path
import torch
from cfmodel.data.vocabulary import Vocabulary
from cfmodel.model import CollaborativeFiltering
from cfmodel.recommending.recommender import Recommender
users = int(sys.argv[2])
model = CollaborativeFiltering(users, 4, 64, generator=torch.Generator().manual_seed(1))
ids = [str(number) for number in range(users)]
Recommender(model, Vocabulary.of(ids), Vocabulary.of(["1", "2", "3", "4"]), 0.5, 5.0).save(Path(sys.argv[1]) / "model")
"""
CHECKPOINT = """
import sys
from pathlib import Path
import torch
from cfmodel.training.resuming.checkpoints import CheckpointFolder
table = torch.arange(int(sys.argv[2]), dtype=torch.float32)
CheckpointFolder(Path(sys.argv[1]) / "run").write({"table": table})
"""
RECORD = """
import sys
from pathlib import Path
from cfmodel import tracking
from cfmodel.config import TrackingSettings
from cfmodel.errors import TrackingError
disk = Path(sys.argv[1])
run = tracking.start_run(TrackingSettings(uri=sys.argv[2]), journals=disk / "spool")
tracking.log_files(run, {"first.txt": "first"})
try:
    tracking.log_files(run, {"second.bin": b"x" * int(sys.argv[3])})
except TrackingError as refusal:
    print(run.run_id, refusal, sep="|")
tracking.log_metrics(run, {"test/rmse": 0.9})
"""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of eight megabytes, where that is allowed."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount command: a small file system is needed here")
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)  # a store may still have its database open


def python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_ingest_keeps_the_earlier_data_and_leaves_no_half(disk: Path) -> None:
    assert python(INGEST, disk, "synthetic:users=50,movies=40,ratings=1000").returncode == 0
    before = files_of(disk / "ingested")
    (disk / "ballast").write_bytes(b"x" * 7 * MEGABYTE)
    refused = python(INGEST, disk, "synthetic:users=20000,movies=4000,ratings=1000000")
    assert refused.returncode != 0
    assert "DiskFullError" in refused.stderr.splitlines()[-1]
    assert "No space left on device; nothing of it is kept" in refused.stderr.splitlines()[-1]
    assert files_of(disk / "ingested") == before


def test_a_model_keeps_the_earlier_one_and_leaves_no_half(disk: Path) -> None:
    assert python(SAVE, disk, 1000).returncode == 0
    before = files_of(disk)
    refused = python(SAVE, disk, 60_000)
    assert refused.returncode != 0
    assert "No space left on device; nothing of it is kept" in refused.stderr.splitlines()[-1]
    assert files_of(disk) == before


def test_a_checkpoint_keeps_the_earlier_ones_and_leaves_no_half(disk: Path) -> None:
    for _ in range(2):
        assert python(CHECKPOINT, disk, 250_000).returncode == 0
    before = files_of(disk)
    refused = python(CHECKPOINT, disk, 2_500_000)
    assert refused.returncode != 0
    said = refused.stderr.splitlines()[-1]
    assert said.startswith(f"cfmodel.errors.DiskFullError: {disk / 'run'}: a checkpoint could not be written")
    assert "No space left on device" in said
    assert "Free disk space" in said
    assert files_of(disk) == before
    newest = CheckpointFolder(disk / "run").newest()
    assert newest is not None
    assert torch.equal(newest["table"], torch.arange(250_000, dtype=torch.float32))


def test_an_artifact_that_does_not_fit_is_refused_and_the_run_goes_on_recording(disk: Path, tmp_path: Path) -> None:
    done = python(RECORD, disk, f"sqlite:///{tmp_path}/mlflow.db", 9 * MEGABYTE)
    assert done.returncode == 0, done.stderr
    run_id, refusal = done.stdout.strip().split("|")
    assert "No space left on device" in refusal
    assert "free some space" in refusal
    kept = files_of(disk / "spool" / run_id / "files")
    assert kept == {}
    artifacts = files_of(next((tmp_path / "mlruns" / "cfmodel").glob(f"{run_id}/artifacts")))
    assert artifacts == {"first.txt": b"first"}


def test_a_store_without_room_keeps_no_half_artifact_and_takes_it_when_there_is_some(
    disk: Path, tmp_path: Path
) -> None:
    from cfmodel import tracking
    from cfmodel.config import TrackingSettings

    settings = TrackingSettings(uri=f"sqlite:///{disk}/mlflow.db")
    run = tracking.start_run(settings, journals=tmp_path / "spool")
    content = b"x" * 6 * MEGABYTE
    (disk / "ballast").write_bytes(b"x" * 4 * MEGABYTE)
    tracking.log_files(run, {"a/large.bin": content})
    folder = disk / "mlruns" / "cfmodel" / run.run_id / "artifacts"
    assert not [path for path in folder.rglob("*") if path.is_file()]
    (disk / "ballast").unlink()
    assert [found.trouble for found in tracking.sync(settings, tmp_path / "spool")] == [None]
    assert files_of(folder) == {"a/large.bin": content}
