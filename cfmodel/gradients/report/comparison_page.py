"""The page of a comparison: what differs, what came of it, and the gradients subtracted bucket by bucket."""

from collections.abc import Mapping, Sequence
from string import Template
from typing import Any

import numpy as np

from cfmodel.gradients.recording.gradient_records import TABLES, Floats
from cfmodel.gradients.report.comparison import (
    HEADLINES,
    ComparedRun,
    Comparison,
    best_runs,
    distance_rows,
    norm_curve,
    role,
)
from cfmodel.gradients.report.histogram_difference import GradientDifference
from cfmodel.gradients.report.page import escape, fact_list, page, source, table, words
from cfmodel.gradients.report.page_data import octave_axis, rounded

SCRIPTS = ("charts.js", "lines.js", "histograms.js", "comparison.js")

#: Shares become counts of this many for the axis, which is chosen from counts.
_WHOLE = 10**9


def comparison_page(comparison: Comparison) -> str:
    """Return a comparison as one HTML page that needs nothing else."""
    title = f"{len(comparison.runs)} runs compared"
    pairs = {name: comparison.differences(name) for name in TABLES} if len(comparison.watched) > 1 else {}
    body = Template(source("comparison.html")).substitute(
        title=escape(title),
        facts=fact_list({role(number): run.label for number, run in enumerate(comparison.runs)}),
        settings=_settings(comparison),
        metrics=_data_note(comparison) + _metrics(comparison),
        gradients=_gradients(comparison) if pairs else _unwatched(comparison),
    )
    return page(title, body, data=_data(comparison, pairs), scripts=SCRIPTS)


def _settings(comparison: Comparison) -> str:
    rows = comparison.settings()
    if not rows:
        return "<p>None: all settings are the same.</p>"
    return table(["setting", *(run.label for run in comparison.runs)], rows, caption="Settings that differ")


def _data_note(comparison: Comparison) -> str:
    note = comparison.data_note()
    return "" if note is None else f'<p class="note" role="alert"><strong>{escape(note)}</strong></p>'


def _metrics(comparison: Comparison) -> str:
    found = dict(comparison.metrics())
    first = {name: found.pop(name) for name in HEADLINES if name in found}
    shown = _metric_table(comparison, first, caption="Metrics")
    if not found:
        return shown
    others = _metric_table(comparison, found, caption="All other metrics")
    return f"{shown}<details><summary>{len(found):,} more</summary>{others}</details>"


def _metric_table(comparison: Comparison, found: Mapping[str, Sequence[float | None]], *, caption: str) -> str:
    rows = [[name, *map(_number, values)] for name, values in found.items()]
    best = {(row, place + 1) for row, (name, values) in enumerate(found.items()) for place in best_runs(name, values)}
    # Of errors on different rows none is the best.
    best = best if comparison.same_data else set()
    return table(["metric", *(run.label for run in comparison.runs)], rows, caption=caption, best=best)


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:.5g}"


def _unwatched(comparison: Comparison) -> str:
    unwatched = [run.label for run in comparison.runs if run not in comparison.watched]
    return (
        '<section id="histograms" tabindex="-1"><h2>Gradients</h2><p>Fewer than two of these runs recorded their '
        f"gradients. Without a record: {escape(', '.join(unwatched))}.</p></section>"
    )


def _gradients(comparison: Comparison) -> str:
    base, *others = comparison.watched
    names = "".join(f'<option value="{place}">{escape(run.label)}</option>' for place, run in enumerate(others))
    rows = distance_rows(comparison)
    return Template(source("comparison-gradients.html")).substitute(
        others=f'<label>held against the base: <select id="other">{names}</select></label>',
        base=escape(base.label),
        distances=table(
            ["mean over progress", *(run.label for run in comparison.runs)], rows, caption="How far gradients are apart"
        )
        + '<p class="note">0%: histograms are alike. 100%: they have no bucket in common.</p>',
        tables="".join(
            Template(source("comparison-table.html")).substitute(table=name, label=words(name)) for name in TABLES
        ),
        norms="".join(
            f'<figure id="norms-{name}"><div class="title">{words(name)}</div><div class="legend"></div>'
            '<div class="chart"></div></figure>'
            for name in TABLES
        ),
    )


def _data(comparison: Comparison, pairs: dict[str, list[GradientDifference]]) -> dict[str, Any]:
    first = next(iter(pairs.values()), [])
    return {
        "runs": [run.label for run in comparison.runs],
        "curves": [{key: _curve(run, key) for key in ("val/rmse", "train/rmse")} for run in comparison.runs],
        "pairs": [{"progress": rounded(pair.progress)} for pair in first],
        "tables": {name: _table(found) for name, found in pairs.items()},
        "norms": [{"run": comparison.runs.index(run), "curves": _norms(run)} for run in comparison.watched if pairs],
    }


def _curve(run: ComparedRun, key: str) -> list[tuple[int, float | None]]:
    return [(epoch, rounded(value)) for epoch, value in run.curves.get(key, ())]


def _norms(run: ComparedRun) -> dict[str, Any]:
    assert run.history is not None
    return {name or "total": [rounded(point) for point in norm_curve(run.history, name)] for name in (None, *TABLES)}


def _table(pairs: Sequence[GradientDifference]) -> dict[str, Any]:
    """Return one table's shares on an axis that all runs share."""
    everything = np.concatenate([part for pair in pairs for part in (pair.base, pair.other)])
    axis = octave_axis((np.nan_to_num(everything) * _WHOLE).astype(np.int64), signed=True)

    def cells(shares: Floats) -> Any:
        return [None if np.isnan(row).any() else rounded(row) for row in axis.cells(shares)]

    return {
        "axis": {"low": axis.low, "octaves": axis.octaves, "signed": True},
        "base": cells(pairs[0].base),
        "others": [
            {"other": cells(pair.other), "difference": cells(pair.difference), "distance": rounded(pair.distance)}
            for pair in pairs
        ],
    }
