"""`cfmodel clean` over runs of the real pipeline: what is removed, and that what is kept can still be used."""

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from mlflow import MlflowClient
from rich.console import Console

from cfmodel import tracking
from cfmodel.commands.clean import Inventory, clean
from cfmodel.config import PipelineSettings
from cfmodel.errors import TrackingError
from cfmodel.recommending.recommender import Recommender
from cfmodel.refs import RunRef
from flows.pipeline import pipeline

SOURCE = "synthetic:users=120,movies=60,ratings=3000"
NOTHING = {f"keep.{kind}": 0 for kind in ("datasets", "splits", "models", "gradients", "runs", "versions")}


@dataclass(frozen=True)
class Place:
    """A store and a folder for data of their own."""

    overrides: dict[str, Any]
    store: MlflowClient
    data: Path

    def run(self, seed: int, source: str = SOURCE) -> RunRef:
        """Run the pipeline small, with data, a split and a model of its own."""
        small = {"split.seed": seed, "train.epochs": 1, "train.embedding_dim": 2, "runtime.device": "cpu"}
        finished = pipeline(f"{source},seed={seed}", overrides=self.overrides | small)
        assert isinstance(finished, RunRef)
        # Which versions there are, and which of them is the champion, is each test's to say.
        for model in self.store.search_registered_models("name = 'cfmodel-synthetic'"):
            self.store.delete_registered_model(model.name)
        return finished

    def clean(self, *, remove: bool = True, days: float = 60, **keep: Any) -> tuple[dict[str, Inventory], str]:
        """Clean as if that many days had passed; return what there was, and what was said."""
        shown = Console(file=StringIO(), width=100)
        kept = NOTHING | {f"keep.{kind}": count for kind, count in keep.items()}
        settings = PipelineSettings.of(overrides=self.overrides | kept)
        inventories = clean(settings, remove=remove, console=shown, now=datetime.now(UTC) + timedelta(days=days))
        assert isinstance(shown.file, StringIO)
        return {inventory.kind: inventory for inventory in inventories}, shown.file.getvalue()

    def version(self, run: RunRef, alias: str | None = None, **tags: str) -> str:
        """Make a run's model a version of a registered model, if it is none yet."""
        if not self.store.search_registered_models("name = 'movies'"):
            self.store.create_registered_model("movies")
        made = self.store.create_model_version("movies", str(run.model_path), run_id=run.run_id, tags=tags)
        if alias:
            self.store.set_registered_model_alias("movies", alias, made.version)
        return str(made.version)

    def holds(self, kind: str) -> set[str]:
        folder = self.data / kind
        return {path.name.removesuffix("-adam.safetensors") for path in folder.glob("*")}


@pytest.fixture
def place(prefect_api: str, make_mlflow_store: Callable[[Path], str], tmp_path: Path) -> Place:
    overrides = {"runtime.data_dir": str(tmp_path / "data"), "tracking.uri": make_mlflow_store(tmp_path)}
    return Place(overrides, MlflowClient(overrides["tracking.uri"]), tmp_path / "data")


def test_what_champion_challenger_and_previous_champion_need_is_kept_and_works(place: Place) -> None:
    before, champion, challenger, other = (place.run(seed) for seed in range(4))
    number = place.version(before)
    place.version(champion, "champion", **{tracking.PREVIOUS_CHAMPION: number})
    place.version(challenger, "challenger")
    place.version(other)
    _, said = place.clean()
    needed = {run.run_id for run in (before, champion, challenger)}
    assert place.holds("models") == needed
    assert len(list((place.data / "models").iterdir())) == 2 * 3  # each with Adam's memory beside it
    assert place.holds("gradients") == needed
    assert len(place.holds("splits")) == len(place.holds("ingested")) == 3
    assert {found.run_id for found in place.store.search_model_versions()} == needed
    assert place.store.get_run(other.run_id).info.lifecycle_stage == "deleted"
    assert place.store.get_run(champion.run_id).info.lifecycle_stage == "active"
    assert "mlflow gc --backend-store-uri" in said
    # What stayed is whole: the champion answers, and its split is there to be compared on.
    summary = tracking.find_run(PipelineSettings.of(overrides=place.overrides).tracking, champion.run_id)
    _, model = tracking.data_folders(summary, place.data)
    assert Recommender.load(model, digest=champion.model_digest).predict(["1"], ["1"]).shape == (1,)


