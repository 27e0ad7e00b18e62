"""The verdicts as they stand on top of the report, each with a link to the picture that shows it."""

import re

from cfmodel.gradients.health.rules.catalogue import RULES
from cfmodel.gradients.health.verdicts import HealthReport, Verdict
from cfmodel.gradients.report.page import escape, words

#: The textbook's issues, and what a verdict of one of them is known by: one of its words or its rule.
_ISSUES = {
    "Vanishing gradients": ("vanishing",),
    "Exploding gradients": ("exploding",),
    "Dead neurons, here rows and tables": ("dead",),
    "Learning rate too high": ("learning_rate_too_high",),
    "Learning rate too low": ("learning_rate_too_low",),
}
_SIGNS = {"info": "a note"}
_NUM_RULES = len({rule.name for rule in RULES})
_OVERALL = {"healthy": "healthy", "warning": "warnings", "error": "errors"}

#: Which part of the page shows what a rule looks at; a rule that names a table points at the table's pictures.
_PARTS = {
    "loss": ("loss_spike", "learning_rate_too_high", "learning_rate_too_low", "no_signal"),
    "loss-largest": ("outlier_labels",),
    "norms": ("non_finite", "clipping"),
    "rows": (
        "dead_rows",
        "frozen_table",
        "id_coverage",
        "mean_leak",
        "collapsed_embeddings",
        "cold_row_drift",
        "embeddings_add_nothing",
    ),
    "updates-ghost": ("ghost_updates",),
    "updates-noise": ("noise_floor",),
    "about": ("initialisation_too_large",),
}
_PART_OF = {rule: part for part, rules in _PARTS.items() for rule in rules}
_SHOWN_AS = {
    "loss": "loss and error",
    "loss-largest": "the largest error of each batch",
    "norms": "norms and clipping",
    "rows": "the rows",
    "updates-ghost": "ghost share",
    "updates-noise": "noise scale",
    "about": "how it began",
    "histograms": "the gradients of each table",
}


def verdict_section(health: HealthReport) -> str:
    """Return the health section as HTML: what is wrong first, notes folded away where something is."""
    overall = health.overall
    return (
        '<section id="health" tabindex="-1" aria-labelledby="health-title"><h2 id="health-title">Health: '
        f'<span class="verdict {overall}">{_OVERALL[overall]}</span></h2>{_issues(health)}{_verdicts(health)}</section>'
    )


def part_of(verdict: Verdict) -> str:
    """Return the id of the part of the page where a verdict can be seen."""
    return _PART_OF.get(verdict.rule) or verdict.table or "histograms"


def _issues(health: HealthReport) -> str:
    """Return a line that answers for each of the textbook's issues, found or not."""
    return f'<ul class="issues">{"".join(_issue(name, signs, health) for name, signs in _ISSUES.items())}</ul>'


def _issue(name: str, signs: tuple[str, ...], health: HealthReport) -> str:
    found = [each for each in health.verdicts if {each.rule, *each.words}.intersection(signs)]
    if not found:
        return f'<li>{name}: <b class="verdict healthy">no sign</b></li>'
    severity = escape(found[0].severity)
    rules = ", ".join(escape(words(each.rule).lower()) for each in found)
    return f'<li>{name}: <b class="verdict {severity}">{_SIGNS.get(severity, severity)}</b> ({rules})</li>'


def _verdicts(health: HealthReport) -> str:
    loud = [_verdict(verdict) for verdict in health.verdicts if verdict.severity != "info"]
    quiet = [_verdict(verdict) for verdict in health.verdicts if verdict.severity == "info"]
    if not loud:
        nothing = f"None of {_NUM_RULES} rules found anything wrong."
        loud = [f'<li class="healthy"><span class="badge">healthy</span>{nothing}</li>']
    shown = f'<ul class="verdicts">{"".join(loud)}</ul>'
    if not quiet:
        return shown
    count = f"{len(quiet)} {'note' if len(quiet) == 1 else 'notes'}: normal for a healthy run, good to know"
    return f'{shown}<details><summary>{count}</summary><ul class="verdicts">{"".join(quiet)}</ul></details>'


def _verdict(verdict: Verdict) -> str:
    textbook = f' <span class="soft">({escape(", ".join(verdict.words))})</span>' if verdict.words else ""
    where = f" in {escape(words(verdict.table).lower())}" if verdict.table else ""
    whom = f" For example: {escape(', '.join(verdict.ids))}." if verdict.ids else ""
    return (
        f'<li class="{escape(verdict.severity)}"><p><span class="badge">{escape(verdict.severity)}</span>'
        f"<b>{escape(words(verdict.rule))}</b>{where}{textbook}. "
        f"{escape(_sentence(verdict.message))} {_pointer(verdict)}</p>"
        f"<p>What to do: {_with_code(_sentence(verdict.remedy, first=False))}{whom}</p>"
        f'<p class="note">measured {verdict.value:.4g}, threshold {verdict.threshold:.4g}, first at step '
        f"{verdict.first_step:,}; rule <code>{escape(verdict.rule)}</code></p></li>"
    )


def _sentence(text: str, *, first: bool = True) -> str:
    begun = text[:1].upper() + text[1:] if first else text
    return begun if begun.endswith((".", "!", "?")) else f"{begun}."


def _with_code(text: str) -> str:
    """Escape a text and set what stands between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _pointer(verdict: Verdict) -> str:
    part = part_of(verdict)
    name = _SHOWN_AS.get(part, words(part).lower())
    return (
        f'<a href="#{part}" data-to="{part}" data-phase="fit" data-step="{max(verdict.first_step, 1)}">See {name}</a>'
    )
