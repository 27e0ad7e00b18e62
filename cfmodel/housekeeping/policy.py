"""Retention policy: remove what nothing needs, what is old, and what is not among the newest."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

#: Whatever was used this lately stays: a running run may be between two steps, with no record of its needs yet.
_GRACE = timedelta(hours=1)


@dataclass(frozen=True)
class Item:
    """Something that is kept or removed as a whole.

    Attributes:
        kind: Its kind, as the settings call it: "models", "runs", ...
        name: Its name, unique in its kind.
        used: When it was last written or used.
        needed_by: Why it must stay; None if nothing needs it.
        size: Bytes on this disk; 0 if it takes none.
        path: Its folder on this disk; None if it is in the tracking store.
        beside: Files beside the folder that are removed with it.
    """

    kind: str
    name: str
    used: datetime
    needed_by: str | None = None
    size: int = 0
    path: Path | None = None
    beside: tuple[Path, ...] = ()


def removable(items: Sequence[Item], *, count: int | None, days: float, now: datetime) -> list[Item]:
    """Return the items of one kind that may be removed, oldest first.

    An item stays if something needs it, if it was used in the last `days` (at least the last hour), or
    if it is among the `count` used last.

    Args:
        items: All items of the kind.
        count: How many of the newest stay, whatever their age; None: all.
        days: Days since its last use within which an item stays.
        now: The current time.
    """
    if count is None:
        return []
    oldest_first = sorted(items, key=lambda item: (item.used, item.name))
    beyond = oldest_first[: max(len(items) - count, 0)]
    before = now - max(timedelta(days=days), _GRACE)
    return [item for item in beyond if item.needed_by is None and item.used < before]
