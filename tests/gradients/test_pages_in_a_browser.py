"""The pages in a real headless Chromium: framed as MLflow frames them, in MLflow itself, and on their own."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import pytest
from histories import history

from cfmodel.gradients.comparison import ComparedRun, Comparison
from cfmodel.gradients.comparison_page import comparison_page
from cfmodel.gradients.history import GradientHistory
from cfmodel.gradients.records import TABLES, StepSample
from cfmodel.gradients.report import gradient_report
from cfmodel.gradients.verdicts import HealthReport, Verdict
from cfmodel.tracking import Run

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Frame, Page

DEAD = ("movie_biases", ("movie 1",), ("dead",))
VERDICTS = (
    Verdict("dead_rows", "warning", 0.03, 0.001, "rows are dead", "look", 200, *DEAD),
    Verdict("clipping", "warning", 0.9, 0.5, "most steps were clipped", "raise", 1, None, (), ("exploding",)),
)

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

FRAME = """<!doctype html><title>viewer</title>
<style>html, body, iframe { margin: 0; width: 100%; height: 100vh; border: 0 }</style>
<iframe sandbox="allow-scripts"></iframe>
<script>fetch("/page").then((answer) => answer.text()).then((text) => {
  document.querySelector("iframe").src = URL.createObjectURL(new Blob([text], { type: "text/html" }));
});</script>"""


@pytest.fixture(scope="module")
def report() -> str:
    return gradient_report(history(epochs=6, scale=3.0), HealthReport(VERDICTS), title="Gradients", facts={"run": "a1"})


@pytest.fixture(scope="module")
def comparison() -> str:
    made = [history(epochs=4 + number, scale=1.0 + 3 * number, seed=number) for number in range(3)]
    curves = {key: [(1, 1.0), (2, 0.9)] for key in ("train/rmse", "val/rmse")}
    runs = [
        ComparedRun(
            f"run-{number}",
            f"{number}" * 32,
            {"train.seed": f"{number}"},
            {"test/rmse": 0.9},
            curves,
            GradientHistory.of(records),
        )
        for number, records in enumerate(made)
    ]
    return comparison_page(Comparison(tuple(runs)))


class Viewer:
    """A page that shows another in a sandboxed frame, by a blob address, as MLflow's artifact viewer does."""

    def __init__(self, browser: "Browser", address: str, **context: Any) -> None:
        self.page: Page = browser.new_context(viewport={"width": 1366, "height": 768}, **context).new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self._note(message.text, message.location["url"]))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(address)

    def _note(self, text: str, address: str) -> None:
        if not address.startswith("http"):  # what MLflow's own page says is not ours to answer for
            self.complaints.append(text)

    def framed(self, wait: float = 15_000) -> "Frame":
        frame = self.page.wait_for_selector("iframe", timeout=wait).content_frame()
        assert frame
        frame.wait_for_selector("h1", timeout=wait)
        return frame


@pytest.fixture
def show(browser: "Browser") -> Iterator[Any]:
    """Serve a page's viewer on this machine and open it."""
    servers: list[ThreadingHTTPServer] = []
    opened: list[Viewer] = []

    def open_page(text: str, **context: Any) -> Viewer:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = {"/": FRAME, "/page": text}.get(self.path, "")
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, format: str, *args: Any) -> None: ...

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        opened.append(Viewer(browser, f"http://127.0.0.1:{server.server_port}/", **context))
        return opened[-1]

    yield open_page
    for viewer in opened:
        viewer.page.context.close()
    for server in servers:
        server.shutdown()
        server.server_close()


def drawing(frame: "Frame", figure: str) -> str:
    return str(frame.eval_on_selector(f"#{figure} .chart", "(chart) => chart.innerHTML"))


def move(frame: "Frame", share: float) -> None:
    frame.eval_on_selector(
        "#slider",
        "(slider, share) => {"
        " slider.value = Math.round(share * slider.max); slider.dispatchEvent(new Event('input')); }",
        share,
    )


def readout(frame: "Frame") -> str:
    return frame.inner_text("#readout")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_report_works_in_a_sandboxed_frame(show: Any, report: str, screenshots: Path, theme: str) -> None:
    viewer = show(report, color_scheme=theme)
    frame = viewer.framed()
    assert frame.locator(".chart svg").count() == 4 * len(TABLES) + 8
    figures = [f"{table}-{kind}" for table in TABLES for kind in ("heat", "ridge", "bars", "deciles")]
    before = {figure: drawing(frame, figure) for figure in (*figures, "norms-before")}
    move(frame, 0.2)
    still = {figure for figure, old in before.items() if drawing(frame, figure) == old}
    assert still <= {f"{table}-deciles" for table in TABLES}  # whose made-up shares do not change
    viewer.page.screenshot(path=screenshots / f"report-framed-{theme}.png")
    assert viewer.complaints == []
    assert all(address.startswith(("http://127.0.0.1", "blob:", "data:")) for address in viewer.requests)


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


def test_a_verdict_leads_to_its_step_and_its_picture(show: Any, report: str) -> None:
    viewer = show(report)
    frame = viewer.framed()
    frame.click("button[data-phase='1']")
    frame.click("a[data-to='rows'][data-step='200']")
    assert readout(frame).startswith("step 200 of 384")
    assert frame.get_attribute("button[data-phase='0']", "aria-pressed") == "true"
    assert frame.evaluate("document.activeElement.id") == "rows"
    assert viewer.complaints == []


def test_the_first_step_of_a_verdict_is_marked_to_the_step(show: Any, report: str) -> None:
    frame = show(report).framed()
    assert frame.locator(".flagged").count() == 0
    frame.click("a[data-to='rows'][data-step='200']")
    assert set(frame.locator(".flagged").all_text_contents()) == {"verdict: step 200"}
    frame.click("button[data-phase='1']")  # of another training it says nothing
    assert frame.locator(".flagged").count() == 0


