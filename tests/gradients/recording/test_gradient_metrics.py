"""The monitor's records as metrics, through the recorder that sends them."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from histories import FIVE, OTHERS, Shapes, history

from cfmodel.gradients.recording.gradient_metrics import sample_metrics
from cfmodel.gradients.recording.gradient_records import EpochGradients, GradientRecord, StepSample
from cfmodel.tracking.outbox.entries import Point
from cfmodel.tracking.outbox.training_metrics import Recorder
from cfmodel.training.epoch_records import EpochRecord, Phase


def epoch(number: int, phase: Phase) -> EpochRecord:
    return EpochRecord(phase, number, 9, number, 0.5, 0.7, 0.9, False, 0.001, {"user_biases": 0.1}, 0.2, 0.0, 0.1, 1e6)


class Taken(list[Point]):
    """A sink that keeps every point."""

    def write(self, points: Sequence[Point]) -> None:
        self.extend(points)

    def last_step(self, key: str) -> int:
        return max((point.step for point in self if point.key == key), default=0)

    def flush(self) -> None: ...

    def close(self) -> None: ...


def sent(records: Sequence[GradientRecord]) -> list[Point]:
    """What a store gets of these records, an epoch's own record after what the monitor says of it."""
    points = Taken()
    with Recorder(points, flush_seconds=math.inf) as record:
        for each in records:
            record(each)
            if isinstance(each, EpochGradients):
                record(epoch(each.epoch, "fit" if each.phase == "fit" else "refit"))
    return points


def steps(points: Sequence[Point], key: str) -> list[int]:
    return [point.step for point in points if point.key == key]


def test_records_of_an_epoch_become_metrics_of_that_epoch() -> None:
    points = sent(history(epochs=2, steps=8, every=4, refit=False))
    for key in ("gradients/user_embeddings/p50", "ghost_share/movie_biases", "effective_rank/user_embeddings"):
        assert steps(points, key) == [1, 2], key
    assert steps(points, "gradients/rating_std") == [0]
    assert steps(points, "monitor/overhead_fraction") == [2]
    assert not steps(points, "effective_rank/user_biases")


def test_metrics_of_the_refit_have_keys_of_their_own() -> None:
    points = sent(history(epochs=1, steps=8, every=4))
    assert steps(points, "monitor/sample_every") == steps(points, "refit/monitor/sample_every") == [1]


def test_every_metric_is_finite_and_has_a_key_that_mlflow_accepts() -> None:
    points = sent(history(epochs=2, steps=8, every=4))
    assert all(np.isfinite(point.value) for point in points)
    assert all(set(point.key) <= set("abcdefghijklmnopqrstuvwxyz0123456789_/") for point in points)


def test_the_parts_of_the_noise_scale_are_averaged_before_the_division() -> None:
    samples = [record for record in history(epochs=1, steps=8, every=4) if isinstance(record, StepSample)]
    trace, signal = (np.mean([getattr(each, name) for each in samples]) for name in ("noise_trace", "signal_square"))
    assert sample_metrics(samples)["gradients/noise_scale"] == pytest.approx(trace / signal)


@pytest.mark.parametrize("tables", [FIVE, OTHERS])
def test_every_table_has_its_metrics_and_vectors_have_a_rank(tables: Shapes) -> None:
    keys = {point.key for point in sent(history(epochs=1, refit=False, tables=tables))}
    for table, (_, columns) in tables.items():
        assert {f"gradients/{table}/p50", f"row_norm/{table}", f"adam_step/{table}"} <= keys
        assert (f"effective_rank/{table}" in keys) == (columns > 1)
