"""The task that judges the gradients."""

import json
from collections.abc import Callable
from typing import Any

from cfmodel.refs import RunRef
from tasks.report import report_gradients


def test_the_verdict_is_in_the_mlflow_run_and_on_prefects_page(pieces: Any) -> None:
    verdict = pieces.recorded.data.tags["health.verdict"]
    assert verdict in {"healthy", "info", "warning", "error"}
    rows = json.loads(pieces.artifact("health"))
    assert rows
    assert {row["severity"] for row in rows} <= {"info", verdict}


def test_a_run_without_a_monitor_is_not_judged(pieces: Any, in_flow: Callable[[Callable[[], Any]], Any]) -> None:
    unwatched = pieces.settings.model_copy(
        update={"monitor": pieces.settings.monitor.model_copy(update={"enabled": False})}
    )
    nowhere = RunRef.model_construct(run_id="absent", tracking_uri="http://127.0.0.1:9")
    assert in_flow(lambda: report_gradients.fn(nowhere, pieces.parts, unwatched)) is None
