"""The report of one run: every table's gradients over training, whether they are healthy, and what it means."""

from collections.abc import Callable, Mapping, Sequence
from string import Template
from typing import TYPE_CHECKING, Any

from cfmodel.gradients.page import escape, page, source, table
from cfmodel.gradients.pictures import last_epochs, phase_pictures, phases_of
from cfmodel.gradients.records import TABLES, EpochGradients, GradientRecord, InitialRecord, MonitorCost, TableHealth

if TYPE_CHECKING:
    from cfmodel.gradients.health import HealthReport, Verdict

#: From a table and its row numbers to the ids the source knows them by.
Names = Callable[[str, Sequence[int]], Sequence[str]]

SCRIPTS = ("charts.js", "histograms.js", "report.js")

_PHASES = {"fit": "fit: train, val watched", "refit": "refit: train and val together"}
_PARTS = {
    "health": "Health",
    "histograms": "Gradients of each table",
    "norms": "Norms and clipping",
    "loss": "Loss and error",
    "updates": "Updates",
    "popularity": "Who gets the gradient",
    "rows": "Rows",
    "lesson": "What a gradient is",
    "about": "How it was measured",
}
_WORST = {"healthy": "healthy", "info": "healthy, with notes", "warning": "warnings", "error": "errors"}


def row_numbers(_: str, rows: Sequence[int]) -> Sequence[str]:
    """Name rows by their number: where no vocabulary is at hand."""
    return [f"row {row:,}" for row in rows]


def gradient_report(
    records: Sequence[GradientRecord],
    health: "HealthReport",
    *,
    title: str,
    facts: Mapping[str, str],
    names: Names = row_numbers,
    lesson: str = "",
) -> str:
    """Return the report as one HTML page that needs nothing else.

    Args:
        records: What the monitor saw, of one phase or both, in order.
        health: What the rules say of it.
        title: Heading, as plain text.
        facts: What the run is, name to value, as plain text.
        names: From rows to ids, for the verdicts.
        lesson: HTML of a section with the id `lesson`; without scripts, its texts escaped. Empty: none.
    """
    phases = phases_of(records)
    worst = worst_severity(health)
    body = Template(source("report.html")).substitute(
        title=escape(title),
        facts="".join(f"<li>{escape(name)} <b>{escape(value)}</b></li>" for name, value in facts.items()),
        links=_links(bool(lesson)),
        worst=worst,
        worst_words=_WORST[worst],
        verdicts=_verdicts(health, names),
        phases=_phase_buttons(phases),
        tables="".join(Template(source("table.html")).substitute(table=name, label=_words(name)) for name in TABLES),
        deciles="".join(_decile_figure(name) for name in TABLES),
        rows="".join(_rows_table(record) for record in last_epochs(records).values()),
        lesson=lesson,
        about="".join(_about(records, phase) for phase in phases),
    )
    data = {"tables": TABLES, "phases": [phase_pictures(phase, records) for phase in phases]}
    return page(title, body, data=data, scripts=SCRIPTS)


def worst_severity(health: "HealthReport") -> str:
    """Return `error`, `warning`, `info` or `healthy`: the worst any verdict says."""
    found = {verdict.severity for verdict in health.verdicts}
    return next((severity for severity in ("error", "warning", "info") if severity in found), "healthy")


def _words(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _links(with_lesson: bool) -> str:
    shown = {part: words for part, words in _PARTS.items() if part != "lesson" or with_lesson}
    return "".join(f'<a href="#{part}" data-to="{part}">{words}</a>' for part, words in shown.items())


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
        f'<figure id="{name}-deciles"><div class="title">{_words(name)}</div><div class="chart"></div></figure>'
    )


# ---- verdicts ----


def _verdicts(health: "HealthReport", names: Names) -> str:
    if not health.verdicts:
        return '<ul class="verdicts"><li class="healthy"><span class="badge">healthy</span>No rule has anything to say.</li></ul>'
    loud = [verdict for verdict in health.verdicts if verdict.severity != "info"]
    quiet = [verdict for verdict in health.verdicts if verdict.severity == "info"]
    shown = f'<ul class="verdicts">{"".join(_verdict(verdict, names) for verdict in loud)}</ul>' if loud else ""
    if not quiet:
        return shown
    notes = "".join(_verdict(verdict, names) for verdict in quiet)
    words = f"{len(quiet)} {'note' if len(quiet) == 1 else 'notes'}: normal for a healthy run, good to know"
    return f'{shown}<details{"" if loud else " open"}><summary>{words}</summary><ul class="verdicts">{notes}</ul></details>'


def _verdict(verdict: "Verdict", names: Names) -> str:
    rows = names(verdict.table, verdict.rows) if verdict.table and verdict.rows else ()
    where = f"; {_words(verdict.table).lower()}" if verdict.table else ""
    whom = f" ({escape(', '.join(rows))})" if rows else ""
    return (
        f'<li class="{verdict.severity}"><p><span class="badge">{escape(verdict.severity)}</span>'
        f"<b>{escape(_words(verdict.rule))}</b>{escape(where)}{whom}: {_measured(verdict)}. {_pointer(verdict)}</p>"
        f"<p>{escape(verdict.remedy)}</p></li>"
    )


def _measured(verdict: "Verdict") -> str:
    return escape(f"{_number(verdict.value)}, threshold {_number(verdict.threshold)}, first at step {verdict.first_step:,}")


def _pointer(verdict: "Verdict") -> str:
    to = target(verdict)
    step = f' data-step="{verdict.first_step}"'
    return f'<a href="#{to}" data-to="{to}"{step}>Show it: {escape(_PARTS.get(to, _words(to)))}</a>'


def target(verdict: "Verdict") -> str:
    """Return the id of the part of the page where a verdict can be seen."""
    return "health"


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
        "norm of a row, 5 % to 95 %": lambda one: f"{_number(one.row_norm_quantiles[0])} to {_number(one.row_norm_quantiles[4])}",
        "effective rank": lambda one: "" if one.effective_rank is None else f"{one.effective_rank:.1f}",
        "mean leak": lambda one: "" if one.mean_leak is None else f"{one.mean_leak:.1%}",
    }
    caption = f"Rows after epoch {record.epoch:,} of {record.phase}"
    rows = [[name, *(show(record.tables[key]) for key in TABLES)] for name, show in lines.items()]
    return f"<h3>{escape(caption)}</h3>" + table(["", *map(_words, TABLES)], rows, caption=caption)


def _about(records: Sequence[GradientRecord], phase: str) -> str:
    mine = [record for record in records if record.phase == phase]
    start = next(record for record in mine if isinstance(record, InitialRecord))
    cost = next((record for record in mine if isinstance(record, MonitorCost)), None)
    words = (
        f"{phase.capitalize()}: {start.num_ratings:,} ratings in steps of {start.batch_size:,}. Before the first step the "
        f"predictions spread by {_number(start.prediction_std)} rating units, the ratings themselves by "
        f"{_number(start.rating_std)}."
    )
    if cost is not None:
        words += (
            f" Every step was recorded, and one in {cost.sample_every:,} looked at closely ({cost.samples:,} in all). "
            f"Watching took {_number(cost.seconds)} s, {cost.overhead_fraction:.2%} of the training."
        )
    return f"<p>{escape(words)}</p>"


def _number(value: Any) -> str:
    return "" if value is None else f"{value:,.3g}" if abs(value) < 1e6 else f"{value:.2e}"
