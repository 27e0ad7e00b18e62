"""The wheel holds cfmodel alone; flows and tasks run from the checkout."""

import subprocess
import sys
import zipfile
from pathlib import Path


def test_the_wheel_holds_cfmodel_and_its_licence(root: Path, tmp_path: Path) -> None:
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(tmp_path)]
    subprocess.run([*build, str(root)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("cfmodel-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"cfmodel"}
    assert "cfmodel/data/ingest/ingest.py" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
