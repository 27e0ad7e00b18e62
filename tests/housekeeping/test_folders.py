"""Why a folder below the folder for data is needed."""

import json
import os
from pathlib import Path

import pytest
from filelock import FileLock

from cfmodel.housekeeping.folders import KINDS, Needs, items_of, last_used
from cfmodel.housekeeping.policy import Item

NEEDS = Needs({"champion": "it is the champion"}, {"d1": "the champion's data"}, frozenset({"champion", "other"}))


def items(kind: str, data_dir: Path) -> dict[str, Item]:
    (found,) = [each for each in KINDS if each.name == kind]
    return {item.name: item for item in items_of(found, data_dir, NEEDS)}


@pytest.fixture
def models(tmp_path: Path) -> Path:
    for name in ("champion", "other", "unknown"):
        (tmp_path / "models" / name).mkdir(parents=True)
    return tmp_path / "models"


def test_models_are_needed_by_their_run_and_stay_if_the_run_is_unknown(models: Path) -> None:
    assert {name: item.needed_by for name, item in items("models", models.parent).items()} == {
        "champion": "it is the champion",
        "other": None,
        "unknown": "its run is not in this store",
    }


def test_the_size_of_a_model_counts_the_files_beside_it(models: Path) -> None:
    (models / "other" / "weights").write_bytes(b"12345")
    (models / "other-adam.safetensors").write_bytes(b"123")
    item = items("models", models.parent)["other"]
    assert (item.size, item.beside) == (8, (models / "other-adam.safetensors",))


def test_a_folder_is_needed_while_a_process_holds_its_lock(models: Path) -> None:
    with FileLock(models / "other" / "lease.lock"):
        assert items("models", models.parent)["other"].needed_by == "a process is at work on it"
    assert items("models", models.parent)["other"].needed_by is None


def test_data_are_needed_by_their_digest(tmp_path: Path) -> None:
    for digest in ("d1", "d2"):
        (tmp_path / "ingested" / digest).mkdir(parents=True)
        (tmp_path / "ingested" / digest / "manifest.json").write_text(json.dumps({"dataset": {"digest": digest}}))
    (tmp_path / "ingested" / "incomplete").mkdir()
    reasons = {name: item.needed_by for name, item in items("datasets", tmp_path).items()}
    assert reasons == {"d1": "the champion's data", "d2": None, "incomplete": None}


def test_a_lock_that_was_touched_does_not_count_as_use(models: Path) -> None:
    old = 1_600_000_000
    os.utime(models / "other", (old, old))
    (models / "other" / "lease.lock").touch()
    os.utime(models / "other", (old, old))
    assert last_used(models / "other").timestamp() == old
