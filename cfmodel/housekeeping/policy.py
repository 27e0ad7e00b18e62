"""Which things of a kind may go: those that nothing needs, that are old, and that are not among the newest."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

#: A run under way may be between two steps, with nothing yet that says what it needs.
GRACE = timedelta(hours=1)


@dataclass(frozen=True)
class Item:
    """Something that is kept or goes as a whole.

    Attributes:
        kind: What it is, as the settings call it: "models", "runs", ...
        name: What tells it from others of its kind.
        used: When it was last written or used.
        needed_by: Why it stays in any case; None where nothing needs it.
        size: Bytes on this disk; 0 where it takes none.
        path: Its folder on this disk; None where it is in the tracking store.
        beside: Files beside the folder that go with it.
    """

    kind: str
    name: str
    used: datetime
    needed_by: str | None = None
    size: int = 0
    path: Path | None = None
    beside: tuple[Path, ...] = ()


def leaving(items: Sequence[Item], *, count: int | None, days: float, now: datetime) -> list[Item]:
    """Return the items of one kind that may go, oldest first.

    One stays if something needs it, if it was used in the last `days` (in the last hour in any
    case), or if it is among the `count` used last.

    Args:
        items: All there are of the kind.
        count: How many of the newest stay, whatever their age; None: all.
        days: Days since its last use within which an item stays.
        now: The time it is.
    """
    if count is None:
        return []
    oldest_first = sorted(items, key=lambda item: (item.used, item.name))
    beyond = oldest_first[: max(len(items) - count, 0)]
    before = now - max(timedelta(days=days), GRACE)
    return [item for item in beyond if item.needed_by is None and item.used < before]
