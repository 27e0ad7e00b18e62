"""One self-contained HTML page: style, script and data inside, nothing fetched, nothing stored.

A tracking store may show it in a frame that has scripts and nothing else: no network, no storage,
no neighbour files. The page's policy forbids all of that itself, and any script but its own. The
pictures are drawn by some 800 lines in `pages/`: the plotting libraries that have a heat map are
larger than the whole page may be (plotly.js: 3.5 MB and more), the small ones draw lines and bars
alone.
"""

import base64
import hashlib
import html
import json
from collections.abc import Collection, Mapping, Sequence
from importlib import resources
from string import Template
from typing import Any

#: Largest page, in bytes: what an artifact viewer shows without delay.
LARGEST_PAGE = 2_000_000


def page(title: str, body: str, *, data: Mapping[str, Any], scripts: Sequence[str]) -> str:
    """Return a whole page.

    Args:
        title: Its title, as plain text.
        body: What stands in it, as HTML; every text in it escaped by `escape`.
        data: What the scripts draw, as plain values; finite numbers alone.
        scripts: Files of `pages/`, run one after another as one script.
    """
    script = "\n".join(
        source(name).replace('"use strict";\n', "", 1 if number else 0) for number, name in enumerate(scripts)
    )
    return Template(source("page.html")).substitute(
        title=escape(title),
        style=source("page.css"),
        body=body,
        data=embedded(data),
        script=script,
        script_hash=f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}",
    )


def source(name: str) -> str:
    """Return a file of `pages/`."""
    return resources.files("cfmodel.gradients.report").joinpath("pages", name).read_text(encoding="utf-8")


def escape(text: object) -> str:
    """Return a text as HTML shows it, in an element or an attribute."""
    return html.escape(str(text), quote=True)


def embedded(data: Any) -> str:
    """Return data as JSON that cannot end the element it stands in."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def words(name: str) -> str:
    """Return a name such as `user_embeddings` as words."""
    return name.replace("_", " ").capitalize()


def fact_list(facts: Mapping[str, str]) -> str:
    """Return names and values as items of a list."""
    return "".join(f"<li>{escape(name)} <b>{escape(value)}</b></li>" for name, value in facts.items())


def table(
    header: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    caption: str,
    best: Collection[tuple[int, int]] = (),
) -> str:
    """Return an HTML table, its first column as row headers, that scrolls sideways where it is wide.

    Args:
        header: Names of the columns.
        rows: Cells by row, the first of each its header.
        caption: What the table holds, for those who hear it.
        best: Cells to set off, as (row, column) from 0.
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
