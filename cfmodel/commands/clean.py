"""`cfmodel clean`: list or remove what is old, not among the newest, and not needed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from cfmodel import tracking
from cfmodel.commands.printing import new_table, print_line
from cfmodel.config import PipelineSettings
from cfmodel.housekeeping.folders import KINDS, items_of, last_used
from cfmodel.housekeeping.policy import Item, removable
from cfmodel.system import atomic
from cfmodel.system.addresses import redact


@dataclass(frozen=True)
class Inventory:
    """Everything of one kind, such as models, and which of it is to be removed."""

    kind: str
    items: Sequence[Item]
    removable: Sequence[Item]


def clean(
    settings: PipelineSettings, *, remove: bool, console: Console, now: datetime | None = None
) -> list[Inventory]:
    """List what can be removed, and remove it if `remove` is set; ages count from `now`, by default the current time.

    Raises:
        TrackingError: The store cannot be reached, so that nothing shows what is needed; nothing is removed.
    """
    uri = tracking.resolve_uri(settings.tracking)
    inventories = _take_inventory(settings, now=now or datetime.now(UTC))
    console.print(_table(inventories))
    removable = [item for inventory in inventories for item in inventory.removable]
    for item in removable:
        where = "" if item.path is None else f"  {item.path}"
        print_line(console, f"{item.kind} {item.name}  last used {item.used.astimezone():%Y-%m-%d %H:%M}{where}")
    if not removable:
        nothing = "Nothing to remove: everything is needed, was used lately, or is among the newest (keep.*)."
        print_line(console, nothing)
    elif not remove:
        print_line(console, "\nNothing was removed. To remove what is listed: cfmodel clean --yes")
    else:
        _remove(removable, uri)
        for kind in KINDS:  # half-written folders of processes that were killed
            atomic.sweep(settings.runtime.data_dir / kind.folder)
        print_line(console, f"\nRemoved {len(removable):,} of them.")
        if any(item.kind == "runs" for item in removable):
            print_line(console, f"MLflow keeps removed runs until: mlflow gc --backend-store-uri {redact(uri)}")
    return inventories


def _take_inventory(settings: PipelineSettings, *, now: datetime) -> list[Inventory]:
    """Return everything there is, kind by kind, and which of it can be removed now."""
    needs = tracking.needs_of(settings.tracking)
    uri = tracking.resolve_uri(settings.tracking)
    found = {kind.name: items_of(kind, settings.runtime.data_dir, needs) for kind in KINDS}
    found["versions"] = tracking.versions_in(uri)
    versions = _inventory("versions", found["versions"], settings, now)
    kept = [item for item in versions.items if item not in versions.removable]
    found["runs"] = tracking.runs_in(settings.tracking, needs, kept)
    return [_inventory(kind, items, settings, now) for kind, items in found.items()]


def _inventory(kind: str, items: Sequence[Item], settings: PipelineSettings, now: datetime) -> Inventory:
    count = getattr(settings.keep, kind)
    return Inventory(kind, items, removable(items, count=count, days=settings.keep.days, now=now))


def _remove(items: Sequence[Item], uri: str) -> None:
    for item in items:
        if item.kind == "versions":
            tracking.remove_version(uri, item)
        elif item.path is None:
            tracking.remove_run(uri, item)
        elif item.path.is_dir() and last_used(item.path) == item.used:  # else somebody has used it since it was listed
            atomic.remove(item.path)
            for file in item.beside:
                file.unlink(missing_ok=True)


def _table(inventories: Sequence[Inventory]) -> Table:
    table = new_table()
    table.add_column("kind")
    for name in ("there", "needed", "to remove", "frees"):
        table.add_column(name, justify="right")
    for inventory in inventories:
        needed = sum(item.needed_by is not None for item in inventory.items)
        freed = sum(item.size for item in inventory.removable)
        counts = (len(inventory.items), needed, len(inventory.removable))
        table.add_row(inventory.kind, *(f"{count:,}" for count in counts), f"{freed / 1e6:,.1f} MB" if freed else "")
    return table
