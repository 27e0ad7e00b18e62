"""The decision whether a challenger replaces the champion: its reasons, and its metrics, tags and JSON."""

import json
from dataclasses import asdict, dataclass
from typing import Literal

from cfmodel.config import PromotionSettings
from cfmodel.promotion.bootstrap import Difference
from cfmodel.system.decimals import rmse_text

Verdict = Literal["promoted", "refused"]


@dataclass(frozen=True)
class ModelComparison:
    """A challenger compared with the champion and damped biases, on rows that neither model was trained on.

    Attributes:
        rows: Ratings that both predicted.
        users: Their distinct users.
        left_out_rows: Rows of the challenger's test part that one of the two was trained on.
        same_data: Whether both were trained on the same split; None without a champion.
        against_champion: The challenger's RMSE less the champion's; None without a champion or with too few users.
        against_damped_bias: The challenger's RMSE less that of damped biases fitted on its training
            data; None with too few users.
        other_lineage: Why the champion is of another catalogue, so that nothing was measured; None if it is not.
    """

    rows: int
    users: int
    left_out_rows: int
    same_data: bool | None
    against_champion: Difference | None
    against_damped_bias: Difference | None
    other_lineage: str | None = None


@dataclass(frozen=True)
class Decision:
    """Whether a version of a registered model replaces the champion, and why.

    Attributes:
        reasons: Every reason against it, or if there is none, the reasons for it.
        version: The challenger's version.
        champion_version: The version it was compared with; None if there was no champion.
        health: Worst health verdict of its training: healthy, info, warning, error; None without a monitor.
        decided_at: When, ISO 8601 in UTC.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    model_name: str
    version: str
    champion_version: str | None
    comparison: ModelComparison
    health: str | None
    decided_at: str

    @property
    def is_promotion(self) -> bool:
        """Whether the version replaces the champion."""
        return self.verdict == "promoted"

    def sentence(self) -> str:
        """Return the decision in one line."""
        return f"{self.model_name} version {self.version} {self.verdict}: {'; '.join(self.reasons)}"

    def metrics(self) -> dict[str, float]:
        """Return the figures by their metric keys: counts, and RMSEs in rating units."""
        measured = self.comparison
        figures: dict[str, float] = {"rows": measured.rows, "users": measured.users}
        for name, found in (("champion", measured.against_champion), ("damped_bias", measured.against_damped_bias)):
            if found is not None:
                figures |= {"rmse": found.rmse, f"{name}_rmse": found.other_rmse}
                figures |= {f"{name}_difference_{end}": getattr(found, end) for end in ("low", "high")}
                figures[f"{name}_difference"] = found.difference
        return {f"promotion/{name}": float(value) for name, value in figures.items()}

    def tags(self) -> dict[str, str]:
        """Return the tags for the run and the version."""
        facts = {
            "verdict": self.verdict,
            "reasons": "; ".join(self.reasons),
            "version": self.version,
            "champion_version": self.champion_version or "none",
            "decided_at": self.decided_at,
        }
        figures = {key.removeprefix("promotion/"): f"{value:.6g}" for key, value in self.metrics().items()}
        return {f"promotion.{name}": value for name, value in (facts | figures).items()}

    def as_json(self) -> str:
        """Return the whole decision as JSON."""
        return json.dumps(asdict(self), indent=2) + "\n"


def decide(
    comparison: ModelComparison,
    settings: PromotionSettings,
    *,
    model_name: str,
    version: str,
    run_id: str,
    champion_version: str | None,
    health: str | None,
    decided_at: str,
) -> Decision:
    """Decide on a challenger.

    It is promoted if it is better than the champion and than damped biases, both with the whole bootstrap
    interval, and its training has no health verdict of severity error. All reasons against it are given.
    A challenger of another catalogue than the champion's is refused for that alone.
    """
    unhealthy = ["its training has a health verdict of severity error"] if health == "error" else []
    against = _other_catalogue(comparison, model_name, version, run_id) or [
        *_too_few(comparison, settings),
        *_not_better(comparison),
        *unhealthy,
    ]
    reasons = against or _in_favour(comparison)
    return Decision(
        verdict="refused" if against else "promoted",
        reasons=(*reasons, *_other_data(comparison)),
        model_name=model_name,
        version=version,
        champion_version=champion_version,
        comparison=comparison,
        health=health,
        decided_at=decided_at,
    )


def _in_words(found: Difference, other: str) -> str:
    """Return a difference as text: `RMSE 0.9086 against the champion's 0.9120, difference -0.0034 [...]`."""
    rmse = f"RMSE {rmse_text(found.rmse)} against {other} {rmse_text(found.other_rmse)}"
    return f"{rmse}, difference {interval_text(found)}"


def interval_text(found: Difference) -> str:
    """Return a difference of RMSEs with its interval: `-0.0034 [-0.0051, -0.0017] (95%)`."""
    found_at = (found.difference, found.low, found.high)
    difference, low, high = (rmse_text(value, beside=found.rmse, sign="+") for value in found_at)
    return f"{difference} [{low}, {high}] ({found.confidence:.0%})"


def _other_catalogue(comparison: ModelComparison, model_name: str, version: str, run_id: str) -> list[str]:
    if comparison.other_lineage is None:
        return []
    return [
        f"the champion is of another catalogue: {comparison.other_lineage}; for a champion of each, give this one a "
        f"registered model of its own: cfmodel promote --run {run_id} --set promotion.model_name=NAME, and the same "
        f"setting in its runs; to replace the champion of {model_name} all the same: cfmodel rollback --to {version} "
        f"--set promotion.model_name={model_name}"
    ]


def _too_few(comparison: ModelComparison, settings: PromotionSettings) -> list[str]:
    if comparison.users >= settings.min_users:
        return []
    return [
        f"not comparable: only {comparison.users:,} users have ratings that neither model was trained on "
        f"({comparison.rows:,} rows; promotion.min_users is {settings.min_users:,})"
    ]


def _not_better(comparison: ModelComparison) -> list[str]:
    sides = (
        (comparison.against_champion, "the champion", "the champion's"),
        (comparison.against_damped_bias, "damped biases", "damped biases'"),
    )
    return [
        f"not better than {name}: {_in_words(found, whose)}"
        for found, name, whose in sides
        if found is not None and not found.is_better
    ]


def _in_favour(comparison: ModelComparison) -> list[str]:
    champion, damped_bias = comparison.against_champion, comparison.against_damped_bias
    assert damped_bias is not None  # None only with too few users, which is a reason against
    first = "the first champion" if champion is None else _in_words(champion, "the champion's")
    return [first, _in_words(damped_bias, "damped biases'")]


def _other_data(comparison: ModelComparison) -> list[str]:
    if comparison.same_data is not False or comparison.other_lineage is not None:
        return []
    return [
        f"the champion was trained on other data: compared on the {comparison.rows:,} test rows that neither was "
        f"trained on, {comparison.left_out_rows:,} left out"
    ]
