"""The description of a run in Markdown: errors beside those of the baselines, health, promotion, times and links."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from cfmodel.summaries.run_summary import accuracy_rows, step_seconds, training_summary
from cfmodel.system.decimals import rmse_text

#: First word of the paragraph on promotion, which changes after the run.
_PROMOTION = "Promotion: "

#: What stands beside an error on other ratings, where more is said further down.
_ON_OTHERS = {"champion": "on other ratings; both on the same: below, at Promotion"}

_ESCAPES = {ord(character): f"\\{character}" for character in "\\`*_[]|#"} | {ord("<"): "&lt;", ord("\n"): " "}


class MeasuredRun(Protocol):
    """A run with the last value of each metric, and every tag."""

    @property
    def metrics(self) -> Mapping[str, float]: ...
    @property
    def tags(self) -> Mapping[str, str]: ...


@dataclass(frozen=True)
class RunResult:
    """A run, and the earlier runs it is compared with.

    Attributes:
        source: The ratings it was trained on, as given.
        others: Earlier runs by their role, such as "champion".
        links: Addresses by the text of the link.
    """

    source: str
    run: MeasuredRun
    others: Mapping[str, MeasuredRun] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)


def result_page(result: RunResult) -> str:
    """Return the page: one sentence, the table of errors, health, promotion, times and links."""
    run, source = result.run, escape_markdown(result.source)
    parts = [
        f"Biased matrix factorisation of **{source}**, trained {training_summary(run.metrics)}.",
        "\n".join(_table(result)),
        _health(run.tags),
        f"{_PROMOTION}**not decided**: its model is not registered; `cfmodel promote --run` registers it",
        _times(run),
        " · ".join(f"[{name}]({address})" for name, address in result.links.items()),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def replace_promotion(page: str, paragraph: str) -> str:
    """Return the page with another paragraph on promotion; a page without one gets it at its end."""
    parts = page.rstrip("\n").split("\n\n") if page else []
    place = next((n for n, part in enumerate(parts) if part.startswith(_PROMOTION)), len(parts))
    parts[place : place + 1] = [_PROMOTION + paragraph]
    return "\n\n".join(parts) + "\n"


def escape_markdown(text: str) -> str:
    """Return a text that Markdown and HTML show as it is, on one line."""
    return text.translate(_ESCAPES)


def _table(result: RunResult) -> Iterator[str]:
    mine = result.run.metrics.get("test/rmse")
    # MLflow leaves no gap between columns: headers wider than the numbers keep them apart.
    yield "| on the test ratings: | RMSE ↓ | MAE ↓ | this model's RMSE is |"
    yield "|---|---|---|---|"
    for row in accuracy_rows(result.run.metrics):
        rmse = row["test RMSE"]
        relation = "" if row["predictor"] == "model" else _relation(mine, rmse)
        yield _row(row["predictor"], rmse, row["test MAE"], relation)
    for name, other in result.others.items():
        # Errors on different ratings cannot be compared.
        alike = other.tags.get("split_digest") == result.run.tags.get("split_digest")
        rmse = other.metrics.get("test/rmse")
        relation = _relation(mine, rmse) if alike else _ON_OTHERS.get(name, "on other ratings")
        yield _row(name, rmse, other.metrics.get("test/mae"), relation)


def _row(name: str, rmse: float | None, mae: float | None, relation: str) -> str:
    numbers = ("" if value is None else rmse_text(value) for value in (rmse, mae))
    return f"| {escape_markdown(name)} | {' | '.join(numbers)} | {relation} |"


def _relation(mine: float | None, other: float | None) -> str:
    if mine is None or not other:
        return ""
    share = mine / other - 1
    return "the same" if abs(share) < 5e-5 else f"{abs(share):.2%} {'lower' if share < 0 else 'higher'}"


def _health(tags: Mapping[str, str]) -> str:
    if (health := tags.get("health.verdict")) is None:
        return ""
    first = f": {escape_markdown(tags['health.first'])}" if "health.first" in tags else ""
    return f"Gradients: **{health}**{first}"


def _times(run: MeasuredRun) -> str:
    return ", ".join(
        f"{name} {seconds:.1f} s" + (" (reused)" if run.tags.get(f"step.{name}") == "reused" else "")
        for name, seconds in step_seconds(run.metrics).items()
    )
