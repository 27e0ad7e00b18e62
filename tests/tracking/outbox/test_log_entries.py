"""What is logged through the journal of a run."""

from pathlib import Path

import pytest

from cfmodel import tracking
from cfmodel.config import PipelineSettings, TrackingSettings


def test_a_password_is_never_written_to_the_journal(journals: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret-word@127.0.0.1:9")
    run = tracking.start_run(TrackingSettings(), journals=journals)
    tracking.log_settings(run, PipelineSettings(), source="https://me:secret-word@host/ratings.csv")
    kept = b"".join(file.read_bytes() for file in journals.rglob("*") if file.is_file())
    assert b"https://***@host/ratings.csv" in kept
    assert b"secret-word" not in kept


def test_a_file_with_the_same_content_is_kept_and_logged_once(journals: Path) -> None:
    run = tracking.start_run(TrackingSettings(uri="http://127.0.0.1:9"), journals=journals)
    for content in ("one", "one", "two"):
        tracking.log_files(run, {"a/b.txt": content})
    assert run.journal_folder is not None
    kept = [file.read_text() for file in (run.journal_folder / "files").rglob("b.txt")]
    assert sorted(kept) == ["one", "two"]
