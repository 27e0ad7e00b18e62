"""What a page may hold: escaped texts and JSON, and nothing to fetch."""

import re

from histories import FOUR
from made_reports import data_of, report_page, verdict

from cfmodel.gradients.health.verdicts import HealthReport

NASTY = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


def test_no_text_of_a_run_becomes_part_of_the_page() -> None:
    health = HealthReport((verdict(message=NASTY, remedy=NASTY, ids=(NASTY,), rule=NASTY),))
    page = report_page(health, title=NASTY, facts={NASTY: NASTY})
    assert page.count("<script") == 2
    assert "<img" not in page


def test_a_page_fetches_and_stores_nothing() -> None:
    page = report_page()
    assert "default-src 'none'" in page
    addresses = set(re.findall(r"https?://[^\s\"'<]+", page))
    assert addresses == {"http://www.w3.org/2000/svg"}
    assert not re.search(
        r"localStorage|sessionStorage|indexedDB|document\.cookie|fetch\(|XMLHttpRequest|import\(", page
    )


def test_the_data_in_a_page_are_json() -> None:
    assert set(data_of(report_page())["phases"][0]["histograms"]) == set(FOUR)
