"""A decision as text: table rows, Markdown, and a paragraph of the run's description."""

from cfmodel.promotion.decision import Decision, interval_text
from cfmodel.summaries.run_description import escape_markdown
from cfmodel.system.decimals import rmse_text


def decision_rows(decision: Decision) -> list[tuple[str, str, str]]:
    """Return one row per predictor: its name, its RMSE, and the challenger's RMSE less that with the interval."""
    measured = decision.comparison
    named = ((f"champion (version {decision.champion_version})", measured.against_champion),)
    others = [(name, found) for name, found in (*named, ("damped biases", measured.against_damped_bias)) if found]
    if not others:
        return []
    mine = (f"challenger (version {decision.version})", rmse_text(others[0][1].rmse), "")
    return [mine, *((name, rmse_text(found.other_rmse), interval_text(found)) for name, found in others)]


def decision_basis(decision: Decision) -> str:
    """Return on which ratings the models were compared."""
    measured = decision.comparison
    if measured.other_lineage is not None:
        return "no ratings, since the two are of different catalogues"
    return f"{measured.rows:,} ratings of {measured.users:,} users that no model was trained on"


def decision_markdown(decision: Decision) -> str:
    """Return a decision as Markdown: verdict, reasons and table."""
    table = [f"| {' | '.join(row)} |" for row in decision_rows(decision)]
    header = ["| | RMSE | challenger less this |", "|---|---|---|"] if table else []
    title = f"**{decision.model_name} version {decision.version}: {decision.verdict}**"
    return "\n".join([title, "", *_reasons(decision), "", f"On {decision_basis(decision)}:", "", *header, *table, ""])


def decision_paragraph(decision: Decision) -> str:
    """Return the paragraph about a decision in a run's description: verdict, comparison and every reason."""
    against = f", compared with version {decision.champion_version}, the champion" if decision.champion_version else ""
    title = f"**{decision.verdict}**: version {decision.version} of {escape_markdown(decision.model_name)}{against}"
    return "\n".join([f"{title}, on {decision_basis(decision)}", *_reasons(decision)])


def _reasons(decision: Decision) -> list[str]:
    # Some Markdown viewers take an interval before a parenthesis for a link.
    return [f"- {escape_markdown(reason)}" for reason in decision.reasons]
