"""Each fault of the catalogue at its clearest, and sound trainings, on a small set: the benchmark in brief."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from faults import FAULTS, HEALTHY
from trainings import Training, observe, training_on

from cfmodel.gradients.health.judge import judge_health

SMALL = "synthetic:users=200,movies=120,ratings=9000"


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def sound() -> Training:
    return training_on(SMALL, seed=1)


@pytest.mark.parametrize("name", ["defaults", "one epoch", "three users", "scale of 100"])
def test_a_sound_training_is_healthy(sound: Training, name: str) -> None:
    report = judge_health(observe(HEALTHY[name](sound)))
    assert report.overall == "healthy", report.verdicts


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_the_first_verdict_names_a_gross_fault(sound: Training, fault: Any) -> None:
    report = judge_health(observe(fault.inject(sound, fault.grades[3])))
    assert report.overall in ("warning", "error")
    assert report.verdicts[0].rule in fault.verdicts, [verdict.rule for verdict in report.verdicts]
    assert report.verdicts[0].remedy
