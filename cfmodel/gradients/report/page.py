"""Self-contained HTML page with its style, script and data inside, which fetches and stores nothing.

A tracking store may show it in a frame that allows scripts only: no network, no storage, no other
files. The page's own policy forbids these as well, and every script but its own. Some 800 lines in
`pages/` draw the pictures: plotting libraries with heat maps are larger than the whole page may be
(plotly.js: 3.5 MB and more), and small ones draw only lines and bars.
"""

import base64
import hashlib
import html
import json
from collections.abc import Collection, Mapping, Sequence
from importlib import resources
from string import Template
from typing import Any

#: Largest size of a page, in bytes: an artifact viewer shows it without delay.
LARGEST_PAGE = 2_000_000


def page(title: str, body: str, *, data: Mapping[str, Any], scripts: Sequence[str]) -> str:
    """Return a whole page.

    Args:
        title: Its title, as plain text.
        body: Its content, as HTML in which every text is escaped by `escape`.
        data: Data for the scripts, as plain values and finite numbers.
        scripts: Files of `pages/`, joined into one script in this order.
    """
    script = "\n".join(
        _source(name).replace('"use strict";\n', "", 1 if number else 0) for number, name in enumerate(scripts)
    )
    return fill(
        "page.html",
        title=escape(title),
        style=_source("page.css"),
        body=body,
        data=_embedded(data),
        script=script,
        script_hash=f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}",
    )


def fill(template: str, **parts: str) -> str:
    """Return a file of `pages/` with its `$` placeholders replaced by HTML."""
    return Template(_source(template)).substitute(parts)


def _source(name: str) -> str:
    return resources.files("cfmodel.gradients.report").joinpath("pages", name).read_text(encoding="utf-8")


def escape(text: object) -> str:
    """Return a text escaped for an element or an attribute of HTML."""
    return html.escape(str(text), quote=True)


def _embedded(data: Any) -> str:
    """Return data as JSON that cannot end the HTML element around it."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def title_of(name: str) -> str:
    """Return a name such as `user_embeddings` as a title: `User embeddings`."""
    return name.replace("_", " ").capitalize()


def fact_list(facts: Mapping[str, str]) -> str:
    """Return names and values as HTML list items."""
    return "".join(f"<li>{escape(name)} <b>{escape(value)}</b></li>" for name, value in facts.items())


def figure(element: str, title: str) -> str:
    """Return the HTML of a picture that a script draws: its element id, and its title as plain text."""
    return (
        f'<figure id="{escape(element)}"><div class="title">{escape(title)}</div><div class="legend"></div>'
        '<div class="chart"></div></figure>'
    )


def table(
    header: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    caption: str,
    best: Collection[tuple[int, int]] = (),
) -> str:
    """Return an HTML table that scrolls sideways if it is wide; its first column holds row headers.

    Args:
        caption: Label of the table for screen readers.
        best: Cells to highlight, as (row, column) from 0.
    """

    def cell(row: int, column: int, text: object) -> str:
        if column == 0:
            return f'<th scope="row">{escape(text)}</th>'
        return f"<td{' class=best' if (row, column) in best else ''}>{escape(text)}</td>"

    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    body = "".join(
        f"<tr>{''.join(cell(number, column, text) for column, text in enumerate(row))}</tr>"
        for number, row in enumerate(rows)
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><table><thead><tr>{head}'
        f"</tr></thead><tbody>{body}</tbody></table></div>"
    )
