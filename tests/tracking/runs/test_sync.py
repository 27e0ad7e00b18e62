"""Waiting records sent at the end of a run, by the next run, and by `cfmodel sync`."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from epochs import epoch
from mlflow_servers import Server

from cfmodel import tracking
from cfmodel.cli import main
from cfmodel.config import TrackingSettings
from cfmodel.errors import TrackingError
from cfmodel.tracking import Run
from cfmodel.tracking.outbox.deliver import DeliveryProgress

Begin = Callable[[], Run]

pytestmark = pytest.mark.usefixtures("quick_retries")


def test_a_run_fails_if_the_server_is_down_at_its_end_and_sync_sends_the_rest(
    server: Server, begin: Begin, journals: Path
) -> None:
    run = begin()
    (journals.parent / "models" / run.run_id).mkdir(parents=True)
    with server.away():
        with tracking.recorder(run) as record:
            record(epoch(1))
        tracking.end_run(run)
        with pytest.raises(TrackingError) as refusal:
            tracking.require_recorded(run, wait_seconds=0.5)
        for expected in (
            str(run.journal_folder),
            f"the trained model is safe in {journals.parent}/models/{run.run_id}",
            f"cfmodel sync --set runtime.data_dir={journals.parent}",
        ):
            assert expected in str(refusal.value)
        failed = _sync(server, journals)
        assert failed.exit_code == 1
        assert "the records of 1 run still wait" in failed.output
    done = _sync(server, journals)
    assert (done.exit_code, done.output.split(":")[0]) == (0, f"run {run.run_id}")
    assert server.points(run.run_id, "train/loss") == [(1, 1.0)]
    assert server.client.get_run(run.run_id).info.status == "FINISHED"
    assert _sync(server, journals).output.startswith("Nothing waits in")


def test_the_next_run_sends_the_waiting_records_of_an_earlier_one(
    server: Server, begin: Begin, begun_while_away: Run
) -> None:
    tracking.sync_earlier(TrackingSettings(uri=server.uri), begin())
    assert begun_while_away.journal_folder is not None
    run_id = DeliveryProgress.read(begun_while_away.journal_folder).run_id
    assert run_id is not None
    assert server.points(run_id, "test/rmse") == [(0, 0.9)]


@pytest.mark.usefixtures("begun_while_away")
def test_records_of_one_store_are_not_sent_to_another(server: Server, journals: Path) -> None:
    (found,) = tracking.sync(TrackingSettings(uri="http://elsewhere:5000"), journals)
    assert found.trouble is not None
    assert f"is a run of {server.uri}, not of http://elsewhere:5000" in found.trouble


def _sync(server: Server, journals: Path) -> Result:
    settings = ["--set", f"tracking.uri={server.uri}", "--set", f"runtime.data_dir={journals.parent}"]
    return CliRunner().invoke(main, ["sync", *settings])
