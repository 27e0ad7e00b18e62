"""`make run` hands the source on as it was given."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest


@pytest.fixture
def checkout(root: Path, tmp_path: Path) -> Path:
    """A folder with the Makefile, an environment that is set up, and a `cfmodel` that prints what it is given."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(root / name, tmp_path / name)
    program = tmp_path / ".venv" / "bin" / "cfmodel"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\nfor given in "$@"; do echo "[$given]"; done\n')
    program.chmod(0o755)
    (tmp_path / ".venv" / "run.stamp").touch()
    exports = tmp_path / "exports"
    exports.mkdir()
    for name in ("2026-01.parquet", "2026-02.parquet", "b.csv"):
        (exports / name).touch()
    return tmp_path


def run(checkout: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Call `make run`; what the `make` that runs the tests was told is nothing to it."""
    outside = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "ARGS", "SOURCE")
    environment = {name: value for name, value in os.environ.items() if name not in outside}
    return subprocess.run(["make", "run", *arguments], cwd=checkout, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(
    "source",
    [
        "synthetic",
        "exports/2026-*.parquet",
        "a name.csv",
        "exports/a & b.csv",
        "it's.csv",
        'a "b".csv',
        "x[1].csv",
        "$HOME.csv",
    ],
)
def test_a_source_reaches_the_command_as_it_was_typed(checkout: Path, source: str) -> None:
    typed = source.replace("$", "$$")  # as make has it
    done = run(checkout, f"SOURCE={typed}")
    assert (done.returncode, done.stdout) == (0, f"[run]\n[{source}]\n"), done.stderr


def test_without_a_source_the_ratings_are_generated(checkout: Path) -> None:
    done = run(checkout)
    assert done.stdout == "[run]\n[synthetic]\n", done.stderr
