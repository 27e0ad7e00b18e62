"""A lesson as a section of an HTML page."""

from dataclasses import replace
from html.parser import HTMLParser

from made_lessons import BY_HAND, lesson_of

from cfmodel.gradients.lesson.html import lesson_html, missing_lesson_html


class Balanced(HTMLParser):
    """Checks that tags are closed in the reverse order of opening."""

    VOID = frozenset({"circle", "line", "path", "polyline", "rect"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in self.VOID


def test_the_section_is_well_formed_and_self_contained() -> None:
    page = lesson_html(lesson_of())
    parser = Balanced()
    parser.feed(page)
    assert parser.open == []
    assert {"section", "svg", "table", "pre"} <= parser.seen
    assert not {"script", "link", "img", "iframe"} & parser.seen
    assert "http" not in page
    assert "You are here" in page
    assert "Error decreased!" in page


def test_ids_are_escaped() -> None:
    page = lesson_html(lesson_of(replace(BY_HAND, user_id="<script>alert(1)</script>", movie_id='"&')))
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "&quot;&amp;" in page


def test_the_reason_for_a_missing_lesson_is_escaped() -> None:
    assert "<p>There is no lesson: a &lt; b</p>" in missing_lesson_html("a < b")
