"""Ids, titles and names that are markup, in every page: they are text there."""

from html.parser import HTMLParser

import pytest
from histories import history

from cfmodel.gradients.health.verdicts import HealthReport, Verdict
from cfmodel.gradients.recording.gradient_history import GradientHistory
from cfmodel.gradients.report.comparison import ComparedRun, RunComparison
from cfmodel.gradients.report.comparison_page import comparison_page
from cfmodel.gradients.report.run_report import gradient_report

HOSTILE = [
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "<svg/onload=alert(1)>",
    "javascript:alert(1)",
    "]]><!--",
    "$title ${body} %s {0}",
    "\u202e\u0000\ufeff",
]


class Markup(HTMLParser):
    """Gathers what of a page runs: scripts, handlers, and addresses."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.scripts = 0
        self.running: list[tuple[str, str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        for name, value in attrs:
            fetched = name in ("src", "href", "action", "formaction") and not (value or "").startswith("#")
            if name.startswith("on") or fetched or tag in ("img", "iframe", "object", "embed"):
                self.running.append((tag, name))


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_id_or_title_is_text_in_the_report(text: str) -> None:
    verdict = Verdict("dead_rows", "warning", 0.03, 0.001, text, text, 200, table=text, ids=(text,), words=())
    records = history(epochs=2)
    harmless = Markup(gradient_report(records, HealthReport(()), title="a", facts={"run": "a"}))
    page = Markup(gradient_report(records, HealthReport((verdict,)), title=text, facts={text: text}))
    assert (page.scripts, page.running) == (harmless.scripts, harmless.running)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_name_or_setting_is_text_in_a_comparison(text: str) -> None:
    def pages(name: str) -> Markup:
        watched = GradientHistory.of(history(epochs=2))
        curves = {"val/rmse": [(1, 0.9)], "train/rmse": [(1, 0.8)]}
        runs = [
            ComparedRun(name, f"{number}{name}", {name: f"{name}{number}"}, {name: 0.1 * number}, curves, watched)
            for number in (1, 2)
        ]
        return Markup(comparison_page(RunComparison(tuple(runs))))

    harmless, page = pages("harmless"), pages(text)
    assert (page.scripts, page.running) == (harmless.scripts, harmless.running)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_name_of_a_table_is_text_in_every_page(text: str) -> None:
    def pages(name: str) -> list[Markup]:
        records = history(epochs=2, tables={name: (60, 4), f"{name} of movies": (30, 1)})
        watched = GradientHistory.of(records)
        runs = tuple(ComparedRun(number, number, {}, {}, {}, watched) for number in ("1", "2"))
        report = gradient_report(records, HealthReport(()), title="a", facts={})
        return [Markup(report), Markup(comparison_page(RunComparison(runs)))]

    for harmless, page in zip(pages("harmless"), pages(text), strict=True):
        assert (page.scripts, page.running) == (harmless.scripts, harmless.running)