def test_each_step_looked_at_has_a_column_of_its_own_however_early_it_lies(show: Any) -> None:
    records = [record for record in history(epochs=6, every=1) if not isinstance(record, StepSample) or record.step < 4]
    viewer = show(gradient_report(records, HealthReport(()), title="Early", facts={}))
    frame = viewer.framed()
    assert "3 of 384 steps are shown, one column each: the last is step 3." in frame.inner_text("#sampled")
    frame.eval_on_selector("#user_biases", "(part) => part.scrollIntoView()")
    canvas = frame.locator("#user_biases-heat .chart canvas").bounding_box()
    assert canvas
    for column in range(3):
        viewer.page.mouse.click(canvas["x"] + canvas["width"] * (column + 0.5) / 3, canvas["y"] + 50)
        assert readout(frame).startswith(f"step {column + 1} of 384")
    assert viewer.complaints == []


@pytest.mark.parametrize("width", [420, 1024, 1366])
@pytest.mark.parametrize("which", ["report", "comparison"])
def test_no_two_texts_of_a_picture_lie_on_each_other(
    show: Any, request: pytest.FixtureRequest, which: str, width: int
) -> None:
    viewer = show(request.getfixturevalue(which))
    viewer.page.set_viewport_size({"width": width, "height": 768})
    frame = viewer.framed()
    viewer.page.wait_for_timeout(300)
    assert frame.evaluate(TOUCHING) == []
    assert frame.evaluate("document.documentElement.scrollWidth") <= width


def test_neighbouring_pictures_stand_at_the_same_height(show: Any, report: str) -> None:
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


def test_a_click_into_a_picture_moves_the_slider_and_play_runs_to_the_end(show: Any, report: str) -> None:
    viewer = show(report)
    frame = viewer.framed()
    frame.click("#norms-before .chart svg", position={"x": 200, "y": 100})
    clicked = readout(frame)
    assert not clicked.startswith("step 384")
    frame.click("#play")
    frame.locator("#readout:has-text('step 384 of 384')").wait_for(timeout=20_000)
    assert frame.inner_text("#play") == "▶ play"
    assert viewer.complaints == []


def test_the_report_works_on_its_own_and_on_a_narrow_screen(
    browser: "Browser", report: str, tmp_path: Path, screenshots: Path
) -> None:
    file = tmp_path / "report.html"
    file.write_text(report, encoding="utf-8")
    viewer = Viewer(browser, file.as_uri())
    viewer.page.set_viewport_size({"width": 420, "height": 800})
    viewer.page.wait_for_timeout(200)
    assert viewer.page.evaluate("document.documentElement.scrollWidth") <= 420
    viewer.page.set_viewport_size({"width": 1366, "height": 768})
    viewer.page.wait_for_timeout(200)
    viewer.page.screenshot(path=screenshots / "report-whole.png", full_page=True)
    assert viewer.complaints == []
    viewer.page.context.close()


def test_a_report_with_nothing_to_draw_shows_its_verdicts(show: Any) -> None:
    viewer = show(gradient_report([], HealthReport(VERDICTS), title="Short", facts={}))
    assert "Dead rows" in viewer.framed().inner_text("#health")
    assert viewer.complaints == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_comparison_works_in_a_sandboxed_frame(show: Any, comparison: str, screenshots: Path, theme: str) -> None:
    viewer = show(comparison, color_scheme=theme)
    frame = viewer.framed()
    assert frame.locator(".chart svg").count() == 2 + 3 * len(TABLES) + 1 + len(TABLES)
    kinds = [f"{table}-{kind}" for table in TABLES for kind in ("heat", "both", "bars")]
    before = {figure: drawing(frame, figure) for figure in kinds}
    move(frame, 0.0)
    assert not [figure for figure, old in before.items() if drawing(frame, figure) == old]
    first = drawing(frame, "user_biases-both")
    frame.select_option("#other", "1")
    assert drawing(frame, "user_biases-both") != first
    viewer.page.screenshot(path=screenshots / f"comparison-framed-{theme}.png")
    assert viewer.complaints == []


@pytest.fixture(scope="module")
def mlflow_ui(watched_runs: list[Run], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """MLflow's own server on the store."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", watched_runs[0].tracking_uri]
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    folder = tmp_path_factory.mktemp("server")
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port), "--workers", "1"],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=log,
        )
    try:
        await_answer(f"http://127.0.0.1:{port}/health")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(20)


def await_answer(address: str) -> None:
    for _ in range(300):
        try:
            urlopen(address, timeout=2).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    pytest.fail(f"{address} does not answer")


def test_the_report_works_inside_mlflow(
    browser: "Browser", mlflow_ui: str, watched_runs: list[Run], screenshots: Path
) -> None:
    run = watched_runs[1]
    page = f"{mlflow_ui}/#/experiments/{run.experiment_id}/runs/{run.run_id}/artifacts/gradients/report.html"
    viewer = Viewer(browser, page)
    frame = viewer.framed(wait=60_000)
    sandbox = viewer.page.get_attribute("iframe", "sandbox")
    assert sandbox == "allow-scripts"
    before = drawing(frame, "user_embeddings-bars")
    move(frame, 0.0)
    assert drawing(frame, "user_embeddings-bars") != before
    assert "Learning rate too high" in frame.inner_text("#health")
    assert "descent" in frame.inner_text("#lesson")
    viewer.page.screenshot(path=screenshots / "report-in-mlflow.png")
    assert viewer.complaints == []
    viewer.page.context.close()
