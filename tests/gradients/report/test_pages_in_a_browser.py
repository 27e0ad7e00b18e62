"""The pages at work in a real headless Chromium, framed as MLflow frames them."""

from pathlib import Path
from typing import Any

import pytest
from histories import FIVE, FOUR, OTHER_SIDES, OTHERS, Shapes, history
from made_reports import compared_run
from viewer import VERDICTS, drawing, move, readout

from cfmodel.gradients.health.verdicts import HealthReport
from cfmodel.gradients.recording.gradient_records import StepSample
from cfmodel.gradients.report.comparison import RunComparison
from cfmodel.gradients.report.comparison_page import comparison_page
from cfmodel.gradients.report.run_report import gradient_report


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_report_works_in_a_sandboxed_frame(show: Any, report: str, screenshots: Path, theme: str) -> None:
    viewer = show(report, color_scheme=theme)
    frame = viewer.framed()
    assert frame.locator(".chart svg").count() == 4 * len(FOUR) + 8
    figures = [f"{table}-{kind}" for table in FOUR for kind in ("heat", "ridge", "bars", "deciles")]
    before = {figure: drawing(frame, figure) for figure in (*figures, "norms-before")}
    move(frame, 0.2)
    still = {figure for figure, old in before.items() if drawing(frame, figure) == old}
    assert still <= {f"{table}-deciles" for table in FOUR}  # whose made-up shares do not change
    viewer.page.screenshot(path=screenshots / f"report-framed-{theme}.png")
    assert viewer.complaints == []
    assert all(address.startswith(("http://127.0.0.1", "blob:", "data:")) for address in viewer.requests)


def test_the_keyboard_reaches_everything(show: Any, report: str) -> None:
    viewer = show(report)
    frame = viewer.framed()
    frame.focus("#slider")
    last = readout(frame)
    viewer.page.keyboard.press("ArrowLeft")
    assert readout(frame) != last
    viewer.page.keyboard.press("Home")
    assert readout(frame).startswith("step 1 of 384, epoch 1")
    assert frame.get_attribute("#slider", "aria-valuetext") == "step 1 of 384, epoch 1 of 6"
    viewer.page.keyboard.press("Tab")
    viewer.page.keyboard.press("Tab")  # from the slider over "gradients" to "row norms"
    bars = drawing(frame, "user_biases-bars")
    viewer.page.keyboard.press("Enter")
    assert drawing(frame, "user_biases-bars") != bars
    viewer.page.keyboard.press("ArrowRight")  # anywhere but in a control that needs it
    assert readout(frame).startswith("step 2 of 384")
    assert viewer.complaints == []


def test_a_verdict_links_to_its_step_and_its_picture(show: Any, report: str) -> None:
    viewer = show(report)
    frame = viewer.framed()
    frame.click("button[data-phase='1']")
    frame.click("a[data-to='rows'][data-step='200']")
    assert readout(frame).startswith("step 200 of 384")
    assert frame.get_attribute("button[data-phase='0']", "aria-pressed") == "true"
    assert frame.evaluate("document.activeElement.id") == "rows"
    assert viewer.complaints == []


def test_the_exact_first_step_of_a_verdict_is_marked(show: Any, report: str) -> None:
    frame = show(report).framed()
    assert frame.locator(".flagged").count() == 0
    frame.click("a[data-to='rows'][data-step='200']")
    assert set(frame.locator(".flagged").all_text_contents()) == {"verdict: step 200"}
    frame.click("button[data-phase='1']")  # of another training it says nothing
    assert frame.locator(".flagged").count() == 0


def test_each_sampled_step_has_its_own_column_however_early_it_is(show: Any) -> None:
    records = [record for record in history(epochs=6, every=1) if not isinstance(record, StepSample) or record.step < 4]
    viewer = show(gradient_report(records, HealthReport(()), title="Early", facts={}))
    frame = viewer.framed()
    assert "3 of 384 steps are shown, one column each; the last is step 3." in frame.inner_text("#sampled")
    frame.eval_on_selector("#user_biases", "(part) => part.scrollIntoView()")
    canvas = frame.locator("#user_biases-heat .chart canvas").bounding_box()
    assert canvas
    for column in range(3):
        viewer.page.mouse.click(canvas["x"] + canvas["width"] * (column + 0.5) / 3, canvas["y"] + 50)
        assert readout(frame).startswith(f"step {column + 1} of 384")
    assert viewer.complaints == []


def test_a_click_on_a_picture_moves_the_slider_and_play_runs_to_the_end(show: Any, report: str) -> None:
    viewer = show(report)
    frame = viewer.framed()
    frame.click("#norms-before .chart svg", position={"x": 200, "y": 100})
    clicked = readout(frame)
    assert not clicked.startswith("step 384")
    frame.click("#play")
    frame.locator("#readout:has-text('step 384 of 384')").wait_for()
    assert frame.inner_text("#play") == "▶ play"
    assert viewer.complaints == []


def test_a_report_with_nothing_to_draw_shows_its_verdicts(show: Any) -> None:
    viewer = show(gradient_report([], HealthReport(VERDICTS), title="Short", facts={}))
    assert "Dead rows" in viewer.framed().inner_text("#health")
    assert viewer.complaints == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_comparison_works_in_a_sandboxed_frame(show: Any, comparison: str, screenshots: Path, theme: str) -> None:
    viewer = show(comparison, color_scheme=theme)
    frame = viewer.framed()
    assert frame.locator(".chart svg").count() == 2 + 3 * len(FOUR) + 1 + len(FOUR)
    kinds = [f"{table}-{kind}" for table in FOUR for kind in ("heat", "both", "bars")]
    before = {figure: drawing(frame, figure) for figure in kinds}
    move(frame, 0.0)
    assert not [figure for figure, old in before.items() if drawing(frame, figure) == old]
    first = drawing(frame, "user_biases-both")
    frame.select_option("#other", "1")
    assert drawing(frame, "user_biases-both") != first
    viewer.page.screenshot(path=screenshots / f"comparison-framed-{theme}.png")
    assert viewer.complaints == []


@pytest.mark.parametrize(("tables", "sides"), [(FIVE, {}), (OTHERS, OTHER_SIDES)])
def test_tables_of_any_name_are_drawn(show: Any, tables: Shapes, sides: dict[str, str]) -> None:
    records = history(epochs=2, tables=tables, sides=sides)
    viewer = show(gradient_report(records, HealthReport(()), title="Others", facts={}))
    frame = viewer.framed()
    assert frame.locator(".chart svg").count() == 4 * len(tables) + 8
    looks = frame.eval_on_selector(
        "#norms-before .legend",
        "(legend) => [...legend.querySelectorAll('line')].map((line) =>"
        " [line.className.baseVal, line.getAttribute('stroke-dasharray')])",
    )
    assert len({tuple(look) for look in looks}) == len(looks) == len(tables) + 1
    names = [*tables]
    movie = [table for table in names if sides.get(table, table).startswith("movie")]
    assert [names[place] for place, (_, dashes) in enumerate(looks) if dashes] == movie
    assert viewer.complaints == []


def test_tables_of_any_name_are_compared(show: Any) -> None:
    runs = (compared_run(1, tables=OTHERS), compared_run(2, scale=3.0, tables=OTHERS))
    viewer = show(comparison_page(RunComparison(runs)))
    frame = viewer.framed()
    assert frame.locator(".chart svg").count() == 2 + 3 * len(OTHERS) + 1 + len(OTHERS)
    assert "encoder.weight" in readout(frame)
    assert viewer.complaints == []
