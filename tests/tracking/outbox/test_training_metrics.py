"""The recorder and its sink: with a plain sink, with SQLite, and with a server that goes away."""

import math
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from epochs import epoch
from mlflow import MlflowClient
from mlflow_servers import Server, free_address, hung_server, wait_until

from cfmodel import tracking
from cfmodel.config import TrackingSettings
from cfmodel.errors import TrackingError
from cfmodel.gradients.recording.gradient_records import MonitorCost
from cfmodel.tables import TABLES
from cfmodel.tracking import Run
from cfmodel.tracking.outbox.deliver import DeliveryProgress, deliver
from cfmodel.tracking.outbox.entries import Point
from cfmodel.tracking.outbox.training_metrics import Recorder
from cfmodel.training.epoch_records import StartRecord, StepProgress

Begin = Callable[[], Run]
Describe = Callable[[Run], None]


class Points:
    """Keeps what it gets, once per key and step; takes nothing while its disk is full."""

    def __init__(self) -> None:
        self.points: dict[tuple[str, int], Point] = {}
        self.flushes = 0
        self.full = self.closed = False

    def write(self, points: Sequence[Point]) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        for point in points:
            self.points.setdefault((point.key, point.step), point)

    def last_step(self, key: str) -> int:
        return max((step for name, step in self.points if name == key), default=0)

    def flush(self) -> None:
        self.flushes += 1

    def close(self) -> None:
        self.closed = True

    def history(self, key: str) -> list[tuple[int, float]]:
        return [(point.step, point.value) for point in self.points.values() if point.key == key]


def test_fast_epochs_are_written_at_once_and_flushed_together() -> None:
    sink = Points()
    with Recorder(sink, flush_seconds=math.inf) as record:
        for number in range(1, 101):
            record(epoch(number))
            assert sink.last_step("train/loss") == number
    assert (sink.flushes, sink.closed) == (1, True)
    assert sink.history("train/loss") == [(number, 1 / number) for number in range(1, 101)]


def test_without_a_pause_each_epoch_is_flushed() -> None:
    sink = Points()
    record = Recorder(sink, flush_seconds=0)
    for number in (1, 2, 3):
        record(epoch(number))
        assert sink.flushes == number


def test_records_without_metrics_are_ignored() -> None:
    sink = Points()
    with Recorder(sink, flush_seconds=0) as record:
        record(StepProgress("fit", 1, 5, 0.5))
        record("anything")
    assert (sink.flushes, sink.points) == (0, {})


def test_each_best_epoch_so_far_is_recorded_and_the_refit_changes_none() -> None:
    sink = Points()
    with Recorder(sink, flush_seconds=0) as record:
        record(epoch(1, val_rmse=0.9, best=True))
        record(epoch(2, val_rmse=0.8, best=True))
        record(epoch(3, val_rmse=0.85))
        record(epoch(1, "refit", val_rmse=None, best=True))
    assert sink.history("best_epoch") == [(1, 1.0), (2, 2.0)]
    assert sink.history("best_val_rmse") == [(1, 0.9), (2, 0.8)]
    assert sink.history("val/rmse") == [(1, 0.9), (2, 0.8), (3, 0.85)]
    assert sink.history("refit/train/rmse") == [(1, 0.8)]


def test_the_start_is_epoch_0_and_the_best_one_so_far() -> None:
    sink = Points()
    with Recorder(sink, flush_seconds=0) as record:
        record(StartRecord("fit", 0.95, "closed_form"))
        record(epoch(1, val_rmse=0.97))
        record(epoch(2, val_rmse=0.9, best=True))
    assert sink.history("val/rmse") == [(0, 0.95), (1, 0.97), (2, 0.9)]
    assert sink.history("best_epoch") == [(0, 0.0), (2, 2.0)]
    assert sink.history("best_val_rmse") == [(0, 0.95), (2, 0.9)]


def test_a_resumed_recorder_records_the_cost_at_the_last_epoch() -> None:
    sink = Points()
    Recorder(sink)(epoch(7, "refit"))
    Recorder(sink)(MonitorCost("refit", 0.1, 2.0, 0.05, sample_every=4, epoch_every=1, samples=9))
    assert sink.history("refit/monitor/samples") == [(7, 9.0)]


def test_points_wait_in_memory_while_the_disk_is_full_and_one_warning_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sink = Points()
    record = Recorder(sink, flush_seconds=0)
    sink.full = True
    for number in (1, 2, 3):
        record(epoch(number))
    sink.full = False
    record(epoch(4))
    record.close()
    assert [step for step, _ in sink.history("train/loss")] == [1, 2, 3, 4]
    assert [message.message for message in caplog.records] == [
        "metrics cannot be written now, training continues and keeps them in memory: [Errno 28] No space left on device"
    ]


def test_a_disk_that_stays_full_is_an_error_at_the_end() -> None:
    sink = Points()
    record = Recorder(sink)
    sink.full = True
    record(epoch(1))
    with pytest.raises(OSError, match="No space left"):
        record.close()


