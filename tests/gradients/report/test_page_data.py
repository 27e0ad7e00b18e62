"""The numbers that the pages draw."""

import numpy as np
import pytest
from histories import FIVE, bucket, history
from made_reports import verdict

from cfmodel.gradients.health.verdicts import HealthReport
from cfmodel.gradients.recording.gradient_history import GradientHistory
from cfmodel.gradients.report.page import LARGEST_PAGE
from cfmodel.gradients.report.page_data import (
    MOST_HISTOGRAMS,
    MOST_POINTS,
    MOST_SAMPLES,
    OctaveAxis,
    curve,
    curve_steps,
    noise_scale,
    octave_axis,
    phase_pictures,
    thinned,
)
from cfmodel.gradients.report.run_report import gradient_report


def test_cells_run_from_the_most_negative_through_zero_to_the_largest() -> None:
    counts = bucket(np.array([-3.0, -1.0, 0.0, 0.4, 1.0, 1.5, 2.0]))[None]
    axis = OctaveAxis(low=0, octaves=2, signed=True)
    # Octaves [1, 2) and [2, 4); 0.4 is below the smallest and counted with zero.
    assert axis.cells(counts).tolist() == [[1, 1, 2, 2, 1]]
    assert OctaveAxis(low=0, octaves=2, signed=False).cells(counts).tolist() == [[2, 2, 1]]


def test_an_axis_holds_the_largest_value_and_nearly_all_others() -> None:
    random = np.random.default_rng(0)
    values = random.normal(0, 0.1, 100_000)
    counts = bucket(values)[None]
    axis = octave_axis(counts, signed=True)
    assert 2.0 ** (axis.low + axis.octaves) > np.abs(values).max() >= 2.0 ** (axis.low + axis.octaves - 1)
    assert axis.cells(counts)[0][axis.octaves] <= 0.0005 * len(values)
    assert axis.cells(counts).sum() == len(values)


def test_an_axis_without_finite_values_or_with_only_zeros_has_a_cell_for_zero() -> None:
    for values in (np.zeros(5), np.array([np.nan, np.inf])):
        assert octave_axis(bucket(values)[None], signed=True).octaves == 1


def test_thinned_samples_include_the_first_and_the_last_and_are_evenly_spread() -> None:
    samples = GradientHistory.of(history(epochs=10, every=1)).samples
    kept = thinned(samples, 33)
    assert [kept[0].step, kept[-1].step] == [1, 640]
    assert len(kept) == 33
    assert set(np.diff([sample.step for sample in kept])) <= {19, 20, 21}


def test_a_long_curve_shows_the_median_and_the_extremes_of_each_stretch() -> None:
    values = np.array([1.0, 2.0, 9.0, 4.0, np.nan, 6.0])
    assert curve(values, most=2) == {"middle": [2.0, 5.0], "low": [1.0, 4.0], "high": [9.0, 6.0]}
    assert curve_steps(1, 6, most=2) == [2, 5]
    assert curve(values) == {"middle": [1.0, 2.0, 9.0, 4.0, None, 6.0]}


def test_the_norm_after_clipping_is_the_norm_before_times_the_coefficient() -> None:
    series = phase_pictures(GradientHistory.of(history(scale=3.0)))["series"]["values"]
    before, after = (np.array(series[f"{when}/total"]["middle"]) for when in ("before", "after"))
    assert before.max() > 1
    np.testing.assert_allclose(after, np.minimum(before, 1), rtol=1e-3)


def test_the_noise_scale_averages_both_parts_before_the_division() -> None:
    samples = GradientHistory.of(history(epochs=1)).samples[:3]
    traces, signals = ([getattr(sample, part) for sample in samples] for part in ("noise_trace", "signal_square"))
    assert noise_scale(samples)[2] == pytest.approx(np.mean(traces) / np.mean(signals))
    assert np.isnan(noise_scale(GradientHistory.of(history()).samples)[-1]) == (
        np.mean([sample.signal_square for sample in GradientHistory.of(history()).samples[-8:]]) <= 0
    )


def test_the_page_of_the_longest_training_is_smaller_than_its_limit() -> None:
    records = history(epochs=30, steps=128, every=1)
    pictures = phase_pictures(GradientHistory.of(records))
    assert len(pictures["samples"]["step"]) == MOST_SAMPLES
    assert len(pictures["series"]["step"]) == MOST_POINTS
    page = gradient_report(records, HealthReport((verdict(),) * 20), title="Long", facts={})
    assert len(page.encode()) < LARGEST_PAGE


def test_a_page_of_more_tables_has_fewer_samples_of_each() -> None:
    pictures = phase_pictures(GradientHistory.of(history(epochs=30, every=1, tables=FIVE)))
    assert len(pictures["samples"]["step"]) == MOST_HISTOGRAMS // 5
