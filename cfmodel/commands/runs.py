"""`cfmodel runs`: list the newest runs, one per line."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cfmodel import tracking
from cfmodel.commands.printing import new_table, print_line
from cfmodel.config import TrackingSettings
from cfmodel.system.addresses import redact
from cfmodel.system.decimals import rmse_text
from cfmodel.tracking import ListedRun

_STYLES = {"FINISHED": "green", "FAILED": "red", "KILLED": "yellow", "error": "red", "warning": "yellow"}
#: Width of all columns but the source.
_OTHERS_WIDTH = 70


def list_runs(settings: TrackingSettings, *, limit: int, console: Console) -> list[ListedRun]:
    """Print an experiment's newest runs of the pipeline, newest first, and return them.

    Raises:
        TrackingError: The store cannot be reached, or the experiment was deleted.
    """
    uri = tracking.resolve_uri(settings)
    runs = tracking.newest_runs(settings, limit=limit)
    if not runs:
        tracking.require_experiment(settings)
        others = ", ".join(map(repr, tracking.other_experiments(settings)))
        elsewhere = f", or set tracking.experiment: the store has {others}" if others else ""
        print_line(
            console,
            f"{redact(uri)}: no runs in experiment {tracking.experiment_of(settings)!r} yet; start one with "
            f"`cfmodel run`{elsewhere}",
        )
        return runs
    aliases: dict[str, list[str]] = {}
    for version in tracking.aliased_versions(uri):
        aliases.setdefault(version.run_id, []).append(version.alias)
    console.print(_runs_table(runs, aliases, source_width=max(10, console.width - _OTHERS_WIDTH)))
    if any(_has_other_ratings(run, runs) for run in runs):
        console.print("* on other ratings than the newest run, so not comparable with it", soft_wrap=True)
    return runs


def _runs_table(runs: Sequence[ListedRun], aliases: dict[str, list[str]], *, source_width: int) -> Table:
    """Return a table with a row per run: start, id, status, test RMSE beside that of damped biases, health, aliases.

    An error on other ratings than the newest run's has a star.
    """
    table = new_table(padding=(0, 1, 0, 0))
    for name in ("started", "id", "status"):
        table.add_column(name, no_wrap=True)
    for name in ("RMSE", "biases"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("health", "model"):
        table.add_column(name, no_wrap=True)
    table.add_column("source", overflow="fold")
    for run in runs:
        health, star = run.tags.get("health.verdict", ""), "*" if _has_other_ratings(run, runs) else ""
        table.add_row(
            run.started.astimezone().strftime("%m-%d %H:%M"),
            run.run.run_id[:8],
            Text(run.status.lower(), _STYLES.get(run.status, "")),
            _metric(run, "test/rmse", star),
            _metric(run, "test/damped_bias_rmse", star),
            Text(health, _STYLES.get(health, "")),
            Text(", ".join(aliases.get(run.run.run_id, ()))),
            _shortened(run.params.get("source", ""), source_width),
        )
    return table


def _shortened(source: str, width: int) -> Text:
    """Return the start of a source, of a path its end: what tells the files of a folder apart."""
    if "/" in source and len(source) > width:
        return Text(f"…{source[1 - width :]}")
    short = Text(source)
    short.truncate(width, overflow="ellipsis")
    return short


def _has_other_ratings(run: ListedRun, runs: Sequence[ListedRun]) -> bool:
    """Return whether a run's errors are on other ratings than those of the newest run with errors."""
    measured = (each for each in runs if "test/rmse" in each.metrics)
    newest = next(measured, run)
    return "test/rmse" in run.metrics and run.tags.get("split_digest") != newest.tags.get("split_digest")


def _metric(run: ListedRun, key: str, star: str) -> str:
    return f"{rmse_text(run.metrics[key])}{star}" if key in run.metrics else ""
