"""The page of a comparison, without a browser."""

from dataclasses import replace

from histories import OTHERS
from made_reports import compared_run, data_of

from cfmodel.gradients.report.comparison import (
    MOST_RUNS,
    RunComparison,
    summary_rows,
)
from cfmodel.gradients.report.comparison_page import comparison_page
from cfmodel.gradients.report.page import LARGEST_PAGE


def test_a_page_has_no_numbers_where_a_run_has_no_sampled_step() -> None:
    one, other = compared_run(1), compared_run(2)
    assert other.history
    early = replace(other, history=replace(other.history, samples=other.history.samples[:1]))
    page = comparison_page(RunComparison((one, early)))
    pair = data_of(page)["tables"]["user_biases"]["others"][0]
    assert pair["other"][0] is not None
    assert pair["difference"][-1] is None
    assert pair["distance"][-1] is None


def test_runs_without_a_monitor_are_compared_without_gradients() -> None:
    comparison = RunComparison((compared_run(1), replace(compared_run(2), history=None)))
    page = comparison_page(comparison)
    assert "Without a record: run-2" in page
    assert not any(name.startswith("gradients apart") for name, *_ in summary_rows(comparison))


def test_the_largest_comparison_is_smaller_than_the_limit_of_a_page() -> None:
    runs = [compared_run(number, scale=float(number), epochs=10) for number in range(1, MOST_RUNS + 1)]
    assert len(comparison_page(RunComparison(tuple(runs))).encode()) < LARGEST_PAGE


def test_no_name_or_setting_becomes_part_of_the_page() -> None:
    nasty = "</script><img src=x onerror=alert(1)>"
    page = comparison_page(RunComparison((compared_run(1, source=nasty), replace(compared_run(2), name=nasty))))
    assert "<img" not in page
    assert page.count("<script") == 2


def test_tables_of_any_name_are_compared_and_runs_without_a_common_table_say_so() -> None:
    others = [compared_run(number, tables=OTHERS) for number in (1, 2)]
    page = comparison_page(RunComparison(tuple(others)))
    assert list(data_of(page)["tables"]) == list(OTHERS)
    assert all(f'id="{table}-heat"' in page and f'id="norms-{table}"' in page for table in OTHERS)
    apart = comparison_page(RunComparison((compared_run(1), others[1])))
    assert "no table in common" in apart
    assert data_of(apart)["pairs"] == []
