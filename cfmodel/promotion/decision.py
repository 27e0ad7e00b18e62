"""The decision whether a challenger replaces the champion: its grounds, and how it is written down."""

import json
from dataclasses import asdict, dataclass
from typing import Literal

from cfmodel.config import PromotionSettings
from cfmodel.promotion.bootstrap import Difference

Verdict = Literal["promoted", "refused"]


@dataclass(frozen=True)
class Comparison:
    """What was measured of a challenger, on rows that neither model learned from.

    Attributes:
        rows: Ratings both predicted.
        users: Their distinct users.
        left_out_rows: Rows of the challenger's test part that one of the two had learned from.
        same_data: Whether both come from one split; None where there is no champion.
        against_champion: The challenger's error less the champion's; None without a champion, or
            with too few users.
        against_damped_bias: The challenger's error less that of damped biases fitted on what it
            learned from; None with too few users.
    """

    rows: int
    users: int
    left_out_rows: int
    same_data: bool | None
    against_champion: Difference | None
    against_damped_bias: Difference | None


@dataclass(frozen=True)
class Decision:
    """Whether a version of a registered model takes the champion's place, and why.

    Attributes:
        verdict: What was decided.
        reasons: Every ground for a refusal; for a promotion what it rests on.
        model_name: The registered model.
        version: Version in question.
        champion_version: The champion it was held against; None where there was none.
        comparison: What was measured.
        health: Worst health verdict of its training: healthy, info, warning, error; None where it was not watched.
        decided_at: When, ISO 8601 in UTC.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    model_name: str
    version: str
    champion_version: str | None
    comparison: Comparison
    health: str | None
    decided_at: str

    @property
    def is_promotion(self) -> bool:
        """Whether the version takes the champion's place."""
        return self.verdict == "promoted"

    def sentence(self) -> str:
        """Say it in one line."""
        return f"{self.model_name} version {self.version} {self.verdict}: {'; '.join(self.reasons)}"

    def metrics(self) -> dict[str, float]:
        """Return the figures under the keys they are logged by, in rating units."""
        measured = self.comparison
        figures: dict[str, float] = {"rows": measured.rows, "users": measured.users}
        for name, found in (("champion", measured.against_champion), ("damped_bias", measured.against_damped_bias)):
            if found is not None:
                figures |= {"rmse": found.rmse, f"{name}_rmse": found.other_rmse}
                figures |= {f"{name}_difference_{end}": getattr(found, end) for end in ("low", "high")}
                figures[f"{name}_difference"] = found.difference
        return {f"promotion/{name}": float(value) for name, value in figures.items()}

    def tags(self) -> dict[str, str]:
        """Return what is written to the run and to the version, as text."""
        told = {
            "verdict": self.verdict,
            "reasons": "; ".join(self.reasons),
            "version": self.version,
            "champion_version": self.champion_version or "none",
            "decided_at": self.decided_at,
        }
        figures = {key.removeprefix("promotion/"): f"{value:.6g}" for key, value in self.metrics().items()}
        return {f"promotion.{name}": value for name, value in (told | figures).items()}

    def as_json(self) -> str:
        """Return all of it as JSON."""
        return json.dumps(asdict(self), indent=2) + "\n"


def judge(
    comparison: Comparison,
    settings: PromotionSettings,
    *,
    version: str,
    champion_version: str | None,
    health: str | None,
    decided_at: str,
) -> Decision:
    """Decide on a challenger by what was measured.

    It is promoted only if it is better than the champion and than damped biases, each by the whole
    of a bootstrap interval, and its training has no health verdict of severity error. Every ground
    against it is named, not the first alone.
    """
    against = [*_too_few(comparison, settings), *_not_better(comparison), *_unhealthy(health)]
    reasons = against or _in_favour(comparison)
    return Decision(
        verdict="refused" if against else "promoted",
        reasons=(*reasons, *_other_data(comparison)),
        model_name=settings.model_name,
        version=version,
        champion_version=champion_version,
        comparison=comparison,
        health=health,
        decided_at=decided_at,
    )


def in_words(found: Difference, other: str) -> str:
    """Say how two errors differ: `RMSE 0.9086 against the champion's 0.9120, difference -0.0034 [...]`."""
    return (
        f"RMSE {found.rmse:.4f} against {other} {found.other_rmse:.4f}, difference {found.difference:+.4f} "
        f"[{found.low:+.4f}, {found.high:+.4f}] ({found.confidence:.0%})"
    )


def _too_few(comparison: Comparison, settings: PromotionSettings) -> list[str]:
    if comparison.users >= settings.min_users:
        return []
    return [
        f"not comparable: only {comparison.users:,} users have ratings that neither model learned from "
        f"({comparison.rows:,} rows; promotion.min_users is {settings.min_users:,})"
    ]


def _not_better(comparison: Comparison) -> list[str]:
    champion, floor = comparison.against_champion, comparison.against_damped_bias
    sides = ((champion, "the champion", "the champion's"), (floor, "damped biases", "damped biases'"))
    return [
        f"not better than {name}: {in_words(found, whose)}"
        for found, name, whose in sides
        if found is not None and not found.is_better
    ]


def _unhealthy(health: str | None) -> list[str]:
    return ["its training has a health verdict of severity error"] if health == "error" else []


def _in_favour(comparison: Comparison) -> list[str]:
    champion, floor = comparison.against_champion, comparison.against_damped_bias
    assert floor is not None  # else there were too few users
    grounds = ["the first champion"] if champion is None else [in_words(champion, "the champion's")]
    return [*grounds, in_words(floor, "damped biases'")]


def _other_data(comparison: Comparison) -> list[str]:
    if comparison.same_data is not False:
        return []
    return [
        f"the champion was trained on other data: compared on the {comparison.rows:,} test rows that neither learned "
        f"from, {comparison.left_out_rows:,} left out"
    ]
