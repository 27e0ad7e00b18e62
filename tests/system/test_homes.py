"""A home folder that is missing or cannot be written, and folders that are named by a setting."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cfmodel.errors import ConfigError
from cfmodel.system.homes import ensure_home, is_writable, require_writable


def test_a_home_that_can_be_written_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert ensure_home() is None
    assert os.environ["HOME"] == str(tmp_path)


@pytest.mark.parametrize("home", ["absent", "file"])
def test_another_home_takes_the_place_of_one_that_is_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(tmp_path / home))
    monkeypatch.delenv("PREFECT_HOME", raising=False)
    said = ensure_home()
    assert said is not None
    assert said.startswith(f"the home folder {tmp_path / home} cannot be written: what belongs there goes to ")
    assert "Prefect's records" in said
    assert is_writable(Path(os.environ["HOME"]))
    assert Path(os.environ["HOME"]).stat().st_mode & 0o077 == 0
    assert ensure_home() is None


def test_an_account_without_an_entry_in_the_system_has_a_home_too() -> None:
    code = "import os; from cfmodel.system.homes import ensure_home; os.setuid(54321); print(ensure_home())"
    if os.getuid() != 0:
        pytest.skip("only root can become an account that the system does not know")
    environment = {name: value for name, value in os.environ.items() if name != "HOME"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, text=True, capture_output=True)
    assert done.stdout.startswith("this account has no home folder: what belongs there goes to "), done.stderr


def test_a_folder_that_cannot_be_made_is_refused_with_its_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"set runtime\.data_dir to a folder where it can"):
        require_writable(tmp_path / "file" / "data", setting="runtime.data_dir")
    require_writable(tmp_path / "new" / "data", setting="runtime.data_dir")
    assert not (tmp_path / "new").exists()
