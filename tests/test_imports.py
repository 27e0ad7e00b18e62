"""The direction of imports: flows -> tasks -> cfmodel, and within cfmodel from left to right."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

#: Left may import right; those in one group do not know each other, but for the pairs in WITHIN.
LAYERS = [
    {"flows"},
    {"tasks"},
    {"cfmodel.__main__"},
    {"cfmodel.cli"},
    {"cfmodel.commands"},
    {"cfmodel.terminal", "cfmodel.reference"},
    {"cfmodel.tracking"},
    {"cfmodel.recorder", "cfmodel.plots", "cfmodel.profile_plot", "cfmodel.provenance", "cfmodel.housekeeping"},
    {"cfmodel.training", "cfmodel.promotion"},
    {"cfmodel.evaluation"},
    {"cfmodel.serving", "cfmodel.scoring"},
    {"cfmodel.suggestions"},
    {"cfmodel.fold_in"},
    {"cfmodel.recommend", "cfmodel.recommender"},
    {"cfmodel.baselines", "cfmodel.history"},
    {"cfmodel.data", "cfmodel.model", "cfmodel.gradients"},
    {"cfmodel.atomic", "cfmodel.digests", "cfmodel.config", "cfmodel.refs", "cfmodel.schema"},
    {"cfmodel.addresses", "cfmodel.columns", "cfmodel.errors", "cfmodel.outcome", "cfmodel.summary"},
    {"cfmodel"},
]
WITHIN = {
    ("cfmodel.digests", "cfmodel.refs"),
    ("cfmodel.outcome", "cfmodel.summary"),
    ("cfmodel.profile_plot", "cfmodel.plots"),
    ("cfmodel.recommend", "cfmodel.recommender"),
}
#: `cfmodel run` is the one place in the library that reaches outward, when it is called.
EXCEPTIONS = {("cfmodel.commands", "flows")}

SOURCES = sorted(path for folder in ("flows", "tasks", "cfmodel") for path in (ROOT / folder).rglob("*.py"))


def room(module: str) -> str:
    """Return the file or folder of the layout that a module belongs to."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "cfmodel" else parts[0]


def layer(name: str) -> int:
    return next(depth for depth, rooms in enumerate(LAYERS) if name in rooms)


def imports(path: Path, *, nested: bool = True) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree) if nested else tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own(module: str) -> bool:
    return module.split(".")[0] in {"cfmodel", "flows", "tasks"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_only_point_rightward(path: Path) -> None:
    here = room(".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"))
    for module in filter(own, imports(path)):
        there = room(module)
        if there not in set().union(*LAYERS):  # `from cfmodel import __version__` names no module
            there = there.rpartition(".")[0]
        allowed = here == there or layer(here) < layer(there) or (here, there) in WITHIN | EXCEPTIONS
        assert allowed, f"{here} must not import {there}"


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
