"""`cfmodel sync`: records that wait on this disk brought to the tracking store."""

from rich.console import Console

from cfmodel import tracking
from cfmodel.config import PipelineSettings
from cfmodel.errors import TrackingError


def sync(settings: PipelineSettings, *, console: Console) -> None:
    """Send what waits, run by run, and say what came of each.

    Raises:
        TrackingError: Something still waits.
    """
    spool = tracking.journals_folder(settings.runtime.data_dir)
    troubles = 0
    found = None
    for found in tracking.sync(settings.tracking, spool):
        _say(_line(found), console)
        troubles += found.trouble is not None
    if found is None:
        _say(f"Nothing waits in {spool}.", console)
    if troubles:
        raise TrackingError(f"the records of {troubles:,} {'run' if troubles == 1 else 'runs'} still wait in {spool}")


def _line(found: tracking.Synced) -> str:
    if found.trouble is None:
        return f"run {found.run_id}: {found.entries:,} entries recorded"
    return f"run {found.run_id or found.folder.name}: {found.trouble}"


def _say(text: str, console: Console) -> None:
    console.print(text, highlight=False, soft_wrap=True, markup=False)
