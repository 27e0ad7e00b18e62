"""A real MLflow server stopped and started around a run: nothing is lost, nothing is stored twice."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from epochs import epoch
from mlflow_servers import Server

from cfmodel import tracking
from cfmodel.config import PipelineSettings, TrackingSettings
from cfmodel.errors import DigestError, TrackingError
from cfmodel.tracking import Run
from cfmodel.tracking.outbox.deliver import DeliveryProgress

Begin = Callable[[], Run]
Describe = Callable[[Run], None]

pytestmark = pytest.mark.usefixtures("quick_retries")


TRAIN = """
import itertools, sys
from pathlib import Path
from cfmodel import tracking
from cfmodel.config import TrackingSettings
run = tracking.open_run(TrackingSettings(uri=sys.argv[1]), Path(sys.argv[2]))
for step in itertools.count(1):
    tracking.log_metrics(run, {"train/loss": 1 / step, "val/rmse": 2 / step}, step=step)
    print(step, flush=True)
"""


def artifact(server: Server, run_id: str, path: str, folder: Path) -> str:
    return Path(server.client.download_artifacts(run_id, path, str(folder))).read_text()


def test_a_server_down_before_the_run_gets_everything_once_it_is_back(
    server: Server, begin: Begin, describe: Describe, saved: Path, tmp_path: Path, journals: Path
) -> None:
    began = int(time.time() * 1000)
    with server.away():
        run = begin()
        describe(run)
        with tracking.recorder(run, flush_seconds=0) as record:
            for number in (1, 2, 3):
                record(epoch(number))
        assert tracking.log_model(run, saved) == ""
        tracking.log_files(run, {"gradients/report.html": "<p>all of it</p>"})
        tracking.end_run(run)
        ended = int(time.time() * 1000)
    assert run.run_id.startswith("local-")
    sent = tracking.require_recorded(run, wait_seconds=600)
    assert sent.run_id is not None
    found = server.client.get_run(sent.run_id)
    assert (found.info.status, found.data.tags["device"]) == ("FINISHED", "cpu")
    assert began <= found.info.start_time <= found.info.end_time <= ended
    assert found.data.params["train.epochs"] == str(PipelineSettings().train.epochs)
    assert len(found.inputs.dataset_inputs) == 3
    assert server.points(sent.run_id, "train/loss") == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    times = [point.timestamp for point in server.client.get_metric_history(sent.run_id, "train/loss")]
    assert began <= times[0] <= times[1] <= times[2] <= ended
    assert artifact(server, sent.run_id, "gradients/report.html", tmp_path) == "<p>all of it</p>"
    assert [model.model_id for model in found.outputs.model_outputs] == [sent.model_id]
    assert not list(journals.iterdir())


def test_everything_sent_twice_is_stored_once(server: Server, begin: Begin, describe: Describe, saved: Path) -> None:
    """A process killed after the store took something and before it noted that sends it again."""
    run = begin()
    describe(run)
    with tracking.recorder(run) as record:
        for number in (1, 2, 3):
            record(epoch(number))
    tracking.log_model(run, saved)
    tracking.log_files(run, {"a/b.txt": "b"})
    before = _everything(server, run)
    assert run.journal_folder is not None
    DeliveryProgress.read(run.journal_folder).update(run.journal_folder, position=0, model_id=None)
    tracking.set_tags(run, {"again": "yes"})
    after = _everything(server, run)
    assert after.pop("tags") == before.pop("tags") | {"again": "yes"}
    assert after == before
    assert len(json.loads(before["models"])) == 1


@pytest.mark.parametrize("attempt", range(3))
def test_a_process_killed_at_any_moment_of_sending_loses_and_doubles_nothing(
    server: Server, begin: Begin, journals: Path, attempt: int
) -> None:
    run = begin()
    process = subprocess.Popen(
        [sys.executable, "-c", TRAIN, server.uri, str(run.journal_folder)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for step in range(1, random.Random(attempt).randint(10, 60)):
        assert process.stdout.readline() == f"{step}\n"
    os.kill(process.pid, signal.SIGKILL)  # while it logs one of the next steps
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert run.journal_folder is not None
    journal = tracking.Journal(run.journal_folder)
    kept = [(point.step, point.value) for point in journal.history("train/loss")]
    assert [step for step, _ in kept] == list(range(1, len(kept) + 1))
    assert all(found.trouble is None for found in tracking.sync(TrackingSettings(uri=server.uri), journals))
    assert server.points(run.run_id, "train/loss") == kept


def test_refused_records_are_skipped_and_reported_at_the_end(server: Server, begin: Begin) -> None:
    run = begin()
    tracking.log_metrics(run, {"ok": 1.0, "not@allowed": 2.0, "fine": 3.0})
    assert server.client.get_run(run.run_id).data.metrics == {"ok": 1.0, "fine": 3.0}
    tracking.end_run(run)
    assert server.client.get_run(run.run_id).info.status == "FINISHED"
    with pytest.raises(TrackingError, match=r"1 of its records were refused .* point not@allowed"):
        tracking.require_recorded(run, wait_seconds=0)


def test_a_run_deleted_in_the_store_is_named_with_what_to_do(server: Server, begin: Begin) -> None:
    run = begin()
    server.client.delete_run(run.run_id)
    with pytest.raises(TrackingError, match=f"no longer has run {run.run_id}; restore it there, or move"):
        tracking.log_metrics(run, {"test/rmse": 0.9})
    server.client.restore_run(run.run_id)
    tracking.log_metrics(run, {"test/mae": 0.7})
    assert server.client.get_run(run.run_id).data.metrics == {"test/rmse": 0.9, "test/mae": 0.7}


def test_a_run_killed_before_its_creation_was_noted_is_not_created_twice(server: Server, begun_while_away: Run) -> None:
    run = begun_while_away
    tracking.set_tags(run, {"first": "yes"})
    assert run.journal_folder is not None
    first = DeliveryProgress.read(run.journal_folder)
    first.update(run.journal_folder, run_id=None, position=0)
    tracking.set_tags(run, {"second": "yes"})
    assert DeliveryProgress.read(run.journal_folder).run_id == first.run_id
    assert server.points(first.run_id or "", "test/rmse") == [(0, 0.9)]


@pytest.mark.parametrize("content", ["", "{}", '{"store": "s", "refused": [], "unknown": 1}'])
def test_a_damaged_progress_is_refused_with_what_to_do(content: str, tmp_path: Path) -> None:
    (tmp_path / "sent.json").write_text(content)
    with pytest.raises(DigestError, match=r"sent\.json: cannot be read .*; move .* away to give up the run"):
        DeliveryProgress.read(tmp_path)


def _everything(server: Server, run: Run) -> dict[str, Any]:
    found = server.client.get_run(run.run_id)
    points = {key: server.points(run.run_id, key) for key in found.data.metrics}
    inputs = sorted(each.dataset.name for each in found.inputs.dataset_inputs)
    models = server.client.search_logged_models([run.experiment_id], filter_string=f"source_run_id = '{run.run_id}'")
    outputs = [each.model_id for each in found.outputs.model_outputs]
    files = [entry.path for entry in server.client.list_artifacts(run.run_id, "a")]
    return {
        "tags": found.data.tags,
        "params": found.data.params,
        "points": json.dumps(points),
        "inputs": json.dumps(inputs),
        "models": json.dumps([str(model.model_id) for model in models]),
        "outputs": json.dumps(outputs),
        "files": json.dumps(files),
    }
