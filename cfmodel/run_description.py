"""What came of a run, on one page: its errors beside what it must beat, its health, and where to look on."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from cfmodel.run_summary import accuracy_rows, step_seconds, training_in_words

#: What the paragraph on promotion begins with, the one that changes after the run.
_PROMOTION = "Promotion: "

_ESCAPES = {ord(character): f"\\{character}" for character in "\\`*_[]|#"} | {ord("<"): "&lt;", ord("\n"): " "}


class Measured(Protocol):
    """Whatever knows a run's metrics and tags."""

    @property
    def metrics(self) -> Mapping[str, float]:
        """Last value of each metric."""
        ...

    @property
    def tags(self) -> Mapping[str, str]:
        """Every tag, as text."""
        ...


@dataclass(frozen=True)
class Outcome:
    """A run beside those it is held against.

    Attributes:
        source: What it learned from, as given.
        run: What was measured of it.
        others: Earlier runs by what they are here, such as "champion".
        links: Addresses by what is there.
    """

    source: str
    run: Measured
    others: Mapping[str, Measured] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)


def as_markdown(outcome: Outcome) -> str:
    """Return the page: one sentence, the table of errors, health, promotion, times and links."""
    run = outcome.run
    parts = [
        f"Biased matrix factorisation of **{escaped(outcome.source)}**, trained {training_in_words(run.metrics)}.",
        "\n".join(_table(outcome)),
        _health(run.tags),
        f"{_PROMOTION}**not decided**: its model is no version yet; `cfmodel promote --run` with the id of this run",
        _times(run),
        " · ".join(f"[{name}]({address})" for name, address in outcome.links.items()),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def with_promotion(page: str, said: str) -> str:
    """Return the page with another paragraph on promotion, in the place of the one it has or at its end."""
    parts = page.rstrip("\n").split("\n\n") if page else []
    place = next((n for n, part in enumerate(parts) if part.startswith(_PROMOTION)), len(parts))
    parts[place : place + 1] = [_PROMOTION + said]
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """Keep a name from being read as Markdown or HTML."""
    return text.translate(_ESCAPES)


def _table(outcome: Outcome) -> Iterator[str]:
    mine = outcome.run.metrics.get("test/rmse")
    # MLflow sets columns without a gap: headers that are wider than the numbers, and end in a mark, keep them apart.
    yield "| on the test ratings: | RMSE ↓ | MAE ↓ | this model's RMSE is |"
    yield "|---|---|---|---|"
    for row in accuracy_rows(outcome.run.metrics):
        rmse = row["test RMSE"]
        against = "" if row["predictor"] == "model" else _against(mine, rmse)
        yield _row(row["predictor"], rmse, row["test MAE"], against)
    for name, other in outcome.others.items():
        # Numbers of runs over different ratings say nothing about each other.
        alike = other.tags.get("split_digest") == outcome.run.tags.get("split_digest")
        rmse = other.metrics.get("test/rmse")
        against = _against(mine, rmse) if alike else "not comparable: other ratings"
        yield _row(name, rmse, other.metrics.get("test/mae"), against)


def _row(name: str, rmse: float | None, mae: float | None, against: str) -> str:
    numbers = ("" if value is None else f"{value:.4f}" for value in (rmse, mae))
    return f"| {escaped(name)} | {' | '.join(numbers)} | {against} |"


def _against(mine: float | None, other: float | None) -> str:
    if mine is None or not other:
        return ""
    share = mine / other - 1
    return "the same" if abs(share) < 5e-5 else f"{abs(share):.2%} {'lower' if share < 0 else 'higher'}"


def _health(tags: Mapping[str, str]) -> str:
    if (health := tags.get("health.verdict")) is None:
        return ""
    first = f": {escaped(tags['health.first'])}" if "health.first" in tags else ""
    return f"Gradients: **{health}**{first}"


def _times(run: Measured) -> str:
    taken = (
        f"{name} {seconds:.1f} s" + (" (reused)" if run.tags.get(f"step.{name}") == "reused" else "")
        for name, seconds in step_seconds(run.metrics).items()
    )
    return ", ".join(taken)
