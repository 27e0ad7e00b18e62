"""Journal entries as lines."""

from collections.abc import Callable

import pytest

from cfmodel.errors import DigestError
from cfmodel.tracking.outbox.entries import Data, Entry, Param, Point, SavedModel, Start, from_line, to_line


@pytest.mark.parametrize(
    "entry",
    [
        Point("a", 0.1 + 0.2, 3, 4),
        Point("a", float("inf"), 3, 4),
        Param("naïve\n", "\u2028 ü"),
        Data("train", {"name": "n"}),
        SavedModel("/a b", "d"),
        Start("e", "n", {"k": "v"}, 7),
    ],
)
def test_an_entry_comes_back_as_it_was(entry: Entry) -> None:
    assert from_line(to_line(entry)) == entry
    assert to_line(entry).count(b"\n") == 1


@pytest.mark.parametrize("change", [lambda line: line[:-1], lambda line: line.replace(b"0.5", b"0.6"), lambda _: b"\n"])
def test_an_incomplete_or_changed_line_is_refused(change: Callable[[bytes], bytes]) -> None:
    with pytest.raises(DigestError, match="incomplete or changed"):
        from_line(change(to_line(Point("val/rmse", 0.5, 1, 2))))
