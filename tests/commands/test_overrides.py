"""What is typed after --set."""

import pytest

from cfmodel.commands.overrides import read_overrides
from cfmodel.errors import ConfigError


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("train.epochs=5", 5),
        ("train.refit=false", False),
        ("train.batch_size=null", None),
        ("evaluation.k=[5, 10]", [5, 10]),
        ("split.strategy=temporal", "temporal"),
        ("ingest.columns.rating=3", "3"),
        ("tracking.run_name=2024", "2024"),
        ("tracking.run_name=a=b", "a=b"),
        (r"ingest.separator=\t", "\t"),
    ],
)
def test_a_value_is_read_by_the_type_of_its_setting(typed: str, value: object) -> None:
    name = typed.partition("=")[0]
    assert read_overrides([typed]) == {name: value}


@pytest.mark.parametrize("typed", ["train.epochs", "=5", ""])
def test_a_pair_without_a_name_or_an_equals_sign_is_refused(typed: str) -> None:
    with pytest.raises(ConfigError, match="expected NAME=VALUE"):
        read_overrides([typed])
