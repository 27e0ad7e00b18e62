"""A page as a tracking store shows it, and what tests do with it."""

from typing import TYPE_CHECKING, Any

from cfmodel.gradients.health.verdicts import Verdict

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Frame, Page

#: Milliseconds after which a browser is taken to hang; nothing is said of how fast it is.
WAIT = 240_000

DEAD = ("movie_biases", ("movie 1",), ("dead",))
VERDICTS = (
    Verdict("dead_rows", "warning", 0.03, 0.001, "rows are dead", "look", 200, *DEAD),
    Verdict("clipping", "warning", 0.9, 0.5, "most steps were clipped", "raise", 1, None, (), ("exploding",)),
)

FRAME = """<!doctype html><title>viewer</title>
<style>html, body, iframe { margin: 0; width: 100%; height: 100vh; border: 0 }</style>
<iframe sandbox="allow-scripts"></iframe>
<script>fetch("/page").then((answer) => answer.text()).then((text) => {
  document.querySelector("iframe").src = URL.createObjectURL(new Blob([text], { type: "text/html" }));
});</script>"""


class Viewer:
    """A page that shows another in a sandboxed frame, by a blob address, as MLflow's artifact viewer does."""

    def __init__(self, browser: "Browser", address: str, **context: Any) -> None:
        # Without scrolling smoothly, which takes time: what is looked for is then where it will be.
        how = {"viewport": {"width": 1366, "height": 768}, "reduced_motion": "reduce", **context}
        self.page: Page = browser.new_context(**how).new_page()
        self.page.set_default_timeout(WAIT)
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self._note(message.text, message.location["url"]))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(address)

    def _note(self, text: str, address: str) -> None:
        if not address.startswith("http"):  # what MLflow's own page says is not ours to answer for
            self.complaints.append(text)

    def framed(self) -> "Frame":
        frame = self.page.wait_for_selector("iframe").content_frame()
        assert frame
        frame.wait_for_selector("h1")
        frame.wait_for_load_state()  # its script has run, too
        return frame


def laid_out(shown: "Frame | Page", width: int) -> None:
    """Wait until a page has drawn itself for a width."""
    shown.wait_for_function("(width) => innerWidth === width", arg=width)
    shown.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


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
