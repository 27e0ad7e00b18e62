"""Every command, option, link, path and test that a page names exists."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pages import blocks_of, pages_of

from cfmodel.cli import main

ROOT = Path(__file__).parents[2]
PAGES = pages_of(ROOT)
HOW = {"", "terminal", "not-run"}
#: Pages whose blocks are run, by test_walks.py and test_operating.py.
WALKED = {"README.md", "docs/gradients.md", "docs/operating.md", "docs/serving.md"}

_CODE = re.compile(r"^```.*?^```$|`[^`\n]+`", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!https?:)([^)\s]+)\)")


def code_of(page: str) -> str:
    """Return everything that a page shows as code, with continued lines joined."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return "\n".join(found.group().strip("`") for found in _CODE.finditer(text)).replace("\\\n", " ")


def commands(page: str, name: str) -> Iterator[list[str]]:
    """Yield the arguments of each call of a command that a page shows."""
    for line in re.findall(rf"^ *(?:\S*/)?{name} +([^\n#|;)]+)", code_of(page), re.MULTILINE):
        yield line.split()


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ +(.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_every_block_says_whether_it_is_run(page: str) -> None:
    how = {block.how for block in blocks_of(ROOT, page)}
    assert how <= HOW
    assert page in WALKED or how <= {"not-run"}


@pytest.mark.parametrize("page", PAGES)
def test_every_target_of_make_is_in_the_makefile(page: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {call[0].rstrip(".,:`") for call in commands(page, "make") if re.match(r"[a-z-]+$", call[0].rstrip(".,:`"))}
    assert named <= targets


@pytest.mark.parametrize("page", PAGES)
def test_every_cfmodel_command_and_option_exists(page: str) -> None:
    for name, *arguments in commands(page, "cfmodel"):
        if not re.fullmatch(r"[a-z][a-z-]*", name):
            continue
        assert name in main.commands, f"cfmodel {name}"
        known = {option for parameter in main.commands[name].params for option in parameter.opts}
        given = {argument.split("=")[0] for argument in arguments if argument.startswith("--")}
        assert given <= known, f"cfmodel {name}"


@pytest.mark.parametrize("page", PAGES)
def test_every_link_within_the_project_has_a_target(page: str) -> None:
    for link in _LINK.findall((ROOT / page).read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES)
def test_every_path_of_a_page_exists(page: str) -> None:
    paths = re.findall(r"\b((?:benchmarks|deploy|flows|tasks|tests|cfmodel)/[\w./-]+\.\w+)\b", code_of(page))
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_test_that_the_page_on_faults_names_exists() -> None:
    sources: dict[str, str] = {}
    for path in (ROOT / "tests").rglob("test_*.py"):
        sources[path.name] = sources.get(path.name, "") + path.read_text(encoding="utf-8")
    named = re.findall(r"`(test_\w+\.py|\.\.)(?:::(\w+))?`", (ROOT / "docs/faults.md").read_text(encoding="utf-8"))
    assert len(named) > 40
    missing, module = [], ""
    for file, test in named:
        module = module if file == ".." else file
        if f"def {test}" not in sources.get(module, ""):
            missing.append(f"{module}::{test}")
    assert missing == []
