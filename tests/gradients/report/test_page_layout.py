"""How the pages look in a real Chromium: nothing overlaps, neighbours line up, both themes have colours."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from viewer import Viewer, laid_out

if TYPE_CHECKING:
    from playwright.sync_api import Browser

#: Pairs of texts within one picture that share more than a hair of the screen.
TOUCHING = """() => [...document.querySelectorAll("svg[role=img]")].flatMap((picture) => {
  const texts = [...picture.querySelectorAll("text")].filter((text) => text.textContent);
  const boxes = texts.map((text) => text.getBoundingClientRect());
  const shared = (a, b) => [
    Math.min(a.right, b.right) - Math.max(a.left, b.left), Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top)];
  return texts.flatMap((one, i) => texts.slice(i + 1).filter((_, j) => {
    const [wide, high] = shared(boxes[i], boxes[i + 1 + j]);
    return wide > 1 && high > 3;
  }).map((other) => `${picture.getAttribute("aria-label")}: ${one.textContent} and ${other.textContent}`));
})"""


@pytest.mark.parametrize("width", [420, 1024, 1366])
@pytest.mark.parametrize("which", ["report", "comparison"])
def test_no_two_texts_of_a_picture_overlap(show: Any, request: pytest.FixtureRequest, which: str, width: int) -> None:
    viewer = show(request.getfixturevalue(which))
    viewer.page.set_viewport_size({"width": width, "height": 768})
    frame = viewer.framed()
    laid_out(frame, width)
    assert frame.evaluate(TOUCHING) == []
    assert frame.evaluate("document.documentElement.scrollWidth") <= width


def test_neighbouring_pictures_are_at_the_same_height(show: Any, report: str) -> None:
    frame = show(report).framed()
    tops = frame.evaluate(
        "[...document.querySelectorAll('.pictures')].map((row) =>"
        " [...row.querySelectorAll('.chart')].slice(0, 2).map((one) => Math.round(one.getBoundingClientRect().top)))"
    )
    assert all(left == right for left, right in tops)


def test_the_slider_leaves_the_page_with_the_pictures_it_moves(show: Any, report: str) -> None:
    frame = show(report).framed()

    def seen(shown: str, *, beside: str) -> tuple[float, float, float]:
        frame.eval_on_selector(shown, "(part) => part.scrollIntoView({ behavior: 'instant' })")
        bar, other = (
            frame.eval_on_selector(which, "(one) => one.getBoundingClientRect().toJSON()")
            for which in (".controls", beside)
        )
        return bar["top"], bar["bottom"], other["top"]

    top, bottom, heading = seen("#loss", beside="#loss-title")
    assert top >= 0
    assert heading >= bottom - 1
    _, bottom, rows = seen("#about", beside="#rows")
    assert bottom <= rows


def test_the_report_works_as_a_file_and_on_a_narrow_screen(
    browser: "Browser", report: str, tmp_path: Path, screenshots: Path
) -> None:
    file = tmp_path / "report.html"
    file.write_text(report, encoding="utf-8")
    viewer = Viewer(browser, file.as_uri())
    viewer.page.set_viewport_size({"width": 420, "height": 800})
    laid_out(viewer.page, 420)
    assert viewer.page.evaluate("document.documentElement.scrollWidth") <= 420
    viewer.page.set_viewport_size({"width": 1366, "height": 768})
    laid_out(viewer.page, 1366)
    viewer.page.screenshot(path=screenshots / "report-whole.png", full_page=True)
    assert viewer.complaints == []
    viewer.page.context.close()


def test_the_heat_map_is_painted_in_the_colours_of_its_theme(show: Any, report: str) -> None:
    def darkest(theme: str) -> list[int]:
        frame = show(report, color_scheme=theme).framed()
        return list(
            frame.eval_on_selector(
                "#user_embeddings-heat canvas",
                "(c) => [...c.getContext('2d').getImageData(0, Math.round(c.height / 4), 40, 1).data.slice(0, 3)]",
            )
        )

    assert darkest("light") != darkest("dark")
