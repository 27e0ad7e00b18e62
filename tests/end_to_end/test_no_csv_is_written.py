"""No code writes CSV, because a spreadsheet would run a cell such as `=cmd|...`.

Ids and titles are arbitrary text from the source. Tables are written as Parquet and JSON, where text stays text. Code
that must write CSV has to put an apostrophe before cells that begin with `=`, `+`, `-`, `@`, a tab or a line end; then
exclude its file here.
"""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
WRITERS = re.compile(r"\b(to_csv|write_csv|CSVWriter|csv\.writer|DictWriter)\b")


def test_no_code_writes_csv() -> None:
    sources = [path for folder in ("cfmodel", "tasks", "flows") for path in (ROOT / folder).rglob("*.py")]
    assert len(sources) > 100
    assert [str(path) for path in sources if WRITERS.search(path.read_text(encoding="utf-8"))] == []


def test_the_search_finds_a_csv_writer() -> None:
    assert WRITERS.search("frame.to_csv(path)")
    assert WRITERS.search("rows = csv.writer(file)")
