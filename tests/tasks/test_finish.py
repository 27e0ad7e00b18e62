"""The task that ends a run."""

from typing import Any


def test_the_run_is_finished_with_its_times_and_the_digest_of_its_inputs(pieces: Any) -> None:
    data = pieces.recorded.data
    assert pieces.recorded.info.status == "FINISHED"
    assert (data.metrics["time/ingest_seconds"], data.metrics["time/train_seconds"]) == (1.5, 2.5)
    assert (data.tags["step.ingest"], data.tags["step.train"]) == ("reused", "run")
    assert "abc" in data.tags.values()


def test_the_description_has_the_errors_the_times_and_a_link_to_the_gradients(pieces: Any) -> None:
    page = pieces.recorded.data.tags["mlflow.note.content"]
    assert f"| model | {pieces.metrics['test/rmse']:.4f} |" in page
    assert "ingest 1.5 s (reused), train 2.5 s" in page
    assert "[its gradients](" in page


def test_the_screen_knows_that_the_run_is_complete(pieces: Any) -> None:
    assert pieces.screen.completed == pieces.run
