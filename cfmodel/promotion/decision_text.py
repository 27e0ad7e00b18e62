"""A decision as people read it."""

from cfmodel.promotion.bootstrap import Difference
from cfmodel.promotion.decision import Decision
from cfmodel.run_description import escape_markdown


def rows_of(decision: Decision) -> list[tuple[str, str, str]]:
    """Return one row per predictor: its name, its RMSE, and the challenger's RMSE less it with the interval."""
    measured = decision.comparison
    named = ((f"champion (version {decision.champion_version})", measured.against_champion),)
    others = [(name, found) for name, found in (*named, ("damped biases", measured.against_damped_bias)) if found]
    if not others:
        return []
    mine = (f"challenger (version {decision.version})", f"{others[0][1].rmse:.4f}", "")
    return [mine, *((name, f"{found.other_rmse:.4f}", _interval(found)) for name, found in others)]


def basis_of(decision: Decision) -> str:
    """Say on what the models were held against each other."""
    measured = decision.comparison
    return f"{measured.rows:,} ratings of {measured.users:,} users that no model learned from"


def as_markdown(decision: Decision) -> str:
    """Return a decision as Markdown: verdict, reasons and the table behind it."""
    table = [f"| {' | '.join(row)} |" for row in rows_of(decision)]
    header = ["| | RMSE | challenger less this |", "|---|---|---|"] if table else []
    title = f"**{decision.model_name} version {decision.version}: {decision.verdict}**"
    return "\n".join([title, "", *_reasons(decision), "", f"On {basis_of(decision)}:", "", *header, *table, ""])


def as_paragraph(decision: Decision) -> str:
    """Return what a run's page says of it: verdict, what was held against what, and every reason."""
    against = f", held against version {decision.champion_version}, the champion" if decision.champion_version else ""
    title = f"**{decision.verdict}**: version {decision.version} of {escape_markdown(decision.model_name)}{against}"
    return "\n".join([f"{title}, on {basis_of(decision)}", *_reasons(decision)])


def _reasons(decision: Decision) -> list[str]:
    # Some pages take an interval before a bracket for a link.
    return [f"- {escape_markdown(reason)}" for reason in decision.reasons]


def _interval(found: Difference) -> str:
    return f"{found.difference:+.4f} [{found.low:+.4f}, {found.high:+.4f}] ({found.confidence:.0%})"
