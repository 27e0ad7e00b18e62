"""cfmodel executes nothing that it reads: no pickles, no evaluated text, no shell."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted(
    path for folder in ("cfmodel", "tasks", "flows", "benchmarks") for path in (ROOT / folder).rglob("*.py")
)
#: Modules that unpickle, or write files that only unpickling reads back.
PICKLERS = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "jsonpickle"}
#: Calls that execute text, or may read or write a pickle, as `module.function` or the bare name.
RUNNERS = {"eval", "exec", "compile", "os.system", "os.popen", "torch.load", "torch.save", "yaml.load"}


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_source_unpickles_evaluates_or_starts_a_shell(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert not PICKLERS & {module.split(".")[0] for module in modules}
    for name, call in calls(tree):
        assert name not in RUNNERS, f"line {call.lineno}: {name}"
        options = {option.arg: ast.unparse(option.value) for option in call.keywords}
        assert options.get("shell", "False") == "False", f"line {call.lineno}: a shell"
        assert options.get("allow_pickle", "False") == "False", f"line {call.lineno}: a pickle"


def test_the_check_for_pickles_detects_them() -> None:
    for text in ("torch.load(file)", "eval(text)"):
        assert {name for name, _ in calls(ast.parse(text))} & RUNNERS


def test_mlflow_is_set_to_load_no_pickle() -> None:
    code = "from cfmodel.tracking.store import mlflow; mlflow(); import os; print(os.environ[NAME])"
    name = "MLFLOW_ALLOW_PICKLE_DESERIALIZATION"
    environment = {key: value for key, value in os.environ.items() if key != name}
    command = [sys.executable, "-c", code.replace("NAME", repr(name))]
    assert subprocess.run(command, env=environment, capture_output=True, text=True).stdout == "false\n"
