"""References to results."""

from pathlib import Path

import pytest

from cfmodel.refs import Accounts, DatasetRef

REF = DatasetRef(
    path=Path("x"), digest="d", source="s", source_digest="e", rows=1, users=1, movies=1, rating_min=1.0,
    rating_max=5.0, has_timestamps=False, seconds=0.1,
)  # fmt: skip


def test_reuse_changes_no_comparison_no_hash_and_no_json() -> None:
    reused = REF.model_copy(update={"reused": True})
    assert reused.reused
    assert reused == REF
    assert hash(reused) == hash(REF)
    assert reused.model_dump_json() == REF.model_dump_json()


def test_other_contents_make_another_ref() -> None:
    other = REF.model_copy(update={"rows": 2})
    assert other != REF
    assert len({other, REF, REF.model_copy()}) == 2


def test_a_ref_survives_json() -> None:
    assert DatasetRef.model_validate_json(REF.model_dump_json()) == REF


def test_counts_that_do_not_add_up_are_a_bug():
    with pytest.raises(AssertionError, match="rows do not add up"):
        Accounts(rows_in=3, kept=2).require_balance()
