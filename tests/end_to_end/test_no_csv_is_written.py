"""Nothing that cfmodel writes is opened by a spreadsheet, where a cell such as `=cmd|...` would be run.

Ids and titles are whatever a source has in them. Tables are written as Parquet and JSON, in which text is text.
Whoever writes CSV after all must put an apostrophe before cells that begin with `=`, `+`, `-`, `@`, a tab or a
line end, and may then take their file out of here.
"""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
WRITERS = re.compile(r"\b(to_csv|write_csv|CSVWriter|csv\.writer|DictWriter)\b")


def test_no_csv_is_written() -> None:
    sources = [path for folder in ("cfmodel", "tasks", "flows") for path in (ROOT / folder).rglob("*.py")]
    assert len(sources) > 100
    assert [str(path) for path in sources if WRITERS.search(path.read_text(encoding="utf-8"))] == []


def test_the_search_would_find_one() -> None:
    assert WRITERS.search("frame.to_csv(path)")
    assert WRITERS.search("rows = csv.writer(file)")
