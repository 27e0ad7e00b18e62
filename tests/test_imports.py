"""The direction of imports: flows -> tasks -> cfmodel, from room to room one way only, and never in a circle."""

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

#: For each package, its files and folders from left to right: left may import right. Those that share a line do not
#: know each other.
ROOMS: dict[str, list[str]] = {
    "": ["flows", "tasks", "cfmodel"],
    "cfmodel": [
        "__main__",
        "cli",
        "commands",
        "terminal reference serving",
        "tracking",
        "plots provenance housekeeping",
        "training promotion",
        "evaluation",
        "recommending",
        "baselines",
        "data model gradients",
        "column_statistics",
        "summaries",
        "refs config schema optimizer",
        "system",
        "errors tables",
    ],
    "cfmodel.data": [
        "ingest",
        "splitting",
        "sources reading",
        "formats storage",
        "vocabulary",
    ],
    "cfmodel.gradients": ["report", "health lesson measuring", "statistics", "recording"],
    "cfmodel.training": [
        "train explain range_test",
        "fit",
        "divergence",
        "fitting",
        "monitor_setup val_outcome resuming",
        "engines prediction_spread",
        "planning",
        "batching stopping",
        "epoch_records",
    ],
    "cfmodel.training.engines": ["choose", "cuda cpu autograd", "step row_layout", "protocol", "step_log"],
    "cfmodel.tracking": ["logging", "models", "runs", "outbox", "recorded_model", "store", "run"],
}
#: `cfmodel run` is the one place in the library that reaches outward, when it is called.
EXCEPTIONS = {("cfmodel.commands.run", "flows.local")}

SOURCES = sorted(path for folder in ("flows", "tasks", "cfmodel") for path in (ROOT / folder).rglob("*.py"))


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path): path for path in SOURCES}


