"""The pages of the docs, and the blocks of commands in them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^```(?P<language>sh|python) *(?P<how>[a-z-]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block of commands, or of Python.

    Attributes:
        page: Path of the page, relative to the checkout.
        line: Line of the page where the block begins.
        how: The word after `sh`: none (a test runs the block), `terminal` (it keeps running) or `not-run`.
        text: The commands.
        language: sh or python.
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
    """Return every page of the project, the README first."""
    docs = sorted(f"docs/{path.name}" for path in (root / "docs").glob("*.md"))
    return ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", *docs]
