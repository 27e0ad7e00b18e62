"""What of a kind may go, by age, number and need."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from cfmodel.housekeeping.policy import Item, removable

NOW = datetime(2026, 1, 31, tzinfo=UTC)


def item(days: float, needed_by: str | None = None) -> Item:
    return Item("models", f"{days} days", NOW - timedelta(days=days), needed_by)


def gone(*items: Item, count: int | None, days: float) -> list[str]:
    return [each.name for each in removable(items, count=count, days=days, now=NOW)]


def test_old_items_beyond_the_count_are_removed_oldest_first() -> None:
    assert gone(item(50), item(10), item(40), item(60), count=1, days=30) == ["60 days", "50 days", "40 days"]


def test_the_newest_items_stay_whatever_their_age() -> None:
    assert gone(item(50), item(60), item(70), count=2, days=30) == ["70 days"]


def test_recently_used_items_stay_whatever_their_number() -> None:
    assert gone(item(1), item(2), item(40), count=0, days=30) == ["40 days"]


def test_needed_items_stay_and_count_among_the_newest() -> None:
    assert gone(item(40, "champion"), item(50), item(60), count=1, days=30) == ["60 days", "50 days"]
    assert gone(item(90, "champion"), item(50), item(60), count=1, days=30) == ["60 days"]


def test_items_used_within_the_hour_always_stay() -> None:
    assert gone(item(0.9 / 24), item(1.1 / 24), count=0, days=0) == [f"{1.1 / 24} days"]


def test_without_a_count_all_items_stay() -> None:
    assert gone(item(500), count=None, days=0) == []


@given(st.lists(st.tuples(st.floats(0, 100), st.booleans())), st.integers(0, 5), st.floats(0, 60))
def test_needed_and_recent_items_and_at_least_the_count_always_stay(
    ages: list[tuple[float, bool]], count: int, days: float
) -> None:
    items = [item(age, "needed" if needed else None) for age, needed in ages]
    going = removable(items, count=count, days=days, now=NOW)
    assert all(each.needed_by is None and NOW - each.used > timedelta(days=days) for each in going)
    assert len(items) - len(going) >= min(count, len(items))
