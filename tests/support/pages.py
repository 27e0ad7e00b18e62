"""The pages of the docs as a list of what they tell to type."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^```(?P<language>sh|python) *(?P<how>[a-z-]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block of commands, or of Python.

    Attributes:
        page: Where it is, relative to the checkout.
        line: Where in it it begins.
        how: What follows `sh`: nothing (it is run), `terminal` (it goes on running) or `not-run`.
        text: The commands.
        language: What they are written in: sh or python.
    """

    page: str
    line: int
    how: str
    text: str
    language: str = "sh"

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(root: Path, page: str) -> Iterator[Block]:
    """Return a page's blocks of commands, in order."""
    text = (root / page).read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        yield Block(page, line, found["how"], found["text"], found["language"])


def pages_of(root: Path) -> list[str]:
    """Return every page of the docs, the README first."""
    return ["README.md", *sorted(f"docs/{path.name}" for path in (root / "docs").glob("*.md"))]
