"""Differences of gradient histograms, worked by hand."""

from dataclasses import replace

import numpy as np
from histories import bucket, history

from cfmodel.gradients.recording.gradient_history import GradientHistory
from cfmodel.gradients.recording.gradient_records import TableSample
from cfmodel.gradients.report.histogram_difference import gradient_difference


def with_values(found: GradientHistory, *values: list[float]) -> GradientHistory:
    """Replace the sampled gradients of user biases, a list of values per kept sample, evenly over the steps."""
    steps = [round(found.num_steps * (place + 1) / len(values)) for place in range(len(values))]
    samples = [
        replace(sample, step=step, tables={"user_biases": biases_with(sample.tables["user_biases"], numbers)})
        for sample, step, numbers in zip(found.samples, steps, values, strict=False)
    ]
    return replace(found, samples=tuple(samples))


def biases_with(seen: TableSample, numbers: list[float]) -> TableSample:
    return replace(seen, gradient_counts=bucket(np.array(numbers)))


def test_the_difference_of_two_histograms_is_as_worked_by_hand() -> None:
    found = GradientHistory.of(history(epochs=2))
    base = with_values(found, [1.0, 1.0, 2.0, -1.0], [1.0, 2.0])
    other = with_values(found, [2.0, 2.0, 2.0, 2.0], [1.0, 2.0])
    pair = gradient_difference(base, other, "user_biases", points=10)
    assert pair.progress.tolist() == [0.5, 1.0]
    # Buckets 127: [1, 2), 128: [2, 4), 383: (-2, -1].
    assert pair.difference[0][[127, 128, 383]].tolist() == [-0.5, 0.75, -0.25]
    assert pair.distance.tolist() == [0.75, 0.0]


def test_runs_of_different_length_are_compared_at_matching_progress() -> None:
    short, long = (GradientHistory.of(history(epochs=epochs)) for epochs in (1, 4))
    base = with_values(short, [1.0], [2.0])
    other = with_values(long, [1.0], [1.0], [4.0], [2.0])
    pair = gradient_difference(base, other, "user_biases", points=10)
    assert pair.progress.tolist() == [0.5, 1.0]
    assert pair.distance.tolist() == [0.0, 0.0]


def test_a_run_sampled_only_early_is_not_compared_with_later_steps() -> None:
    found = GradientHistory.of(history(epochs=2))
    base = with_values(found, [1.0], [1.0], [1.0], [1.0])
    early = with_values(found, [2.0])
    early = replace(early, samples=(replace(early.samples[0], step=base.samples[0].step),))
    pair = gradient_difference(base, early, "user_biases", points=10)
    assert pair.distance[0] == 1.0
    assert np.isnan(pair.distance[1:]).all()
    assert pair.mean_distance == 1.0
