"""A lesson as a section of a page: no script, no address, every text escaped, its look left to `page.css`."""

from collections.abc import Iterable
from html import escape

from cfmodel.gradients.lesson.drawing import drawing
from cfmodel.gradients.lesson.lesson_records import Lesson
from cfmodel.gradients.lesson.text import adam_rows, adam_summary, as_text, clipping_summary

#: What a line of the legend begins with, and the class it is coloured by.
_MARKS = {"●": "here", "○": "step", "▾": "lowest"}


def as_html(lesson: Lesson) -> str:
    """Return the lesson as `<section class="lesson" id="lesson">`."""
    parts = "\n".join(_part(lesson, title, lines) for title, lines in as_text(lesson))
    rating = f"what user {lesson.user_id} gave movie {lesson.movie_id} (a rating of the {lesson.part} part)"
    return f"""<section class="lesson" id="lesson" tabindex="-1" aria-labelledby="lesson-title">
<h2 id="lesson-title">What a gradient is</h2>
<p class="note">Told with one real rating and the numbers of this run's model: {escape(rating)}.
<code>cfmodel explain</code> shows the same of any other.</p>
<div class="parts">
{parts}
</div>
</section>
"""


def no_lesson(reason: str) -> str:
    """Return what stands in the lesson's place where it could not be told."""
    return (
        '<section class="lesson" id="lesson" tabindex="-1" aria-labelledby="lesson-title">'
        f'<h2 id="lesson-title">What a gradient is</h2><p>The lesson could not be told: {escape(reason)}</p></section>'
    )


def _part(lesson: Lesson, title: str, lines: list[str]) -> str:
    look = ""
    if title == "Gradient descent":
        look, body = " tall", drawing(lesson.curve, lesson.update.gradient, lesson.nudged) + _legend(lines)
    elif title.startswith("The optimizer"):
        look, body = " wide", _table(adam_rows(lesson)) + _paragraphs(adam_summary(lesson))
    elif title == "Gradient clipping":
        body = _paragraphs(clipping_summary(lesson))
    else:
        body = f"<pre>{escape(chr(10).join(lines))}</pre>"
    return f'<div class="part{look}"><h3>{escape(title)}</h3>\n{body}</div>'


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
