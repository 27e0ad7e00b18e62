"""`cfmodel clean`: what is old, not among the newest and needed by nothing goes, once you have seen it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from rich import box
from rich.console import Console
from rich.table import Table

from cfmodel import tracking
from cfmodel.config import PipelineSettings
from cfmodel.housekeeping.folders import KINDS, items_of, last_used
from cfmodel.housekeeping.policy import Item, removable
from cfmodel.system import atomic
from cfmodel.system.addresses import shown


@dataclass(frozen=True)
class Shelf:
    """Everything of one kind, and what of it goes."""

    kind: str
    items: Sequence[Item]
    going: Sequence[Item]


def clean(settings: PipelineSettings, *, remove: bool, console: Console, now: datetime | None = None) -> list[Shelf]:
    """Show what would go, and remove it if that is wanted.

    Args:
        settings: Which store, which folder for data, and what to keep.
        remove: Whether to remove it.
        console: Where to show it.
        now: The time to count ages from; None: the time it is.

    Raises:
        TrackingError: The store is away: then nobody knows what is needed, and nothing goes.
    """
    uri = tracking.resolve_uri(settings.tracking)
    shelves = survey(settings, now=now or datetime.now(UTC))
    console.print(_table(shelves))
    going = [item for shelf in shelves for item in shelf.going]
    for item in going:
        where = "" if item.path is None else f"  {item.path}"
        _say(console, f"{item.kind} {item.name}  last used {item.used.astimezone():%Y-%m-%d %H:%M}{where}")
    if not going:
        _say(console, "Nothing goes: all of it is needed, used lately, or among the newest of its kind (keep.*).")
    elif not remove:
        _say(console, "\nNothing was removed. To remove what is listed: cfmodel clean --yes")
    else:
        _remove(going, uri)
        for kind in KINDS:  # what processes that died left half-written
            atomic.sweep(settings.runtime.data_dir / kind.folder)
        _say(console, f"\nRemoved {len(going):,} of them.")
        if any(item.kind == "runs" for item in going):
            _say(console, f"Removed runs lie in MLflow's bin until: mlflow gc --backend-store-uri {shown(uri)}")
    return shelves


def survey(settings: PipelineSettings, *, now: datetime) -> list[Shelf]:
    """Return what there is, kind by kind, and what of it may go now."""
    needs = tracking.needs_of(settings.tracking)
    uri = tracking.resolve_uri(settings.tracking)
    found = {kind.name: items_of(kind, settings.runtime.data_dir, needs) for kind in KINDS}
    found["versions"] = tracking.versions_in(uri)
    versions = _shelf("versions", found["versions"], settings, now)
    staying = [item for item in versions.items if item not in versions.going]
    found["runs"] = tracking.runs_in(settings.tracking, needs, staying)
    return [_shelf(kind, items, settings, now) for kind, items in found.items()]


def _shelf(kind: str, items: Sequence[Item], settings: PipelineSettings, now: datetime) -> Shelf:
    count = getattr(settings.keep, kind)
    return Shelf(kind, items, removable(items, count=count, days=settings.keep.days, now=now))


def _remove(items: Sequence[Item], uri: str) -> None:
    for item in items:
        if item.kind == "versions":
            tracking.remove_version(uri, item)
        elif item.path is None:
            tracking.remove_run(uri, item)
        elif item.path.is_dir() and last_used(item.path) == item.used:  # else somebody uses it since it was looked at
            atomic.remove(item.path)
            for file in item.beside:
                file.unlink(missing_ok=True)


def _table(shelves: Sequence[Shelf]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("kind")
    for name in ("there", "needed", "goes", "frees"):
        table.add_column(name, justify="right")
    for shelf in shelves:
        needed = sum(item.needed_by is not None for item in shelf.items)
        freed = sum(item.size for item in shelf.going)
        counts = (len(shelf.items), needed, len(shelf.going))
        table.add_row(shelf.kind, *(f"{count:,}" for count in counts), f"{freed / 1e6:,.1f} MB" if freed else "")
    return table


def _say(console: Console, line: str) -> None:
    console.print(line, soft_wrap=True, highlight=False, markup=False)
