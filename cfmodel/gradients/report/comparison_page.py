"""HTML page of a comparison: settings that differ, metrics, and the difference of the gradients by bucket."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from cfmodel.gradients.recording.gradient_records import Floats
from cfmodel.gradients.report.comparison import (
    HEADLINES,
    ComparedRun,
    RunComparison,
    best_runs,
    distance_rows,
    norm_curve,
    role_of,
)
from cfmodel.gradients.report.histogram_difference import GradientDifference
from cfmodel.gradients.report.page import escape, fact_list, figure, fill, page, table, title_of
from cfmodel.gradients.report.page_data import octave_axis, rounded

_SCRIPTS = ("charts.js", "lines.js", "histograms.js", "comparison.js")

#: Shares are multiplied by this to choose their axis, which is made for counts.
_WHOLE = 10**9


def comparison_page(comparison: RunComparison) -> str:
    """Return a comparison as one self-contained HTML page."""
    title = f"{len(comparison.runs)} runs compared"
    pairs = {name: comparison.differences(name) for name in comparison.tables}
    body = fill(
        "comparison.html",
        title=escape(title),
        facts=fact_list({role_of(number): run.label for number, run in enumerate(comparison.runs)}),
        settings=_settings(comparison),
        metrics=_data_note(comparison) + _metrics(comparison),
        gradients=_gradients(comparison) if pairs else _no_gradients(comparison),
    )
    return page(title, body, data=_data(comparison, pairs), scripts=_SCRIPTS)


def _settings(comparison: RunComparison) -> str:
    rows = comparison.settings()
    if not rows:
        return "<p>None: all settings are the same.</p>"
    return table(["setting", *(run.label for run in comparison.runs)], rows, caption="Settings that differ")


def _data_note(comparison: RunComparison) -> str:
    note = comparison.data_note()
    return "" if note is None else f'<p class="note" role="alert"><strong>{escape(note)}</strong></p>'


def _metrics(comparison: RunComparison) -> str:
    found = dict(comparison.metrics())
    first = {name: found.pop(name) for name in HEADLINES if name in found}
    shown = _metric_table(comparison, first, caption="Metrics")
    if not found:
        return shown
    others = _metric_table(comparison, found, caption="All other metrics")
    return f"{shown}<details><summary>{len(found):,} more</summary>{others}</details>"


def _metric_table(comparison: RunComparison, found: Mapping[str, Sequence[float | None]], *, caption: str) -> str:
    rows = [[name, *map(_number, values)] for name, values in found.items()]
    best = {(row, place + 1) for row, (name, values) in enumerate(found.items()) for place in best_runs(name, values)}
    # Errors on different rows have no best.
    best = best if comparison.same_data else set()
    return table(["metric", *(run.label for run in comparison.runs)], rows, caption=caption, best=best)


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:.5g}"


def _no_gradients(comparison: RunComparison) -> str:
    unwatched = [run.label for run in comparison.runs if run not in comparison.watched]
    reason = "The models of these runs have no table in common."
    if len(comparison.watched) < 2:
        reason = f"Fewer than two of these runs recorded their gradients. Without a record: {', '.join(unwatched)}."
    return f'<section id="histograms" tabindex="-1"><h2>Gradients</h2><p>{escape(reason)}</p></section>'


def _gradients(comparison: RunComparison) -> str:
    base, *others = comparison.watched
    names = "".join(f'<option value="{place}">{escape(run.label)}</option>' for place, run in enumerate(others))
    rows = distance_rows(comparison)
    return fill(
        "comparison-gradients.html",
        others=f'<label>compared with the base: <select id="other">{names}</select></label>',
        base=escape(base.label),
        distances=table(
            ["mean over progress", *(run.label for run in comparison.runs)], rows, caption="Distance of the gradients"
        )
        + '<p class="note">0%: the histograms are equal. 100%: they have no bucket in common.</p>',
        tables="".join(
            fill("comparison-table.html", table=escape(name), label=escape(title_of(name)))
            for name in comparison.tables
        ),
        norms="".join(figure(f"norms-{name}", title_of(name)) for name in comparison.tables),
    )


def _data(comparison: RunComparison, pairs: dict[str, list[GradientDifference]]) -> dict[str, Any]:
    first = next(iter(pairs.values()), [])
    return {
        "runs": [run.label for run in comparison.runs],
        "curves": [{key: _curve(run, key) for key in ("val/rmse", "train/rmse")} for run in comparison.runs],
        "pairs": [{"progress": rounded(pair.progress)} for pair in first],
        "tables": {name: _table(found) for name, found in pairs.items()},
        "norms": [
            {"run": comparison.runs.index(run), "curves": _norms(run, pairs)} for run in comparison.watched if pairs
        ],
    }


def _curve(run: ComparedRun, key: str) -> list[tuple[int, float | None]]:
    return [(epoch, rounded(value)) for epoch, value in run.curves.get(key, ())]


def _norms(run: ComparedRun, tables: Iterable[str]) -> dict[str, Any]:
    assert run.history is not None
    return {name or "total": [rounded(point) for point in norm_curve(run.history, name)] for name in (None, *tables)}


def _table(pairs: Sequence[GradientDifference]) -> dict[str, Any]:
    """Return one table's shares on an axis common to all runs."""
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
