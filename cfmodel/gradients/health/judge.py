"""The judgement of a training: which rules found something, the likeliest cause first."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from cfmodel.gradients.health.rules.catalogue import RULES, Rule
from cfmodel.gradients.health.thresholds import Thresholds
from cfmodel.gradients.health.verdicts import SEVERITIES, Finding, HealthReport, Verdict
from cfmodel.gradients.recording.gradient_history import GradientHistory

#: The thresholds in use, and their defaults.
THRESHOLDS = Thresholds()

#: Turns a table's name and a row number into the id as the source knows it.
IdOf = Callable[[str, int], str]


def judge(
    history: GradientHistory,
    *,
    ids: IdOf | None = None,
    thresholds: Thresholds = THRESHOLDS,
    early: bool = False,
) -> HealthReport:
    """Hold a training against every rule.

    Verdicts are sorted by severity and, within one, by the order of `RULES`: causes before
    consequences. A cause is at least as severe as what follows from it, so a warning that comes
    with an error further down is raised to one and stays above it.

    Args:
        history: What the monitor saw, from the first step on.
        ids: Turns rows into ids; without it rows are shown by number.
        thresholds: What the measurements are held against.
        early: Use only the rules that can be told while training goes on.
    """
    found = [
        (rule, finding)
        for rule in RULES
        if (rule.early or not early) and (finding := rule.check(history, thresholds)) is not None
    ]
    verdicts = [_verdict(rule, finding, ids or _row_number) for rule, finding in _first_of_each(_raised(found))]
    # Sorting is stable: within a severity the order of RULES stays.
    return HealthReport(tuple(sorted(verdicts, key=lambda verdict: SEVERITIES.index(verdict.severity))))


def _raised(found: Sequence[tuple[Rule, Finding]]) -> list[tuple[Rule, Finding]]:
    """Raise warnings to errors where an error comes after them."""
    last = max((place for place, (_, finding) in enumerate(found) if finding.severity == "error"), default=-1)
    return [
        (rule, replace(finding, severity="error") if place < last and finding.severity == "warning" else finding)
        for place, (rule, finding) in enumerate(found)
    ]


def _first_of_each(found: Sequence[tuple[Rule, Finding]]) -> list[tuple[Rule, Finding]]:
    """Keep the first finding of rules that share a name."""
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
        ids=tuple(f"{table.partition('_')[0]} {ids(table, row)}" for table, row in finding.rows),
        words=rule.words,
    )


def _row_number(_: str, row: int) -> str:
    return f"row {row}"