def imports(path: Path) -> Iterator[str]:
    """Yield what a file imports, nested imports and those for types alone included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def own_imports(module: str) -> frozenset[str]:
    """Return the modules of ours that a module imports, less the package: a test below says what it may be used for."""
    found = (name if name in MODULES else name.rpartition(".")[0] for name in imports(MODULES[module]))
    return frozenset(name for name in found if name in MODULES and name not in (module, "cfmodel"))


def child_of(package: str, module: str) -> str | None:
    """Return the file or folder of a package that a module is, or is in; None where it is neither."""
    inside = module.removeprefix(f"{package}.") if package else module
    return None if inside == module and package else inside.split(".")[0]


def test_the_library_uses_nothing_of_its_package_but_the_version() -> None:
    """The other names of `cfmodel/__init__.py` are for users; inside, a module is imported by its own path."""
    for path in SOURCES:
        names = {name for name in imports(path) if name.rpartition(".")[0] == "cfmodel" and name not in MODULES}
        assert names <= {"cfmodel.__version__"}, path


@pytest.mark.parametrize("package", ROOMS, ids=lambda package: package or "all")
def test_imports_only_point_rightward(package: str) -> None:
    depth = {room: number for number, line in enumerate(ROOMS[package]) for room in line.split()}
    for module in MODULES:
        here = child_of(package, module)
        for other in own_imports(module) if here else ():
            there = child_of(package, other)
            if there is None or here == there or (module, other) in EXCEPTIONS:
                continue
            assert here in depth, f"{package}.{here} has no place in ROOMS"
            assert depth[here] < depth[there], f"{module} must not import {other}"


@pytest.mark.parametrize("package", [package for package in ROOMS if package])
def test_every_room_has_its_place_and_every_place_a_room(package: str) -> None:
    there = {child_of(package, module) for module in MODULES} - {None}
    assert set(" ".join(ROOMS[package]).split()) == there


def circle_in(arrows: Mapping[str, frozenset[str]]) -> list[str] | None:
    """Return the nodes of one circle, its first again at its end; None where there is none."""
    done: set[str] = set()

    def walk(node: str, path: list[str]) -> list[str] | None:
        if node in path:
            return [*path[path.index(node) :], node]
        if node in done:
            return None
        found = next(filter(None, (walk(other, [*path, node]) for other in sorted(arrows[node]))), None)
        done.add(node)
        return found

    return next(filter(None, (walk(node, []) for node in arrows)), None)


def test_no_imports_go_in_a_circle_nested_ones_included() -> None:
    arrows = {module: own_imports(module) for module in MODULES}
    arrows["cfmodel.commands.run"] -= {"flows.local"}
    circle = circle_in(arrows)
    assert circle is None, " -> ".join(circle or [])


def test_a_circle_is_found_by_its_nodes() -> None:
    ring = ["a", "b", "c", "a"]
    arrows = {one: frozenset({other}) for one, other in pairwise(ring)} | {"d": frozenset({"a"})}
    assert circle_in(arrows) == ring
    assert circle_in(arrows | {"c": frozenset()}) is None


def test_rooms_do_not_import_each_other_in_a_circle() -> None:
    """Folders of a package that ROOMS does not list have one direction between them, too."""
    packages = {name for name, path in MODULES.items() if path.name == "__init__.py" and name.startswith("cfmodel.")}
    for package in sorted(packages):
        rooms = {child_of(package, module) for module in MODULES} - {None}
        arrows = {
            str(room): frozenset(
                str(child_of(package, other))
                for module in MODULES
                if child_of(package, module) == room
                for other in own_imports(module)
                if child_of(package, other) not in (None, room)
            )
            for room in rooms
        }
        circle = circle_in(arrows)
        assert circle is None, f"{package}: {' -> '.join(circle or [])}"


def test_a_folder_holds_about_a_dozen_files() -> None:
    for folder in {path.parent for path in SOURCES}:
        files = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
        assert len(files) <= 15, f"{folder.relative_to(ROOT)} holds {len(files)} files; group them"


def test_only_tracking_imports_mlflow_and_nothing_in_the_library_imports_prefect() -> None:
    for path in SOURCES:
        outside = {module.split(".")[0] for module in imports(path)}
        name = str(path.relative_to(ROOT))
        ours = not name.startswith("cfmodel/") or name == "cfmodel/tracking/store.py"
        assert "mlflow" not in outside or ours, name
        assert "prefect" not in outside or not name.startswith("cfmodel/"), name


def test_flows_import_neither_torch_nor_tables_nor_mlflow() -> None:
    for path in (ROOT / "flows").glob("*.py"):
        assert not {"torch", "pandas", "pyarrow", "mlflow"} & {module.split(".")[0] for module in imports(path)}


def test_importing_does_nothing_but_define(tmp_path: Path) -> None:
    code = (
        "import os, logging, torch, numpy\n"
        "before = dict(os.environ), logging.root.handlers[:], torch.initial_seed(), numpy.random.get_state()[1].sum()\n"
        "import cfmodel.cli, cfmodel.tracking, cfmodel.terminal, cfmodel.training.train, cfmodel.evaluation.evaluate\n"
        "after = dict(os.environ), logging.root.handlers[:], torch.initial_seed(), numpy.random.get_state()[1].sum()\n"
        "assert before == after\n"
        "assert not os.listdir('.')\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


#: Modules of types and names alone, and the command's other name: nothing in them can fail by itself.
UNTESTED = {
    "cfmodel/__main__.py",
    "cfmodel/gradients/lesson/lesson_records.py",
    "cfmodel/gradients/measuring/monitored_table.py",
    "cfmodel/gradients/recording/gradient_records.py",
    "cfmodel/schema.py",
    "cfmodel/tracking/run.py",
    "cfmodel/training/epoch_records.py",
}


def test_every_module_has_its_test_where_the_tree_says() -> None:
    modules = [path.relative_to(ROOT) for path in SOURCES if path.name != "__init__.py"]
    tests = {
        path: Path("tests", *path.parent.parts[path.parts[0] == "cfmodel" :], f"test_{path.name}") for path in modules
    }
    assert [str(path) for path in modules if str(path) in UNTESTED and tests[path].exists()] == []
    assert [str(path) for path in modules if not (ROOT / tests[path]).exists() and str(path) not in UNTESTED] == []
