"""`cfmodel compare`: runs held against each other."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cfmodel import tracking
from cfmodel.config import TrackingSettings
from cfmodel.gradients.report.comparison import RunComparison, role_of, summary_rows


def compare(settings: TrackingSettings, runs: Sequence[str], *, console: Console) -> None:
    """Compare runs, record the comparison in their store, and print a short table of it.

    Raises:
        ConfigError: Fewer than two runs, too many, or one named twice.
        DigestError: A run's archive of gradients is damaged.
        TrackingError: There is no such run, or the store is away.
    """
    comparison, run = tracking.compare_runs(settings, runs)
    for number, compared in enumerate(comparison.runs):
        console.print(Text(f"{role_of(number):<6} {compared.label}"), highlight=False, soft_wrap=True)
    console.print(short_table(comparison))
    if (note := comparison.data_note()) is not None:
        console.print(Text(note), soft_wrap=True)
    console.print(f"The whole comparison: {tracking.run_url(run)}", soft_wrap=True, highlight=False, markup=False)


def short_table(comparison: RunComparison) -> Table:
    """Return settings that differ, errors and gradient distances, one column a run."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", no_wrap=True)
    for number in range(len(comparison.runs)):
        table.add_column(role_of(number), justify="right", overflow="fold")
    for row in summary_rows(comparison):
        table.add_row(*map(Text, row))
    return table