def test_an_error_of_the_training_is_not_hidden_by_one_of_recording() -> None:
    def train(record: Recorder) -> None:
        record(epoch(1))
        raise ZeroDivisionError

    sink = Points()
    sink.full = True
    with pytest.raises(ZeroDivisionError), Recorder(sink) as recorder:
        train(recorder)


def history(client: MlflowClient, run: Run, key: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in client.get_metric_history(run.run_id, key)]


def test_epochs_become_metrics_by_step_and_the_refit_has_metrics_of_its_own(
    client: MlflowClient, mlflow_store: str, run: Run
) -> None:
    with tracking.recorder(run) as record:
        for number, rmse in ((1, 0.95), (2, 0.91), (3, 0.92)):
            record(StepProgress("fit", number, 5, 0.5))
            record(epoch(number, val_rmse=rmse, best=number < 3))
        for number in (1, 2):
            record(epoch(number, "refit", val_rmse=None))
    assert history(client, run, "train/loss") == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    assert history(client, run, "val/rmse") == [(1, 0.95), (2, 0.91), (3, 0.92)]
    assert history(client, run, "refit/train/loss") == [(1, 1.0), (2, 0.5)]
    metrics = tracking.read_run(mlflow_store, run.run_id).metrics
    assert (metrics["best_val_rmse"], metrics["best_epoch"]) == (0.91, 2.0)
    assert "refit/val/rmse" not in metrics
    norms = {f"grad_norm/{name}" for name in (*(table.name for table in TABLES), "total")}
    rates = {"train/rmse", "train/learning_rate", "train/clipped_fraction", "time/epoch_seconds"}
    assert norms | rates | {"time/ratings_per_second"} <= set(metrics)


def test_a_recorder_on_a_store_that_is_away_raises_only_at_the_end(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    record = tracking.recorder(replace(run, tracking_uri=free_address()), flush_seconds=0)
    record(epoch(1, best=True))
    record(epoch(2))
    assert len(caplog.records) == 1
    with pytest.raises(TrackingError, match=r"entries about run \w+ were not recorded; the training is not affected"):
        record.close()


@pytest.mark.usefixtures("quick_retries")
def test_training_continues_while_the_server_is_down_and_both_changes_are_logged_once(
    server: Server, begin: Begin, describe: Describe, caplog: pytest.LogCaptureFixture
) -> None:
    run = begin()
    describe(run)
    with tracking.recorder(run, flush_seconds=0) as record:
        for number in (1, 2):
            record(epoch(number))
        with server.away():
            for number in (3, 4, 5):
                record(epoch(number))
        # The thread must end, too: while it runs, the next points are left to it.
        wait_until(lambda: "cfmodel-delivery" not in {thread.name for thread in threading.enumerate()})
        assert len(server.points(run.run_id, "train/loss")) == 5
        record(epoch(6))
    assert server.points(run.run_id, "train/loss") == [(number, 1 / number) for number in range(1, 7)]
    logged = [line.message for line in caplog.records if line.name.startswith("cfmodel")]
    assert len(logged) == 2
    assert re.search("Connection (refused|reset)", logged[0])
    assert "The run continues; its records are kept in" in logged[0]
    assert "is back after" in logged[1]


@pytest.mark.usefixtures("quick_retries")
def test_a_server_that_never_answers_costs_the_training_one_timeout(
    journals: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    tries: list[str] = []

    def counted(journal: tracking.Journal, uri: str) -> DeliveryProgress:
        tries.append(threading.current_thread().name)
        return deliver(journal, uri)

    monkeypatch.setattr("cfmodel.tracking.outbox.deliver.deliver", counted)
    with hung_server() as (uri, calls):
        began = time.monotonic()
        run = tracking.start_run(TrackingSettings(uri=uri), journals=journals)
        assert time.monotonic() - began > 1.9
        wait_until(lambda: len(calls) > 0)
        assert len(calls) == 1  # one call, and so one time-out
        time.sleep(0.3)  # until it is time for the next try
        record = tracking.recorder(run, flush_seconds=0)
        for number in range(1, 101):
            record(epoch(number))
            time.sleep(0.05)
        wait_until(lambda: len(tries) > 2)
        record.close()
        wait_until(lambda: "cfmodel-delivery" not in {thread.name for thread in threading.enumerate()})
        # The training itself tries once; further tries are left to another thread.
        assert tries == [threading.current_thread().name, *["cfmodel-delivery"] * (len(tries) - 1)]
        assert len(calls) == 1 + len(tries)
        assert run.journal_folder is not None
        assert len(tracking.Journal(run.journal_folder).history("train/loss")) == 100


@pytest.mark.usefixtures("quick_retries")
def test_the_sink_of_a_run_without_a_journal_reports_what_is_missing(server: Server) -> None:
    run = tracking.start_run(TrackingSettings(uri=server.uri))
    record = tracking.recorder(replace(run, tracking_uri=free_address()), flush_seconds=0)
    record(epoch(1, best=True))
    with pytest.raises(TrackingError, match=f"14 entries about run {run.run_id} were not recorded"):
        record.close()
