"""Check a few lines with mypy."""

import subprocess
import sys
from pathlib import Path


def mypy_errors(code: str, folder: Path, root: Path) -> list[str]:
    """Return mypy's errors on some code, checked with the project's own configuration and cache.

    Args:
        code: The code.
        folder: An empty folder, where the code is written.
        root: The checkout.
    """
    file = folder / "snippet.py"
    file.write_text(code, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--no-error-summary", str(file)]
    checked = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=240)
    assert checked.stderr == ""
    assert checked.returncode == (1 if checked.stdout else 0)
    return [line for line in checked.stdout.splitlines() if ": error: " in line]
