"""HTML report of one run: its health, and each table's gradients over the training."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cfmodel.gradients.health.verdicts import HealthReport
from cfmodel.gradients.recording.gradient_history import GradientHistory
from cfmodel.gradients.recording.gradient_records import EpochGradients, GradientRecord, TableHealth
from cfmodel.gradients.report.page import escape, fact_list, figure, fill, page, table, title_of
from cfmodel.gradients.report.page_data import histories, phase_pictures
from cfmodel.gradients.report.verdicts_html import verdict_section

_SCRIPTS = ("charts.js", "lines.js", "histograms.js", "report.js")

_PHASES = {"fit": "fit: trained on train, checked on val", "refit": "refit: trained on train and val"}
_PARTS = {
    "health": "Health",
    "histograms": "Gradients of each table",
    "norms": "Norms and clipping",
    "loss": "Loss and error",
    "updates": "Adam's updates",
    "popularity": "Gradient by popularity",
    "rows": "Rows",
    "lesson": "What a gradient is",
    "about": "How it was measured",
}
_PICTURES = ("histograms", "norms", "loss", "updates", "popularity", "rows")


def gradient_report(
    records: Sequence[GradientRecord],
    health: HealthReport,
    *,
    title: str,
    facts: Mapping[str, str],
    lesson: str = "",
) -> str:
    """Return the report as one self-contained HTML page; `title` and `facts` are plain text.

    Args:
        lesson: HTML of a section with the id `lesson`, without scripts and with escaped texts; empty: none.
    """
    phases = histories(records)
    tables = next((history.tables for history in phases.values()), ())
    sides = [history.side_of(name) for history in list(phases.values())[:1] for name in tables]
    body = fill(
        "report.html",
        title=escape(title),
        facts=fact_list(facts),
        links=_links([*(_PICTURES if phases else ()), *(["lesson"] if lesson else ())]),
        health=verdict_section(health),
        pictures=_pictures(list(phases.values())),
        lesson=lesson,
        about="".join(map(_about, phases.values())),
    )
    pictures = [phase_pictures(history) for history in phases.values()]
    return page(title, body, data={"tables": tables, "sides": sides, "phases": pictures}, scripts=_SCRIPTS)


def _links(parts: Sequence[str]) -> str:
    shown = {part: text for part, text in _PARTS.items() if part in ("health", "about", *parts)}
    return "".join(f'<a href="#{part}" data-to="{part}">{text}</a>' for part, text in shown.items())


def _pictures(phases: Sequence[GradientHistory]) -> str:
    if not phases:
        return "<p>The training ended before its first step was recorded: there is nothing to draw.</p>"
    tables = phases[0].tables
    return fill(
        "report-pictures.html",
        phases=_phase_buttons([history.initial.phase for history in phases if history.initial]),
        tables="".join(fill("table.html", table=escape(name), label=escape(title_of(name))) for name in tables),
        deciles="".join(figure(f"{name}-deciles", title_of(name)) for name in tables),
        rows="".join(_rows_table(history.epochs[-1]) for history in phases if history.epochs),
    )


def _phase_buttons(phases: Sequence[str]) -> str:
    if len(phases) < 2:
        return ""
    buttons = (
        f'<button type="button" data-phase="{number}" aria-pressed="{str(number == 0).lower()}" '
        f'title="{escape(_PHASES.get(phase, phase))}">{escape(phase)}</button>'
        for number, phase in enumerate(phases)
    )
    return f'<span role="group" aria-label="Training phase">{" ".join(buttons)}</span>'


def _rows_table(record: EpochGradients) -> str:
    lines: dict[str, Callable[[TableHealth], str]] = {
        "rows": lambda one: f"{one.rows:,}",
        "looked up at least once": lambda one: f"{one.id_coverage:.1%}",
        "dead": lambda one: f"{one.dead_rows:,}",
        "cold": lambda one: f"{one.cold_rows:,}",
        "movement of cold rows over their norm": lambda one: _number(one.cold_drift),
        "frozen": lambda one: "yes" if one.frozen else "no",
        "norm of a row, median": lambda one: _number(one.row_norm_quantiles[2]),
        "norm of a row, 5% to 95%": lambda one: (
            f"{_number(one.row_norm_quantiles[0])} to {_number(one.row_norm_quantiles[4])}"
        ),
        "effective rank": lambda one: "–" if one.effective_rank is None else f"{one.effective_rank:.1f}",
        "mean leak": lambda one: "–" if one.mean_leak is None else f"{one.mean_leak:.1%}",
    }
    caption = f"Rows after epoch {record.epoch:,} of {record.phase}"
    rows = [[name, *map(show, record.tables.values())] for name, show in lines.items()]
    return f"<h3>{escape(caption)}</h3>" + table(["", *map(title_of, record.tables)], rows, caption=caption)


def _about(history: GradientHistory) -> str:
    start, cost = history.initial, history.cost
    assert start is not None
    text = (
        f"{start.phase.capitalize()}: {start.num_ratings:,} ratings in batches of {start.batch_size:,}. Before the "
        f"first step the predictions spread {_number(start.prediction_std / (start.rating_std or 1.0))} times as "
        f"widely as the ratings."
    )
    if cost is not None:
        every = f", and one step in {cost.sample_every:,}" if cost.sample_every <= history.num_steps else ""
        text += (
            f" Norms, loss and largest error were recorded at all {history.num_steps:,} steps; {cost.samples:,} steps "
            f"were sampled for the other pictures: 1, 4, 16, the last of epochs 1, 2, 4, 8 ... and of the last "
            f"epoch{every}. Monitoring took {_number(cost.seconds)} s, {cost.overhead_fraction:.2%} of the training."
        )
    return f"<p>{escape(text)}</p>"


def _number(value: Any) -> str:
    return f"{value:,.3g}" if abs(value) < 1e6 else f"{value:.2e}"
