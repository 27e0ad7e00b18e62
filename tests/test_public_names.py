"""What `import cfmodel` offers: a few names, imported when first used, with their types."""

import subprocess
import sys
from pathlib import Path

import pytest
from mypy_check import mypy_errors

import cfmodel

NAMES = [
    "CFModelError",
    "EvaluationSettings",
    "IngestSettings",
    "MonitorSettings",
    "PipelineSettings",
    "Recommender",
    "SplitSettings",
    "TrainSettings",
    "evaluate",
    "explain",
    "ingest",
    "split",
    "train",
]


def test_the_public_names_are_exactly_these() -> None:
    assert cfmodel.__all__ == NAMES
    assert dir(cfmodel) == sorted([*NAMES, "__version__"])


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_resolves_and_is_documented(name: str) -> None:
    named = getattr(cfmodel, name)
    assert named.__name__ == name
    assert named.__doc__


def test_another_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="module 'cfmodel' has no attribute 'trian'"):
        _ = cfmodel.trian  # type: ignore[attr-defined]


def test_importing_cfmodel_imports_none_of_its_modules() -> None:
    code = "import sys, cfmodel; assert not [name for name in sys.modules if name.startswith('cfmodel.')]"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_mypy_knows_the_types_of_the_public_names(root: Path, tmp_path: Path) -> None:
    right = """
from pathlib import Path

from cfmodel import IngestSettings, SplitSettings, ingest, split

parts = split(ingest("synthetic", IngestSettings(), folder=Path("data")), SplitSettings(), folder=Path("data"))
rows: int = parts.train_rows
"""
    assert mypy_errors(right, tmp_path, root) == []
    wrong = "import cfmodel\n\ncfmodel.train(7)\ncfmodel.trian()\n"
    assert len(mypy_errors(wrong, tmp_path, root)) >= 2
