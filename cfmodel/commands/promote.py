"""`cfmodel promote` and `cfmodel rollback`: change which version of the model is the champion."""

from rich.console import Console

from cfmodel import tracking
from cfmodel.commands.printing import new_table, print_line
from cfmodel.config import PipelineSettings
from cfmodel.errors import ConfigError
from cfmodel.promotion.decision import Decision
from cfmodel.promotion.decision_text import decision_basis, decision_rows


def promote_version(
    settings: PipelineSettings, *, version: str | None, console: Console, run: str | None = None
) -> None:
    """Compare a version with the champion, promote it if it is better, and print the decision with its reasons.

    Args:
        settings: The store, the registered model, and when to promote.
        version: Number or alias of the version; None: the challenger.
        run: Finished run whose model is registered as the challenger first; instead of a version.

    Raises:
        CFModelError: The version or run does not exist, or cannot be compared.
    """
    if run is not None and version is not None:
        raise ConfigError("give either --version, of a registered model, or --run, of one that is not registered yet")
    chosen = tracking.register_challenger_later(settings, run) if run is not None else version
    _print_decision(tracking.promote(settings, chosen or tracking.CHALLENGER), console)


def roll_back(settings: PipelineSettings, *, to: str | None, console: Console) -> None:
    """Make an earlier version the champion again, and print which.

    Raises:
        CFModelError: There is no such version, or it does not load.
    """
    done = tracking.rollback(settings, to)
    print_line(
        console, f"{done.model_name} version {done.version} is the champion again, in place of {done.replaced_version}"
    )


def _print_decision(decision: Decision, console: Console) -> None:
    if rows := decision_rows(decision):
        table = new_table(title=f"on {decision_basis(decision)}", title_justify="left")
        for column in ("", "RMSE", "challenger less this"):
            table.add_column(column, justify="right" if column else "left")
        for row in rows:
            table.add_row(*row)
        console.print(table)
    print_line(console, f"{decision.model_name} version {decision.version}: {decision.verdict}")
    for reason in decision.reasons:
        print_line(console, f"- {reason}")