def test_without_yes_nothing_is_removed(place: Place) -> None:
    run = place.run(0)
    inventories, said = place.clean(remove=False)
    assert [len(inventories[kind].removable) for kind in ("datasets", "splits", "models", "gradients", "runs")] == [
        1
    ] * 5
    assert f"models {run.run_id}" in said
    assert said.endswith("Nothing was removed. To remove what is listed: cfmodel clean --yes\n")
    assert place.holds("models") == {run.run_id}
    assert place.store.get_run(run.run_id).info.lifecycle_stage == "active"


def test_old_comparisons_are_removed_like_runs_and_other_runs_stay(place: Place) -> None:
    first, second = place.run(0), place.run(1)
    settings = PipelineSettings.of(overrides=place.overrides).tracking
    _, comparison = tracking.compare_runs(settings, [first.run_id, second.run_id])
    other = tracking.start_run(settings, name="somebody's own")
    tracking.end_run(other)
    inventories, _ = place.clean()
    assert {item.name for item in inventories["runs"].removable} == {first.run_id, second.run_id, comparison.run_id}
    assert place.store.get_run(comparison.run_id).info.lifecycle_stage == "deleted"
    assert place.store.get_run(other.run_id).info.lifecycle_stage == "active"


def test_a_running_run_keeps_what_it_uses(place: Place) -> None:
    run = place.run(0)
    place.store.update_run(run.run_id, status="RUNNING")
    inventories, said = place.clean()
    assert all(not inventory.removable for inventory in inventories.values())
    assert "Nothing to remove" in said


def test_data_reused_by_a_run_count_as_used_again(place: Place) -> None:
    place.run(0)
    old = time.time() - 90 * 24 * 3600
    for path in sorted(place.data.rglob("*")):
        os.utime(path, (old, old))
    assert len(place.clean(remove=False, days=0, splits=0)[0]["splits"].removable) == 1
    place.run(0)
    assert len(place.clean(remove=False, days=0, splits=0)[0]["splits"].removable) == 0


def test_the_settings_decide_age_and_number(place: Place) -> None:
    runs = [place.run(seed) for seed in range(3)]
    assert not place.clean(remove=False, days=20)[0]["models"].removable
    going = place.clean(remove=False, models=1)[0]["models"].removable
    assert {item.name for item in going} == {run.run_id for run in runs[:2]}


def test_a_folder_of_a_run_unknown_to_the_store_is_left_alone(place: Place) -> None:
    place.run(0)
    (place.data / "models" / "of-another-store").mkdir()
    place.clean()
    assert place.holds("models") == {"of-another-store"}


def test_a_checkpoint_folder_whose_lock_is_held_is_left_alone(place: Place) -> None:
    run = place.run(0)
    folder = place.data / "checkpoints" / run.run_id
    folder.mkdir(parents=True)
    with FileLock(folder / "lease.lock"):
        assert not place.clean(remove=False, checkpoints=0)[0]["checkpoints"].removable
    assert place.clean(remove=False, checkpoints=0)[0]["checkpoints"].removable


def test_records_that_the_store_does_not_have_are_left_alone(place: Place) -> None:
    run = place.run(0)
    folder = place.data / "spool" / run.run_id
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "journal.jsonl").write_text("0123456789")
    for position, goes in ((5, 0), (10, 1)):
        (folder / "sent.json").write_text(json.dumps({"position": position}))
        assert len(place.clean(remove=False, spools=0)[0]["spools"].removable) == goes
    (folder / "sent.json").unlink()
    assert not place.clean(remove=False, spools=0)[0]["spools"].removable


def test_the_recommendations_that_latest_points_at_are_kept(place: Place) -> None:
    folder = place.data / "recommendations"
    for name in ("monday", "tuesday"):
        (folder / name).mkdir(parents=True)
        (folder / name / "part-0.parquet").write_bytes(b"0" * 10)
    (folder / "latest").symlink_to("monday")
    inventories, _ = place.clean(recommendations=0)
    assert [item.name for item in inventories["recommendations"].removable] == ["tuesday"]
    assert place.holds("recommendations") == {"monday", "latest"}


def test_nothing_is_removed_while_the_store_is_away(place: Place) -> None:
    place.run(0)
    away = Place(place.overrides | {"tracking.uri": "http://127.0.0.1:9"}, place.store, place.data)
    with pytest.raises(TrackingError):
        away.clean()
    assert len(place.holds("models")) == 1
