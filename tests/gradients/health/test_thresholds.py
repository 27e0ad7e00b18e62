"""The thresholds of the rules."""

from dataclasses import fields, replace

from cfmodel.gradients.health.judge import THRESHOLDS
from cfmodel.gradients.health.thresholds import Thresholds


def test_every_threshold_is_documented_and_changes_the_digest() -> None:
    for field in fields(Thresholds):
        assert f"        {field.name}:" in (Thresholds.__doc__ or ""), field.name
    assert replace(THRESHOLDS, spike=21.0).digest() != THRESHOLDS.digest()
