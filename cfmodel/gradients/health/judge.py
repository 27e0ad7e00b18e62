"""Judgement of a training: the findings of all rules, the likeliest cause first."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from cfmodel.gradients.health.rules.catalogue import RULES, Rule
from cfmodel.gradients.health.thresholds import Thresholds
from cfmodel.gradients.health.verdicts import SEVERITIES, Finding, HealthReport, Verdict
from cfmodel.gradients.recording.gradient_history import GradientHistory

#: The default thresholds.
THRESHOLDS = Thresholds()

#: Returns the id in the source of a row of a side, such as `user`.
IdOf = Callable[[str, int], str]


def judge_health(
    history: GradientHistory,
    *,
    ids: IdOf | None = None,
    thresholds: Thresholds = THRESHOLDS,
    early: bool = False,
) -> HealthReport:
    """Apply every rule to a training.

    Verdicts are sorted by severity and then by the order of `RULES`: causes before consequences. A
    cause is at least as severe as its consequences, so a warning that comes before an error in that
    order becomes an error and stays above it.

    Args:
        ids: Returns the ids of rows; None shows row numbers.
        thresholds: What the measurements are compared with.
        early: Apply only the rules that work during training.
    """
    found = [
        (rule, finding)
        for rule in RULES
        if (rule.early or not early)
        and (rule.of_equal or not history.has_equal_ratings)
        and (finding := rule.check(history, thresholds)) is not None
    ]
    named: IdOf = ids or (lambda _, row: f"row {row}")
    verdicts = [_verdict(rule, finding, named) for rule, finding in _first_of_each(_raised(found))]
    # Sorting is stable: within a severity the order of RULES stays.
    return HealthReport(tuple(sorted(verdicts, key=lambda verdict: SEVERITIES.index(verdict.severity))))


def _raised(found: Sequence[tuple[Rule, Finding]]) -> list[tuple[Rule, Finding]]:
    """Turn warnings that an error comes after into errors."""
    last = max((place for place, (_, finding) in enumerate(found) if finding.severity == "error"), default=-1)
    return [
        (rule, replace(finding, severity="error") if place < last and finding.severity == "warning" else finding)
        for place, (rule, finding) in enumerate(found)
    ]


def _first_of_each(found: Sequence[tuple[Rule, Finding]]) -> list[tuple[Rule, Finding]]:
    """Keep only the first finding of rules that share a name."""
    seen: dict[str, tuple[Rule, Finding]] = {}
    for rule, finding in found:
        seen.setdefault(rule.name, (rule, finding))
    return list(seen.values())


def _verdict(rule: Rule, finding: Finding, ids: IdOf) -> Verdict:
    return Verdict(
        rule=rule.name,
        severity=finding.severity,
        value=finding.value,
        threshold=finding.threshold,
        message=finding.message,
        remedy=rule.remedy,
        first_step=finding.first_step,
        table=finding.table,
        ids=tuple(f"{side} {ids(side, row)}" for side, row in finding.rows),
        words=rule.words,
    )
