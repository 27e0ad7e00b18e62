"""Made-up verdicts, reports and runs for the tests of pages."""

import json
import re
from typing import Any

from histories import FOUR, Shapes, history

from cfmodel.gradients.health.verdicts import HealthReport, Verdict
from cfmodel.gradients.recording.gradient_history import GradientHistory
from cfmodel.gradients.report.comparison import ComparedRun
from cfmodel.gradients.report.run_report import gradient_report

HEALTHY = HealthReport(())


def verdict(rule: str = "dead_rows", **changed: object) -> Verdict:
    values: dict[str, object] = {
        "rule": rule,
        "severity": "warning",
        "value": 0.03,
        "threshold": 0.001,
        "message": "3 % of the rows never had a gradient",
        "remedy": "look for a mask",
        "first_step": 200,
        "table": "movie_biases",
        "ids": ("movie 12",),
        "words": ("dead",),
    }
    return Verdict(**(values | changed))  # type: ignore[arg-type]


def report_page(health: HealthReport = HEALTHY, **changed: object) -> str:
    values: dict[str, object] = {"title": "Gradients", "facts": {"run": "a1"}} | changed
    return gradient_report(history(epochs=2), health, **values)  # type: ignore[arg-type]


def compared_run(
    number: int, *, scale: float = 1.0, epochs: int = 2, tables: Shapes = FOUR, **params: str
) -> ComparedRun:
    curve = [(epoch, 1.0 + scale / epoch) for epoch in range(1, epochs + 1)]
    return ComparedRun(
        name=f"run-{number}",
        run_id=f"{number:032d}",
        params={"train.epochs": str(epochs)} | params,
        metrics={"test/rmse": 0.9 + scale / 10, "test/ndcg_at_10": 0.2, "train/loss": 3.0},
        curves={"train/rmse": curve, "val/rmse": curve},
        history=GradientHistory.of(history(scale=scale, epochs=epochs, seed=number, tables=tables)),
    )


def data_of(page: str) -> Any:
    """Return the data in a page."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])
