"""A lesson as a section of an HTML page, without scripts or links, styled by `page.css`."""

from collections.abc import Iterable
from html import escape

from cfmodel.gradients.lesson.curve_svg import curve_svg
from cfmodel.gradients.lesson.lesson_records import Lesson
from cfmodel.gradients.lesson.text import adam_rows, adam_summary, clipping_summary, lesson_sections

#: First character of a legend's line, and its CSS class.
_MARKS = {"●": "here", "○": "step", "▾": "lowest"}


def lesson_html(lesson: Lesson) -> str:
    """Return the lesson as `<section class="lesson" id="lesson">`."""
    parts = "\n".join(_part(lesson, title, lines) for title, lines in lesson_sections(lesson))
    rating = f"what user {lesson.user_id} gave movie {lesson.movie_id} (a rating of the {lesson.part} part)"
    return f"""<section class="lesson" id="lesson" tabindex="-1" aria-labelledby="lesson-title">
<h2 id="lesson-title">What a gradient is</h2>
<p class="note">Explained with one real rating and the numbers of this run's model: {escape(rating)}.
<code>cfmodel explain</code> explains any other rating.</p>
<div class="parts">
{parts}
</div>
</section>
"""


def missing_lesson_html(reason: str) -> str:
    """Return the section for a lesson that could not be computed, with the reason."""
    return (
        '<section class="lesson" id="lesson" tabindex="-1" aria-labelledby="lesson-title">'
        f'<h2 id="lesson-title">What a gradient is</h2><p>There is no lesson: {escape(reason)}</p></section>'
    )


def _part(lesson: Lesson, title: str, lines: list[str]) -> str:
    size = ""
    if title == "Gradient descent":
        size, body = " tall", curve_svg(lesson.curve, lesson.update.gradient, lesson.nudged) + _legend(lines)
    elif title.startswith("The optimizer"):
        size, body = " wide", _table(adam_rows(lesson)) + _paragraphs(adam_summary(lesson))
    elif title == "Gradient clipping":
        body = _paragraphs(clipping_summary(lesson))
    else:
        body = f"<pre>{escape(chr(10).join(lines))}</pre>"
    return f'<div class="part{size}"><h3>{escape(title)}</h3>\n{body}</div>'


def _paragraphs(lines: Iterable[str]) -> str:
    return "\n".join(f"<p>{escape(line)}</p>" for line in lines)


def _legend(lines: Iterable[str]) -> str:
    marked = (line for line in lines if line[:1] in _MARKS and line)
    return "\n".join(
        f'<p><span class="mark {_MARKS[line[0]]}">{line[0]}</span>{escape(line[1:])}</p>' for line in marked
    )


def _table(rows: list[list[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in rows[0])
    body = "\n".join(
        f'<tr><th scope="row">{escape(first)}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in others)}</tr>'
        for first, *others in rows[1:]
    )
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="What Adam does with four biases"><table>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>"
    )
