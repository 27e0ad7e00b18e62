"""The `cfmodel` command: help, settings and usage reporting."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cfmodel_process import run_cfmodel
from click.testing import CliRunner

from cfmodel.cli import main


def test_the_settings_command_prints_a_settings_file_that_runs_accept(tmp_path: Path) -> None:
    (tmp_path / "cfmodel.toml").write_text(run_cfmodel("settings", home=tmp_path).stdout)
    refused = run_cfmodel("run", "absent.csv", "--config", "cfmodel.toml", home=tmp_path)
    assert "absent.csv" in refused.stderr


def test_help_comes_quickly_because_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, cfmodel.cli\n"
        "heavy = {'torch', 'mlflow', 'prefect', 'pandas', 'pyarrow', 'numpy', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    shown = subprocess.run([sys.executable, "-m", "cfmodel", "--help"], capture_output=True, text=True, check=True)
    assert "run" in shown.stdout


def test_the_first_sentence_of_every_command_fits_into_eighty_columns() -> None:
    listed = CliRunner().invoke(main, ["--help"], terminal_width=80).output.partition("Commands:")[2]
    assert [line.split()[0] for line in listed.strip().splitlines()] == sorted(main.commands)
    assert "..." not in listed


def test_usage_reporting_is_off_unless_the_environment_turns_it_on(monkeypatch: pytest.MonkeyPatch) -> None:
    import flows
    from cfmodel.cli import _prepare_environment

    names = ("DO_NOT_TRACK", "PREFECT_SERVER_ANALYTICS_ENABLED", "MLFLOW_DISABLE_TELEMETRY")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    importlib.reload(flows)
    _prepare_environment()
    assert [os.environ[name] for name in names] == ["true", "false", "true"]
    monkeypatch.setenv("DO_NOT_TRACK", "false")
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY")
    _prepare_environment()
    assert [os.environ[name] for name in names] == ["false", "false", "false"]


@pytest.mark.parametrize("command", ["run", "find-lr"])
def test_several_files_are_refused_with_the_advice_to_quote_a_pattern(command: str) -> None:
    result = CliRunner().invoke(main, [command, "a.csv", "b.csv"])
    assert result.exit_code == 2
    assert "Put a pattern in quotes, such as 'exports/*.csv'" in result.output


def test_what_nobody_foresaw_is_one_line_that_names_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> str:
        raise PermissionError(13, "Permission denied", "/somewhere/else")

    monkeypatch.setattr("cfmodel.reference.settings_toml", fails)
    done = CliRunner().invoke(main, ["settings"])
    assert done.exit_code == 1
    (line,) = done.output.splitlines()
    assert line.startswith("Error: /somewhere/else: Permission denied; allow this account to write there, or set ")
    log = Path(line.partition("the traceback is in ")[2].removesuffix(")"))
    assert "PermissionError" in log.read_text()
    log.unlink()


def test_a_pipe_that_is_closed_is_no_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed() -> str:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("cfmodel.reference.settings_toml", closed)
    assert "traceback" not in CliRunner().invoke(main, ["settings"]).output
