"""HTML of the verdicts at the top of the report, each with a link to the picture that shows it."""

import re

from cfmodel.gradients.health.rules.catalogue import RULES
from cfmodel.gradients.health.verdicts import HealthReport, Verdict
from cfmodel.gradients.report.page import escape, title_of

#: The textbook's issues, each with the textbook words or rules of its verdicts.
_ISSUES = {
    "Vanishing gradients": ("vanishing",),
    "Exploding gradients": ("exploding",),
    "Dead neurons, here rows and tables": ("dead",),
    "Learning rate too high": ("learning_rate_too_high",),
    "Learning rate too low": ("learning_rate_too_low",),
}
_SEVERITIES = {"info": "a note"}
_NUM_RULES = len({rule.name for rule in RULES})
_OVERALL = {"healthy": "healthy", "warning": "warnings", "error": "errors"}

#: Part of the page that shows what a rule measures; other rules point at the pictures of their table.
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
    "about": "how it was measured",
    "histograms": "the gradients of each table",
}


def verdict_section(health: HealthReport) -> str:
    """Return the health section as HTML: warnings and errors first, notes folded away."""
    overall = health.overall
    return (
        '<section id="health" tabindex="-1" aria-labelledby="health-title"><h2 id="health-title">Health: '
        f'<span class="verdict {overall}">{_OVERALL[overall]}</span></h2>{_issues(health)}{_verdicts(health)}</section>'
    )


def part_of(verdict: Verdict) -> str:
    """Return the id of the part of the page that shows a verdict."""
    return _PART_OF.get(verdict.rule) or verdict.table or "histograms"


def _issues(health: HealthReport) -> str:
    """Return a list with an answer for each of the textbook's issues, found or not."""
    return f'<ul class="issues">{"".join(_issue(name, signs, health) for name, signs in _ISSUES.items())}</ul>'


def _issue(name: str, signs: tuple[str, ...], health: HealthReport) -> str:
    found = [each for each in health.verdicts if {each.rule, *each.words}.intersection(signs)]
    if not found:
        return f'<li>{name}: <b class="verdict healthy">no sign</b></li>'
    severity = escape(found[0].severity)
    rules = ", ".join(escape(title_of(each.rule).lower()) for each in found)
    return f'<li>{name}: <b class="verdict {severity}">{_SEVERITIES.get(severity, severity)}</b> ({rules})</li>'


def _verdicts(health: HealthReport) -> str:
    loud = [_verdict(verdict) for verdict in health.verdicts if verdict.severity != "info"]
    quiet = [_verdict(verdict) for verdict in health.verdicts if verdict.severity == "info"]
    if not loud:
        nothing = f"None of the {_NUM_RULES} rules found a fault."
        loud = [f'<li class="healthy"><span class="badge">healthy</span>{nothing}</li>']
    shown = f'<ul class="verdicts">{"".join(loud)}</ul>'
    if not quiet:
        return shown
    count = f"{len(quiet)} {'note' if len(quiet) == 1 else 'notes'}: normal in a healthy run, good to know"
    return f'{shown}<details><summary>{count}</summary><ul class="verdicts">{"".join(quiet)}</ul></details>'


def _verdict(verdict: Verdict) -> str:
    textbook = f' <span class="soft">({escape(", ".join(verdict.words))})</span>' if verdict.words else ""
    where = f" in {escape(title_of(verdict.table).lower())}" if verdict.table else ""
    examples = f" For example: {escape(', '.join(verdict.ids))}." if verdict.ids else ""
    return (
        f'<li class="{escape(verdict.severity)}"><p><span class="badge">{escape(verdict.severity)}</span>'
        f"<b>{escape(title_of(verdict.rule))}</b>{where}{textbook}. "
        f"{escape(_sentence(verdict.message))} {_pointer(verdict)}</p>"
        f"<p>What to do: {_with_code(_sentence(verdict.remedy, first=False))}{examples}</p>"
        f'<p class="note">measured {verdict.value:.4g}, threshold {verdict.threshold:.4g}, first at step '
        f"{verdict.first_step:,}; rule <code>{escape(verdict.rule)}</code></p></li>"
    )


def _sentence(text: str, *, first: bool = True) -> str:
    begun = text[:1].upper() + text[1:] if first else text
    return begun if begun.endswith((".", "!", "?")) else f"{begun}."


def _with_code(text: str) -> str:
    """Escape a text, and mark parts between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _pointer(verdict: Verdict) -> str:
    part = part_of(verdict)
    name = _SHOWN_AS.get(part, title_of(part).lower())
    return (
        f'<a href="#{part}" data-to="{part}" data-phase="fit" data-step="{max(verdict.first_step, 1)}">See {name}</a>'
    )
