"""Findings, verdicts and health reports: frozen, and ready for JSON and for a table."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

#: `error`: the model is useless or cannot learn. `warning`: it is worse than it could be.
#: `info`: worth knowing, and normal.
Severity = Literal["error", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")

#: The textbook's word for a gradient that grows without bound, shrinks to nothing, or is zero.
Word = Literal["exploding", "vanishing", "dead"]

HEALTHY = "healthy"


@dataclass(frozen=True)
class Finding:
    """What one rule found, with row numbers.

    Attributes:
        value: What was measured.
        threshold: What the value was compared with.
        message: What was seen, in one sentence.
        first_step: Step at which it was first seen; 0 is before the first update.
        table: The table it was seen in; None for the whole model.
        rows: Examples of affected rows, as pairs of side and row number.
    """

    severity: Severity
    value: float
    threshold: float
    message: str
    first_step: int
    table: str | None = None
    rows: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Verdict:
    """What one rule found, for a reader: a `Finding` with ids and a remedy.

    Attributes:
        ids: Examples of affected rows, each as side and id, such as `user 42`.
        words: The textbook's words for it: exploding, vanishing, dead.
    """

    rule: str
    severity: Severity
    value: float
    threshold: float
    message: str
    remedy: str
    first_step: int
    table: str | None
    ids: tuple[str, ...]
    words: tuple[Word, ...]

    def sentence(self) -> str:
        """Return the verdict as one line: its rule, what was seen, examples, and what to do."""
        ids = f" ({', '.join(self.ids)})" if self.ids else ""
        words = f" [{', '.join(self.words)}]" if self.words else ""
        return f"{self.rule}{words}: {self.message}{ids}; {self.remedy}"


@dataclass(frozen=True)
class HealthReport:
    """The verdicts on one training, most severe first; of equally severe ones the likeliest cause first."""

    verdicts: tuple[Verdict, ...]

    @property
    def overall(self) -> str:
        """The worst severity among errors and warnings, or `healthy`."""
        worst = self.verdicts[0].severity if self.verdicts else "info"
        return HEALTHY if worst == "info" else worst

    @property
    def first(self) -> Verdict | None:
        """The verdict to act on first; None if the training is healthy."""
        return None if self.overall == HEALTHY else self.verdicts[0]

    def as_tags(self) -> dict[str, str]:
        """Return the report as tags of a run: the worst severity, and the verdict to act on first."""
        first = {} if self.first is None else {"health.first": self.first.sentence()}
        return {"health.verdict": self.overall, **first}

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain values; a number that is not finite becomes text, as JSON has none."""
        return {"verdict": self.overall, "verdicts": [_plain(asdict(verdict)) for verdict in self.verdicts]}

    def as_rows(self) -> list[dict[str, Any]]:
        """Return one row per verdict, for a table."""
        return [_row(verdict) for verdict in self.verdicts]


def _row(verdict: Verdict) -> dict[str, Any]:
    return {
        "severity": verdict.severity,
        "rule": verdict.rule,
        "what was seen": verdict.message,
        "what to do": verdict.remedy,
        "value": _number(verdict.value),
        "threshold": _number(verdict.threshold),
        "first step": verdict.first_step,
        "table": verdict.table or "",
        "ids": ", ".join(verdict.ids),
        "textbook": ", ".join(verdict.words),
    }


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: str(value) if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in values.items()
    }


def _number(value: float) -> str:
    return f"{value:.4g}"
