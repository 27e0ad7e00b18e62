"""The report's numbers and its page, without a browser."""

import json
import re

import numpy as np
import pytest
from histories import bucket, history

from cfmodel.gradients.health.rules.catalogue import RULES
from cfmodel.gradients.health.verdicts import HealthReport, Verdict
from cfmodel.gradients.recording.gradient_history import GradientHistory
from cfmodel.gradients.recording.gradient_records import TABLES
from cfmodel.gradients.report.epoch_images import axis_shares, epoch_images, shown_epochs
from cfmodel.gradients.report.page import LARGEST_PAGE
from cfmodel.gradients.report.page_data import (
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
from cfmodel.gradients.report.verdicts_html import part_of

HEALTHY = HealthReport(())
NASTY = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


def verdict(rule: str = "dead_rows", **changed: object) -> Verdict:
    values: dict[str, object] = {
        "rule": rule,
        "severity": "warning",
        "value": 0.03,
        "threshold": 0.001,
        "message": "3 % of the rows never had a gradient",
        "remedy": "look for a mask",
        "first_step": 200,
        "table": "movie_biases",
        "ids": ("movie 12",),
        "words": ("dead",),
    }
    return Verdict(**(values | changed))  # type: ignore[arg-type]


def report(health: HealthReport = HEALTHY, **changed: object) -> str:
    values: dict[str, object] = {"title": "Gradients", "facts": {"run": "a1"}} | changed
    return gradient_report(history(epochs=2), health, **values)  # type: ignore[arg-type]


def test_cells_run_from_the_most_negative_over_zero_to_the_largest() -> None:
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


def test_an_axis_of_zeros_and_of_nothing_finite_has_a_cell_for_zero() -> None:
    for values in (np.zeros(5), np.array([np.nan, np.inf])):
        assert octave_axis(bucket(values)[None], signed=True).octaves == 1


def test_thinned_samples_keep_the_first_and_the_last_and_spread_evenly() -> None:
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


def test_the_noise_scale_averages_both_parts_before_it_divides() -> None:
    samples = GradientHistory.of(history(epochs=1)).samples[:3]
    traces, signals = ([getattr(sample, part) for sample in samples] for part in ("noise_trace", "signal_square"))
    assert noise_scale(samples)[2] == pytest.approx(np.mean(traces) / np.mean(signals))
    assert np.isnan(noise_scale(GradientHistory.of(history()).samples)[-1]) == (
        np.mean([sample.signal_square for sample in GradientHistory.of(history()).samples[-8:]]) <= 0
    )


def test_a_page_of_the_longest_training_stays_below_its_bound() -> None:
    records = history(epochs=30, steps=128, every=1)
    pictures = phase_pictures(GradientHistory.of(records))
    assert len(pictures["samples"]["step"]) == MOST_SAMPLES
    assert len(pictures["series"]["step"]) == MOST_POINTS
    page = gradient_report(records, HealthReport((verdict(),) * 20), title="Long", facts={})
    assert len(page.encode()) < LARGEST_PAGE


def test_no_text_of_a_run_becomes_part_of_the_page() -> None:
    health = HealthReport((verdict(message=NASTY, remedy=NASTY, ids=(NASTY,), rule=NASTY),))
    page = report(health, title=NASTY, facts={NASTY: NASTY})
    assert page.count("<script") == 2
    assert "<img" not in page


def test_a_page_fetches_and_stores_nothing() -> None:
    page = report()
    assert "default-src 'none'" in page
    addresses = set(re.findall(r"https?://[^\s\"'<]+", page))
    assert addresses == {"http://www.w3.org/2000/svg"}
    assert not re.search(
        r"localStorage|sessionStorage|indexedDB|document\.cookie|fetch\(|XMLHttpRequest|import\(", page
    )


def test_the_data_in_a_page_are_json() -> None:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', report(), re.DOTALL)
    assert found
    assert set(json.loads(found[1])["phases"][0]["histograms"]) == set(TABLES)


def test_every_rule_points_at_a_part_of_the_page() -> None:
    page = report()
    for rule in RULES:
        for table in (None, *TABLES):
            assert f'id="{part_of(verdict(rule.name, table=table))}"' in page


def test_a_verdict_says_what_where_since_when_and_what_to_do() -> None:
    page = report(HealthReport((verdict(),)))
    for text in ("Dead rows", "in movie biases", "3 % of the rows never", "look for a mask", "movie 12", "step 200"):
        assert text in page
    assert 'data-step="200"' in page
    assert '<span class="verdict warning">warnings</span>' in page


def test_every_issue_of_the_textbook_is_answered_for_under_its_own_word() -> None:
    issues = ("Vanishing gradients", "Exploding gradients", "Dead neurons, here rows and tables")
    sound, sick = report(), report(HealthReport((verdict(),)))
    for issue in (*issues, "Learning rate too high", "Learning rate too low"):
        assert f'{issue}: <b class="verdict healthy">no sign</b>' in sound
    assert f'{issues[2]}: <b class="verdict warning">warning</b> (dead rows)' in sick
    assert f'{issues[0]}: <b class="verdict healthy">no sign</b>' in sick


def test_a_healthy_run_with_notes_is_healthy() -> None:
    page = report(HealthReport((verdict("ghost_updates", severity="info"),)))
    assert '<span class="verdict healthy">healthy</span>' in page
    assert "1 note" in page


def test_a_training_without_a_sample_has_its_verdicts_all_the_same() -> None:
    page = gradient_report([], HealthReport((verdict(),)), title="Short", facts={})
    assert "Dead rows" in page


def test_pictures_are_made_of_few_epochs_or_of_powers_of_two_and_the_last() -> None:
    assert shown_epochs(range(1, 16)) == [1, 2, 4, 8, 15]
    assert shown_epochs([1, 2, 3, 6, 11]) == [1, 2, 3, 6, 11]
    assert shown_epochs([]) == []
    made = list(epoch_images(GradientHistory.of(history(epochs=3)).samples))
    assert [(table, epoch) for table, epoch, _ in made] == [(table, epoch) for epoch in (1, 2, 3) for table in TABLES]
    assert made[0][2].shape == (340, 600, 3)
    assert not np.array_equal(made[0][2], made[-1][2])


def test_pictures_count_what_lies_beyond_their_axis_in_the_last_bar() -> None:
    share = axis_shares(bucket(np.array([1e6, -1e6, 1.0, 0.0])))
    assert [share[0], share[-1], share[len(share) // 2]] == [0.25, 0.25, 0.25]
    assert share.sum() == 1
