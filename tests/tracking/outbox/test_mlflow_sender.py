"""Entries divided into requests."""

from hypothesis import given
from hypothesis import strategies as st

from cfmodel.tracking.outbox.entries import Became, Data, Entry, File, Param, Point, Tag
from cfmodel.tracking.outbox.mlflow_sender import request_batches

#: Entries that one request may hold together.
GROUPS: list[tuple[Entry, ...]] = [
    (Point("a", 0.5, 1, 2), Param("b", "1"), Tag("c", "1")),
    (Data("train", {}),),
    (File("d", "s", "f"),),
    (Became("FINISHED", 5),),
]


@given(st.lists(st.sampled_from([entry for group in GROUPS for entry in group]), max_size=30))
def test_requests_keep_the_order_and_never_mix_kinds(entries: list[Entry]) -> None:
    numbered = [(entry, number) for number, entry in enumerate(entries, 1)]
    batches = list(request_batches(numbered))
    assert [entry for batch, _ in batches for entry in batch] == entries
    ends = [end for _, end in batches]
    assert ends == sorted(set(ends))
    assert not entries or ends[-1] == len(entries)
    for batch, _ in batches:
        (group,) = [group for group in GROUPS if batch[0] in group]
        assert all(entry in group for entry in batch)
        assert len(batch) == 1 or group in GROUPS[:2]


def test_a_request_holds_a_thousand_entries_at_most() -> None:
    points = [(Point("a", 0.5, step, 2), step) for step in range(1, 2502)]
    assert [(len(batch), end) for batch, end in request_batches(points)] == [(1000, 1000), (1000, 2000), (501, 2501)]
