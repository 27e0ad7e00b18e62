"""The report of one run: every table's gradients over training, whether they are healthy, and what it means."""

from collections.abc import Callable, Mapping, Sequence
from string import Template
from typing import Any

from cfmodel.gradients.health.verdicts import HealthReport
from cfmodel.gradients.recording.gradient_history import GradientHistory
from cfmodel.gradients.recording.gradient_records import TABLES, EpochGradients, GradientRecord, TableHealth
from cfmodel.gradients.report.page import escape, fact_list, page, source, table, words
from cfmodel.gradients.report.page_data import histories, phase_pictures
from cfmodel.gradients.report.verdicts_html import verdict_section

SCRIPTS = ("charts.js", "lines.js", "histograms.js", "report.js")

_PHASES = {"fit": "fit: train, val watched", "refit": "refit: train and val together"}
_PARTS = {
    "health": "Health",
    "histograms": "Gradients of each table",
    "norms": "Norms and clipping",
    "loss": "Loss and error",
    "updates": "Adam's updates",
    "popularity": "Who gets the gradient",
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
    """Return the report as one HTML page that needs nothing else.

    Args:
        records: What the monitor saw, of one phase or both.
        health: What the rules say of it.
        title: Heading, as plain text.
        facts: What the run is, name to value, as plain text.
        lesson: HTML of a section with the id `lesson`; without scripts, its texts escaped. Empty: none.
    """
    phases = histories(records)
    body = Template(source("report.html")).substitute(
        title=escape(title),
        facts=fact_list(facts),
        links=_links([*(_PICTURES if phases else ()), *(["lesson"] if lesson else ())]),
        health=verdict_section(health),
        pictures=_pictures(list(phases.values())),
        lesson=lesson,
        about="".join(map(_about, phases.values())),
    )
    data = {"tables": TABLES, "phases": [phase_pictures(history) for history in phases.values()]}
    return page(title, body, data=data, scripts=SCRIPTS)


def _links(parts: Sequence[str]) -> str:
    shown = {part: text for part, text in _PARTS.items() if part in ("health", "about", *parts)}
    return "".join(f'<a href="#{part}" data-to="{part}">{text}</a>' for part, text in shown.items())


def _pictures(phases: Sequence[GradientHistory]) -> str:
    if not phases:
        return "<p>The training ended before its first step was recorded: there is nothing to draw.</p>"
    return Template(source("report-pictures.html")).substitute(
        phases=_phase_buttons([history.initial.phase for history in phases if history.initial]),
        tables="".join(Template(source("table.html")).substitute(table=name, label=words(name)) for name in TABLES),
        deciles="".join(_decile_figure(name) for name in TABLES),
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
    return f'<span role="group" aria-label="Training shown">{" ".join(buttons)}</span>'


def _decile_figure(name: str) -> str:
    return (
        f'<figure id="{name}-deciles"><div class="title">{words(name)}</div><div class="legend"></div>'
        '<div class="chart"></div></figure>'
    )


# ---- tables of numbers ----


def _rows_table(record: EpochGradients) -> str:
    lines: dict[str, Callable[[TableHealth], str]] = {
        "rows": lambda one: f"{one.rows:,}",
        "ever looked up": lambda one: f"{one.id_coverage:.1%}",
        "dead": lambda one: f"{one.dead_rows:,}",
        "cold": lambda one: f"{one.cold_rows:,}",
        "movement of cold rows, over their norm": lambda one: _number(one.cold_drift),
        "frozen": lambda one: "yes" if one.frozen else "no",
        "norm of a row, median": lambda one: _number(one.row_norm_quantiles[2]),
        "norm of a row, 5% to 95%": lambda one: (
            f"{_number(one.row_norm_quantiles[0])} to {_number(one.row_norm_quantiles[4])}"
        ),
        "effective rank": lambda one: "–" if one.effective_rank is None else f"{one.effective_rank:.1f}",
        "mean leak": lambda one: "–" if one.mean_leak is None else f"{one.mean_leak:.1%}",
    }
    caption = f"Rows after epoch {record.epoch:,} of {record.phase}"
    rows = [[name, *(show(record.tables[key]) for key in TABLES)] for name, show in lines.items()]
    return f"<h3>{escape(caption)}</h3>" + table(["", *map(words, TABLES)], rows, caption=caption)


def _about(history: GradientHistory) -> str:
    start, cost = history.initial, history.cost
    assert start is not None
    text = (
        f"{start.phase.capitalize()}: {start.num_ratings:,} ratings in steps of {start.batch_size:,}. Before the first "
        f"step the predictions spread by {_number(start.prediction_std)} rating units, the ratings themselves by "
        f"{_number(start.rating_std)}."
    )
    if cost is not None:
        more = f" and one in {cost.sample_every:,}" if cost.sample_every <= history.num_steps else ""
        text += (
            f" Of each of the {history.num_steps:,} steps norms, loss and largest error are recorded; {cost.samples:,} "
            f"steps were looked at closely: 1, 4, 16, the last ones of epochs 1, 2, 4, 8 ... and of the last{more}. "
            f"Watching took {_number(cost.seconds)} s, {cost.overhead_fraction:.2%} of the training."
        )
    return f"<p>{escape(text)}</p>"


def _number(value: Any) -> str:
    return f"{value:,.3g}" if abs(value) < 1e6 else f"{value:.2e}"
