"""The lists in README.md and CONTRIBUTING.md, compared with the folders and pages that exist."""

import ast
import re
from pathlib import Path

from pages import pages_of

from cfmodel.gradients.health.rules.catalogue import RULES

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MOST_LINES = 250


def packages() -> dict[str, str]:
    """Return the first line of each package's docstring by the package's folder, as the rooms page lists them."""
    sources = [path for top in ("flows", "tasks", "cfmodel") for path in sorted((ROOT / top).rglob("__init__.py"))]
    return {
        path.parent.relative_to(ROOT).as_posix(): (
            ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        ).partition("\n")[0]
        for path in sources
    }


def layout() -> list[str]:
    """Return the folders of the README's layout, those of cfmodel below it."""
    block = README.partition("## Layout\n")[2].split("```")[1]
    top, found = "", []
    for indent, name in re.findall(r"^( *)(\w+)/ ", block, re.MULTILINE):
        top = top if indent else name
        found.append(f"{top}/{name}" if indent else name)
    return found


def test_every_package_has_a_docstring_whose_first_line_is_a_sentence() -> None:
    assert [name for name, line in packages().items() if not line.endswith(".")] == []


def test_the_rooms_page_lists_every_package_with_the_first_line_of_its_docstring() -> None:
    table = "".join(f"| `{name}/` | {line} |\n" for name, line in packages().items())
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert table in page, f"in CONTRIBUTING.md, replace the rows of the table under Rooms with:\n{table}"


def test_the_layout_of_the_readme_lists_every_package_below_cfmodel() -> None:
    listed = layout()
    assert {name for name in packages() if name.count("/") <= 1} <= set(listed)
    assert [name for name in listed if not (ROOT / name).is_dir()] == []


def test_the_readme_is_short_and_names_every_page() -> None:
    assert README.count("\n") <= MOST_LINES
    assert [page for page in pages_of(ROOT)[1:] if f"]({page})" not in README] == []


def test_every_health_rule_is_in_the_table_of_its_page() -> None:
    page = (ROOT / "docs/health.md").read_text(encoding="utf-8")
    assert [rule.name for rule in RULES if f"\n| `{rule.name}`" not in page] == []
