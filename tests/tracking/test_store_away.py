"""A real MLflow server stopped and started before, during and at the end of a run: nothing lost, nothing silent."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from mlflow_servers import Server, free_port, hung_server

from cfmodel import tracking
from cfmodel.cli import main
from cfmodel.config import PipelineSettings, TrackingSettings
from cfmodel.errors import TrackingError
from cfmodel.tracking import Run
from cfmodel.tracking.outbox.deliver import DeliveryProgress, deliver
from cfmodel.training.epoch_records import EpochRecord

Begin = Callable[[], Run]
Describe = Callable[[Run], None]
Epoch = Callable[[int], EpochRecord]

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


@pytest.fixture(autouse=True)
def _tries_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cfmodel.tracking.outbox.deliver.RETRY_SECONDS", 0.2)
    monkeypatch.setattr("cfmodel.tracking.outbox.training_metrics._THREAD_SECONDS", 0.2)


def steps(server: Server, run_id: str, key: str) -> list[tuple[int, float]]:
    """Return every point of a metric in the order of the store's own rows: one said twice would be here twice."""
    return [(point.step, point.value) for point in server.client.get_metric_history(run_id, key)]


def artifact(server: Server, run_id: str, path: str, folder: Path) -> str:
    return Path(server.client.download_artifacts(run_id, path, str(folder))).read_text()


