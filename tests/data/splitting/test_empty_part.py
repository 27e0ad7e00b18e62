"""Splits that would leave a part empty: each remedy, followed, gives a split."""

import pytest
from small_splits import divide, random_rows

from cfmodel.errors import DataError

ONE_EACH = [(f"u{user}", f"m{user % 7}", 3.0, user) for user in range(70)]
TWO_EACH = [(f"u{user % 35}", f"m{user}", 3.0, user) for user in range(70)]
THREE_EACH = [(f"u{user % 20}", f"m{user}", 3.0, user) for user in range(60)]
AT_ONCE = [(f"u{user % 9}", f"m{user}", 3.0, 7) for user in range(90)]


@pytest.mark.parametrize(
    ("rows", "given", "message", "remedy"),
    [
        (
            ONE_EACH,
            {"strategy": "per_user_latest"},
            "val; no user has two ratings; .*'random'",
            {"strategy": "random"},
        ),
        (ONE_EACH, {"strategy": "per_user_latest"}, "or 'temporal'$", {"strategy": "temporal"}),
        (TWO_EACH, {"strategy": "per_user_latest"}, "no user has three ratings, .*'random'", {"strategy": "random"}),
        (AT_ONCE, {"strategy": "temporal"}, "in train; the ratings have only one time", {"strategy": "random"}),
        (random_rows(), {"test_fraction": 1e-9}, "in test; raise split.test_fraction", {"test_fraction": 0.1}),
        (random_rows(), {"val_fraction": 1e-9}, "in val; raise split.val_fraction", {"val_fraction": 0.1}),
        (random_rows(), {"val_fraction": 1 - 1e-9}, "in train; lower split.test_fraction or", {"val_fraction": 0.1}),
    ],
)
def test_the_remedy_for_an_empty_part_fills_it(rows, given, message, remedy, tmp_path):
    with pytest.raises(DataError, match=message):
        divide(rows, tmp_path, **given)
    divide(rows, tmp_path, **(given | remedy))


def test_the_remedies_for_few_ratings_a_user_lead_to_a_split(tmp_path):
    given = {"strategy": "per_user_latest"}
    with pytest.raises(DataError, match=r"in val; raise split.val_fraction to 0.167, .* has 3"):
        divide(THREE_EACH, tmp_path, **given)
    given |= {"val_fraction": 0.167}
    with pytest.raises(DataError, match=r"in test; raise split.test_fraction to 0.167, .* has 3"):
        divide(THREE_EACH, tmp_path, **given)
    given |= {"test_fraction": 0.167}
    with pytest.raises(DataError, match=r"in val; raise split.val_fraction to 0.25, .* has 3"):
        divide(THREE_EACH, tmp_path, **given)
    given |= {"val_fraction": 0.25}
    assert {name: len(part) for name, part in divide(THREE_EACH, tmp_path, **given)[1].items()} == {
        "train": 20,
        "val": 20,
        "test": 20,
    }
    with pytest.raises(DataError, match=r"in val; lower split.test_fraction, which leaves .*, 3, only one"):
        divide(THREE_EACH, tmp_path, **(given | {"test_fraction": 0.9}))


def test_one_rating_a_user_is_never_told_to_raise_a_fraction(tmp_path):
    with pytest.raises(DataError) as refused:
        divide(ONE_EACH, tmp_path, strategy="per_user_latest", val_fraction=0.9, test_fraction=0.9)
    assert "fraction" not in str(refused.value)
