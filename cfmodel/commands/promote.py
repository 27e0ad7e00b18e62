"""`cfmodel promote` and `cfmodel rollback`: which version of the model is the champion."""

from rich import box
from rich.console import Console
from rich.table import Table

from cfmodel import tracking
from cfmodel.config import PipelineSettings
from cfmodel.errors import ConfigError
from cfmodel.promotion.decision import Decision
from cfmodel.promotion.decision_text import decision_basis, decision_rows


def promote_version(
    settings: PipelineSettings, *, version: str | None, console: Console, run: str | None = None
) -> None:
    """Hold a version against the champion, say what was decided and why.

    Args:
        settings: Which store, which registered model, how sure to be.
        version: The version, by number or alias; None: the challenger.
        console: Where to say it.
        run: A finished run whose model is made the challenger first; in place of a version.

    Raises:
        CFModelError: There is no such version or run, or it cannot be compared.
    """
    if run is not None:
        if version is not None:
            raise ConfigError("say which: --version of a model that is a version, or --run of one that is none yet")
        version = tracking.register_challenger_later(settings, run).number
    decision = tracking.promote(settings, version or tracking.CHALLENGER)
    _show(decision, console)


def roll_back(settings: PipelineSettings, *, to: str | None, console: Console) -> None:
    """Make an earlier version the champion again, and say which.

    Raises:
        CFModelError: There is none, or it does not load.
    """
    done = tracking.rollback(settings, to)
    _say(
        console, f"{done.model_name} version {done.version} is the champion again, in place of {done.replaced_version}"
    )


def _show(decision: Decision, console: Console) -> None:
    if rows := decision_rows(decision):
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=f"on {decision_basis(decision)}", title_justify="left")
        for column in ("", "RMSE", "challenger less this"):
            table.add_column(column, justify="right" if column else "left")
        for row in rows:
            table.add_row(*row)
        console.print(table)
    _say(console, f"{decision.model_name} version {decision.version}: {decision.verdict}")
    for reason in decision.reasons:
        _say(console, f"- {reason}")


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, soft_wrap=True, markup=False)
