"""What `cfmodel run` refuses before it starts anything."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cfmodel_process import run_cfmodel


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


def test_a_refusal_is_one_message_and_exit_status_1(home: Path) -> None:
    refused = run_cfmodel("run", "absent.csv", home=home)
    assert refused.returncode == 1
    assert "absent.csv" in refused.stderr
    assert "Traceback" not in refused.stderr + refused.stdout
    assert refused.stderr.startswith("Error: ")
    assert len(refused.stderr.strip().splitlines()) == 1


def test_a_misspelt_setting_is_refused_at_once(home: Path) -> None:
    refused = run_cfmodel("run", "--set", "train.epoch=5", home=home)
    assert refused.returncode == 1
    assert refused.stderr == "Error: train.epoch is not a setting; did you mean train.epochs?\n"


def test_an_option_without_a_value_is_refused(home: Path) -> None:
    assert "expected NAME=VALUE" in run_cfmodel("run", "--set", "train.epochs", home=home).stderr


def test_a_typo_is_refused_before_anything_is_started(home: Path) -> None:
    for arguments in (["absent.csv"], ["--set", "split.strategy=predefined", "--set", "split.test_source=absent.csv"]):
        refused = run_cfmodel("run", *arguments, home=home)
        assert "absent.csv" in refused.stderr
        assert refused.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (["--set", "ingest.columns.rating=stars"], ["ratings.csv: ingest.columns.rating is 'stars'; .*--set"]),
        (["--set", "split.strategy=temporal"], ["ratings.csv: split.strategy = 'temporal' needs timestamps"]),
        (["--set", "ingest.header=false"], ["ratings.csv, row 1: rating 'rating' is not a number"]),
        (
            ["--set", "train.epoch=5", "--set", "ingest.columns.user_id=x", "--set", "seed"],
            ["--set seed: expected NAME", "train.epoch is not a setting", "ratings.csv: ingest.columns.user_id is 'x'"],
        ),
    ],
)
def test_everything_wrong_is_told_before_anything_heavy_is_imported(
    arguments: list[str], lines: list[str], tmp_path: Path
) -> None:
    (tmp_path / "ratings.csv").write_text("user,item,rating\n1,2,3\n2,2,4\n")
    code = (
        "import sys\n"
        "from cfmodel.cli import main\n"
        f"status = 0\n"
        f"try:\n    main(['run', 'ratings.csv', *{arguments!r}])\n"
        "except SystemExit as exit:\n    status = exit.code\n"
        "heavy = {'torch', 'mlflow', 'prefect', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "sys.exit(status)\n"
    )
    started = time.perf_counter()
    refused = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    seconds = time.perf_counter() - started
    told = refused.stderr.removeprefix("Error: ").splitlines()
    assert refused.returncode == 1, refused.stderr
    assert len(told) == len(lines)
    assert all(re.match(line, found) for line, found in zip(lines, told, strict=True)), told
    assert seconds < 5  # 1.2 on 2 busy cores; with a server started it would be over 10
    assert [each.name for each in tmp_path.iterdir()] == ["ratings.csv"]


@pytest.mark.parametrize("source", ["s3://key:secret-word@bucket/x.csv", "https://me:secret-word@host/x.csv"])
def test_a_source_with_a_password_is_refused_before_anything_is_started_and_stored_nowhere(
    source: str, tmp_path: Path
) -> None:
    refused = run_cfmodel("run", source, home=tmp_path)
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"Error: {source.partition(':')[0]}://***@")
    assert "secret-word" not in refused.stdout + refused.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_device_that_is_not_there_is_refused_before_anything_is_started(home: Path) -> None:
    refused = run_cfmodel("run", "--set", "runtime.device=cuda", home=home, CUDA_VISIBLE_DEVICES="")
    assert refused.returncode == 1
    assert refused.stderr.startswith("Error: runtime.device: 'cuda' needs CUDA")
    assert refused.stdout == ""


def test_outside_a_checkout_it_is_refused_in_one_sentence(home: Path) -> None:
    code = (
        "import sys; sys.modules['flows'] = None; sys.argv = ['cfmodel', 'run']; from cfmodel.cli import main; main()"
    )
    refused = subprocess.run([sys.executable, "-c", code], cwd=home, capture_output=True, text=True)
    assert refused.returncode == 1
    assert "checkout" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
