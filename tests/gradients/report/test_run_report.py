"""The report of one run, without a browser."""

import pytest
from histories import FIVE, OTHER_SIDES, OTHERS, Shapes, history
from made_reports import data_of, verdict

from cfmodel.gradients.health.verdicts import HealthReport
from cfmodel.gradients.report.page import title_of
from cfmodel.gradients.report.run_report import gradient_report


def test_a_training_without_a_sample_still_has_its_verdicts() -> None:
    page = gradient_report([], HealthReport((verdict(),)), title="Short", facts={})
    assert "Dead rows" in page


@pytest.mark.parametrize("tables", [FIVE, OTHERS])
def test_every_table_of_any_name_has_its_part_of_the_page(tables: Shapes) -> None:
    page = gradient_report(history(epochs=2, tables=tables), HealthReport(()), title="Others", facts={})
    assert data_of(page)["tables"] == list(tables)
    for table in tables:
        for part in ("", "-heat", "-ridge", "-bars", "-deciles", "-words"):
            assert f'id="{table}{part}"' in page
        assert f'<th scope="col">{title_of(table)}</th>' in page


def test_sides_are_those_of_the_records_in_the_order_of_the_tables() -> None:
    page = gradient_report(history(tables=OTHERS, sides=OTHER_SIDES), HealthReport(()), title="Others", facts={})
    assert data_of(page)["sides"] == ["user", "user", "movie"]
