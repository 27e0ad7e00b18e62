"""Every refusal in the code, and the tests that follow their remedies.

A refusal is a call of one of the classes of `cfmodel/errors.py`. Its module and its text, with `{}` for what is filled
in, identify it. A test says whose remedy it follows, by the module or its folder and some words:

    @remedy_of("cfmodel/commands/recommend.py", "give either --user ID")
    def test_...() -> None:
        ...   # causes the refusal, does what it says, and gets past it, or to another refusal that is true
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import cfmodel.errors

ROOT = Path(__file__).parents[2]
_ERRORS = {name for name, value in vars(cfmodel.errors).items() if isinstance(value, type)}

#: Marks a test with a module and some words of one of its refusals.
remedy_of = pytest.mark.remedy_of


@dataclass(frozen=True, order=True)
class Refusal:
    """One refusal: its module, below the checkout, and its text."""

    module: str
    text: str

    def __str__(self) -> str:
        return f"{self.module}: {self.text}"


def refusals() -> list[Refusal]:
    """Return every refusal of cfmodel, its tasks and its flows."""
    paths = sorted(path for folder in ("cfmodel", "tasks", "flows") for path in (ROOT / folder).rglob("*.py"))
    found = {
        Refusal(str(path.relative_to(ROOT)), _text(call.args[0]))
        for path in paths
        for call in _calls(path)
        if _name(call) in _ERRORS and call.args
    }
    return sorted(found)


def remedies() -> list[Refusal]:
    """Return what the tests are marked with: modules, and words of their refusals."""
    marks = (
        call for path in sorted((ROOT / "tests").rglob("*.py")) for call in _calls(path) if _name(call) == "remedy_of"
    )
    return [Refusal(*(ast.literal_eval(argument) for argument in call.args)) for call in marks]


def covers(remedy: Refusal, refusal: Refusal) -> bool:
    """Tell whether a test's mark is about a refusal: in its module, or in its room where the mark names a folder."""
    there = refusal.module == remedy.module or refusal.module.startswith(f"{remedy.module}/")
    return there and remedy.text in refusal.text


def _calls(path: Path) -> Iterator[ast.Call]:
    return (node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call))


def _name(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    return str(node.value) if isinstance(node, ast.Constant) else ast.unparse(node)
