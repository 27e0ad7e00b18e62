"""Errors that nobody foresaw, in one sentence."""

import os
import re
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from cfmodel.data.sources.titles import read_titles
from cfmodel.system.last_net import unforeseen


def raised(action: object) -> Exception:
    try:
        action()  # type: ignore[operator]
    except Exception as error:
        return error
    raise AssertionError


def test_an_error_of_the_system_names_the_file_and_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    sentence = str(unforeseen(raised(lambda: (tmp_path / "file" / "x").read_text())))
    assert sentence.startswith(f"{tmp_path}/file/x: Not a directory; a part of that path is a file: name another (the ")
    for variable in ("PREFECT_HOME", "HOME"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
        denied = PermissionError(13, "Permission denied", f"{tmp_path}/{variable}/x")
        assert f"set {variable} to a folder where it can" in str(unforeseen(denied))
    here = PermissionError(13, "Permission denied", "data/x")
    assert "set runtime.data_dir (and tracking.uri for the store)" in str(unforeseen(here))


def test_a_program_that_cannot_be_run_and_a_file_that_cannot_be_read_are_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    denied = PermissionError(13, "Permission denied", sys.executable)
    assert f"{sys.executable}: Permission denied; allow this account to run it, or set" in str(unforeseen(denied))
    (tmp_path / "secret").touch()
    monkeypatch.setattr("os.access", lambda path, mode: mode != os.R_OK)  # the tests may run as root, who reads all
    denied = PermissionError(13, "Permission denied", f"{tmp_path}/secret")
    assert "Permission denied; allow this account to read it (the traceback" in str(unforeseen(denied))


def test_the_traceback_is_in_the_file_that_is_named() -> None:
    (log,) = re.findall(r"\(the traceback is in (.+)\)$", str(unforeseen(raised(lambda: [][0]))))
    text = Path(log).read_text()
    Path(log).unlink()
    assert "Traceback (most recent call last)" in text
    assert text.rstrip().endswith("IndexError: list index out of range")


def test_an_error_of_arrow_names_the_file_our_code_was_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(path: Path) -> bytes:
        raise pa.ArrowNotImplementedError(f"no kernel for {path.name}")

    monkeypatch.setattr("cfmodel.data.sources.titles._content", fails)
    sentence = str(unforeseen(raised(lambda: read_titles(tmp_path / "odd.csv"))))
    assert sentence.startswith(
        f"{tmp_path}/odd.csv: ArrowNotImplementedError: no kernel for odd.csv; write the file again"
    )


def test_a_fault_of_ours_is_called_one_and_passwords_are_masked() -> None:
    sentence = str(unforeseen(KeyError("https://me:secret-word@host/x")))
    assert "that is a fault of cfmodel" in sentence
    assert "secret-word" not in sentence


def test_the_first_error_of_the_system_below_another_is_the_one_that_is_told() -> None:
    def fails() -> None:
        try:
            Path("/absent/file").read_text()
        except OSError as error:
            raise ValueError("something else") from error

    assert str(unforeseen(raised(fails))).startswith("/absent/file: No such file or directory; ")
