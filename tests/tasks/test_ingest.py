"""The task that ingests ratings."""

from collections.abc import Callable
from typing import Any

from cfmodel.data.ingest.ingest import RowsRead
from tasks.ingest import ingest_ratings, ingest_test_ratings


def test_ratings_are_in_the_data_folder_and_the_same_source_is_reused(
    pieces: Any, in_flow: Callable[[Callable[[], Any]], Any]
) -> None:
    assert (pieces.data.path / "ratings.parquet").is_file()
    assert pieces.data.path.is_relative_to(pieces.settings.runtime.data_dir.resolve())
    assert not pieces.data.reused
    again = in_flow(lambda: ingest_ratings(pieces.data.source, pieces.settings))
    assert again.reused
    assert again == pieces.data


def test_progress_is_shown_on_the_terminal(pieces: Any) -> None:
    assert any(isinstance(record, RowsRead) for record in pieces.screen.records)


def test_the_test_file_of_a_predefined_split_is_a_step_of_its_own() -> None:
    assert (ingest_ratings.name, ingest_test_ratings.name) == ("ingest", "ingest-test")
