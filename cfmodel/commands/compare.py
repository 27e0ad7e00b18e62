"""`cfmodel compare`: compare runs, and print a short table of the comparison."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cfmodel import tracking
from cfmodel.commands.printing import new_table, print_line
from cfmodel.config import TrackingSettings
from cfmodel.gradients.report.comparison import RunComparison, role_of, summary_rows


def print_comparison(settings: TrackingSettings, runs: Sequence[str], *, console: Console) -> None:
    """Compare runs, record the comparison in their store, and print a short table of it.

    Raises:
        ConfigError: There are fewer than two runs, too many, or one is named twice.
        DigestError: A run's archive of gradients is damaged.
        TrackingError: A run does not exist, or the store cannot be reached.
    """
    comparison, run = tracking.compare_runs(settings, runs)
    for number, compared in enumerate(comparison.runs):
        console.print(Text(f"{role_of(number):<6} {compared.label}"), highlight=False, soft_wrap=True)
    console.print(_short_table(comparison))
    if (note := comparison.data_note()) is not None:
        console.print(Text(note), soft_wrap=True)
    print_line(console, f"The whole comparison: {tracking.run_url(run)}")


def _short_table(comparison: RunComparison) -> Table:
    """Return a table of settings that differ, errors and gradient distances, with a column per run."""
    table = new_table()
    table.add_column("", no_wrap=True)
    for number in range(len(comparison.runs)):
        table.add_column(role_of(number), justify="right", overflow="fold")
    for row in summary_rows(comparison):
        table.add_row(*map(Text, row))
    return table
