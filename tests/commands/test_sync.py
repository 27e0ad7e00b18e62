"""`cfmodel sync`: what it prints of records that wait, and of those it cannot send."""

from collections.abc import Callable
from pathlib import Path

from click.testing import CliRunner, Result

from cfmodel import tracking
from cfmodel.cli import main
from cfmodel.config import TrackingSettings


def sync(uri: str, data_dir: Path) -> Result:
    sets = [f"tracking.uri={uri}", f"runtime.data_dir={data_dir}"]
    return CliRunner().invoke(main, ["sync", *(part for each in sets for part in ("--set", each))])


def test_nothing_to_send_is_printed_as_such(mlflow_store: str, tmp_path: Path) -> None:
    done = sync(mlflow_store, tmp_path)
    assert done.exit_code == 0
    assert done.output == f"Nothing waits in {tmp_path / 'spool'}.\n"


def test_records_that_cannot_be_sent_are_an_error_and_still_wait(
    make_mlflow_store: Callable[[Path], str], tmp_path: Path
) -> None:
    away = TrackingSettings(uri="http://127.0.0.1:9")
    run = tracking.start_run(away, journals=tracking.journals_folder(tmp_path))
    tracking.log_metrics(run, {"test/rmse": 0.9})
    failed = sync(str(away.uri), tmp_path)
    assert failed.exit_code == 1
    assert f"Error: the records of 1 run still wait in {tmp_path / 'spool'}" in failed.output
    assert list((tmp_path / "spool").iterdir())
