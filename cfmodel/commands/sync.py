"""`cfmodel sync`: send records that wait on this disk to the tracking store."""

from rich.console import Console

from cfmodel import tracking
from cfmodel.commands.printing import print_line
from cfmodel.config import PipelineSettings
from cfmodel.errors import TrackingError


def sync(settings: PipelineSettings, *, console: Console) -> None:
    """Send the waiting records, run by run, and print the result of each.

    Raises:
        TrackingError: Records of a run could not be sent.
    """
    spool = tracking.journals_folder(settings.runtime.data_dir)
    failed = 0
    found = None
    for found in tracking.sync(settings.tracking, spool):
        print_line(console, _line(found))
        failed += found.trouble is not None
    if found is None:
        print_line(console, f"Nothing waits in {spool}.")
    if failed:
        raise TrackingError(
            f"the records of {failed:,} {'run' if failed == 1 else 'runs'} still wait in {spool}; mend what is named "
            "above, then: cfmodel sync"
        )


def _line(found: tracking.Synced) -> str:
    if found.trouble is None:
        return f"run {found.run_id}: {found.entries:,} entries recorded"
    return f"run {found.run_id or found.folder.name}: {found.trouble}"