def test_down_before_the_run_everything_arrives_once_it_is_there(
    server: Server, begin: Begin, describe: Describe, epoch: Epoch, saved: Path, tmp_path: Path, spool: Path
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
    assert steps(server, sent.run_id, "train/loss") == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    times = [point.timestamp for point in server.client.get_metric_history(sent.run_id, "train/loss")]
    assert began <= times[0] <= times[1] <= times[2] <= ended
    assert artifact(server, sent.run_id, "gradients/report.html", tmp_path) == "<p>all of it</p>"
    assert [model.model_id for model in found.outputs.model_outputs] == [sent.model_id]
    assert not list(spool.iterdir())


def test_down_during_training_it_goes_on_and_says_so_once_and_says_when_it_is_back(
    server: Server, begin: Begin, describe: Describe, epoch: Epoch, caplog: pytest.LogCaptureFixture
) -> None:
    run = begin()
    describe(run)
    with tracking.recorder(run, flush_seconds=0) as record:
        for number in (1, 2):
            record(epoch(number))
        with server.away():
            for number in (3, 4, 5):
                record(epoch(number))
        # Not merely until the points are there: while the thread that tries is at it, the next one is left to it.
        _await(lambda: "cfmodel-delivery" not in {thread.name for thread in threading.enumerate()})
        assert len(steps(server, run.run_id, "train/loss")) == 5
        record(epoch(6))
    assert steps(server, run.run_id, "train/loss") == [(number, 1 / number) for number in range(1, 7)]
    said = [line.message for line in caplog.records if line.name.startswith("cfmodel")]
    assert len(said) == 2
    assert re.search("Connection (refused|reset)", said[0])
    assert "The run continues; its records are kept in" in said[0]
    assert "is back after" in said[1]


def test_down_at_the_end_the_run_fails_and_sync_brings_the_rest(
    server: Server, begin: Begin, epoch: Epoch, spool: Path
) -> None:
    run = begin()
    (spool.parent / "models" / run.run_id).mkdir(parents=True)
    with server.away():
        with tracking.recorder(run) as record:
            record(epoch(1))
        tracking.end_run(run)
        with pytest.raises(TrackingError) as refusal:
            tracking.require_recorded(run, wait_seconds=0.5)
        for expected in (
            str(run.journal_folder),
            f"the trained model is safe in {spool.parent}/models/{run.run_id}",
            f"cfmodel sync --set runtime.data_dir={spool.parent}",
        ):
            assert expected in str(refusal.value)
        failed = _sync(server, spool)
        assert failed.exit_code == 1
        assert "the records of 1 run still wait" in failed.output
    done = _sync(server, spool)
    assert (done.exit_code, done.output.split(":")[0]) == (0, f"run {run.run_id}")
    assert steps(server, run.run_id, "train/loss") == [(1, 1.0)]
    assert server.client.get_run(run.run_id).info.status == "FINISHED"
    assert _sync(server, spool).output.startswith("Nothing waits in")


def test_a_run_that_waited_is_brought_along_by_the_next(server: Server, begin: Begin, spool: Path) -> None:
    run = _begun_while_away(server, spool)
    tracking.sync_earlier(TrackingSettings(uri=server.uri), begin())
    assert run.journal_folder is not None
    run_id = DeliveryProgress.read(run.journal_folder).run_id
    assert run_id is not None
    assert steps(server, run_id, "test/rmse") == [(0, 0.9)]


def test_a_server_that_never_answers_costs_the_training_one_timeout(
    epoch: Epoch, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    tries: list[str] = []

    def counted(journal: tracking.Journal, uri: str) -> DeliveryProgress:
        tries.append(threading.current_thread().name)
        return deliver(journal, uri)

    monkeypatch.setattr("cfmodel.tracking.outbox.deliver.deliver", counted)
    with hung_server() as (uri, calls):
        began = time.monotonic()
        run = tracking.start_run(TrackingSettings(uri=uri), journals=spool)
        assert time.monotonic() - began > 1.9
        _await(lambda: len(calls) > 0)
        assert len(calls) == 1  # one call, and so one time-out
        time.sleep(0.3)  # until it is time for the next try
        record = tracking.recorder(run, flush_seconds=0)
        for number in range(1, 101):
            record(epoch(number))
            time.sleep(0.05)
        _await(lambda: len(tries) > 2)
        record.close()
        _await(lambda: "cfmodel-delivery" not in {thread.name for thread in threading.enumerate()})
        # The training itself tries once; further tries are left to another thread.
        assert tries == [threading.current_thread().name, *["cfmodel-delivery"] * (len(tries) - 1)]
        assert len(calls) == 1 + len(tries)
        assert run.journal_folder is not None
        assert len(tracking.Journal(run.journal_folder).history("train/loss")) == 100


def test_sent_twice_everything_is_there_once(
    server: Server, begin: Begin, describe: Describe, epoch: Epoch, saved: Path
) -> None:
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
    server: Server, begin: Begin, spool: Path, attempt: int
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
    assert all(found.trouble is None for found in tracking.sync(TrackingSettings(uri=server.uri), spool))
    assert steps(server, run.run_id, "train/loss") == kept


def test_what_the_store_will_not_have_is_passed_over_and_told_at_the_end(server: Server, begin: Begin) -> None:
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


def test_a_run_killed_between_its_creation_and_the_note_of_it_is_not_created_twice(server: Server, spool: Path) -> None:
    run = _begun_while_away(server, spool)
    tracking.set_tags(run, {"first": "yes"})
    assert run.journal_folder is not None
    first = DeliveryProgress.read(run.journal_folder)
    first.update(run.journal_folder, run_id=None, position=0)
    tracking.set_tags(run, {"second": "yes"})
    assert DeliveryProgress.read(run.journal_folder).run_id == first.run_id
    assert steps(server, first.run_id or "", "test/rmse") == [(0, 0.9)]


def test_another_store_is_not_sent_what_was_meant_for_this_one(server: Server, spool: Path) -> None:
    _begun_while_away(server, spool)
    (found,) = tracking.sync(TrackingSettings(uri="http://elsewhere:5000"), spool)
    assert found.trouble is not None
    assert f"is a run of {server.uri}, not of http://elsewhere:5000" in found.trouble


def test_the_courier_of_a_run_without_a_journal_says_what_is_missing(server: Server, epoch: Epoch) -> None:
    run = tracking.start_run(TrackingSettings(uri=server.uri))
    record = tracking.recorder(replace(run, tracking_uri=_nobody()), flush_seconds=0)
    record(epoch(1))
    with pytest.raises(TrackingError, match=f"14 entries about run {run.run_id} were not recorded"):
        record.close()


def test_a_password_never_reaches_the_spool(spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret-word@127.0.0.1:9")
    run = tracking.start_run(TrackingSettings(), journals=spool)
    tracking.log_settings(run, PipelineSettings(), source="https://me:secret-word@host/ratings.csv")
    kept = b"".join(file.read_bytes() for file in spool.rglob("*") if file.is_file())
    assert b"https://***@host/ratings.csv" in kept
    assert b"secret-word" not in kept


def _everything(server: Server, run: Run) -> dict[str, Any]:
    found = server.client.get_run(run.run_id)
    points = {key: steps(server, run.run_id, key) for key in found.data.metrics}
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


def _nobody() -> str:
    """Return an address where nobody listens."""
    return f"http://127.0.0.1:{free_port()}"


def _begun_while_away(server: Server, spool: Path) -> Run:
    """Begin a run, with one metric, while nobody listens at the address that is the server's from then on."""
    run = tracking.start_run(TrackingSettings(uri=_nobody()), journals=spool)
    tracking.log_metrics(run, {"test/rmse": 0.9})
    assert run.journal_folder is not None
    DeliveryProgress.read(run.journal_folder).update(run.journal_folder, store=server.uri, retry_at=0.0)
    return replace(run, tracking_uri=server.uri)


def _sync(server: Server, spool: Path) -> Result:
    settings = ["--set", f"tracking.uri={server.uri}", "--set", f"runtime.data_dir={spool.parent}"]
    return CliRunner().invoke(main, ["sync", *settings])


def _await(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 600
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.1)
