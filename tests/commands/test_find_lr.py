"""`cfmodel find-lr` as a person calls it."""

import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cfmodel.cli import main
from cfmodel.commands.find_lr import chart
from cfmodel.config import TrainSettings
from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.training.planning.plan import TrainingPlan
from cfmodel.training.range_test import RangeStep, zones_of

SOURCE = "synthetic:users=60,movies=40,ratings=1200"


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp("find-lr")
    options = ["--set", f"runtime.data_dir={folder}", "--set", "train.embedding_dim=4", "--set", "runtime.device=cpu"]
    result = CliRunner().invoke(main, ["find-lr", SOURCE, *options])
    assert result.exit_code == 0, result.output
    return result.output, folder


def test_it_draws_the_zones_and_suggests_a_rate(output: tuple[str, Path]) -> None:
    text, _ = output
    for words in ("too low", "just right", "too high", "slow training", "steady improvement", "unstable training"):
        assert words in text
    suggested = re.search(r"Suggestion: learning_rate = (\S+)", text)
    zone = re.search(r"just right +(\S+) to (\S+)", text)
    assert suggested is not None
    assert zone is not None
    assert float(zone[1]) < float(suggested[1]) < float(zone[2])
    assert f"--set train.learning_rate={suggested[1]}" in text


def test_the_suggestion_is_the_best_of_the_trainings(output: tuple[str, Path]) -> None:
    text, _ = output
    trials = re.findall(r"^  (\S+) +val RMSE (\S+), best epoch (\d+)$", text, re.MULTILINE)
    assert 3 <= len(trials) <= 7
    assert f"  {len(trials)} trainings took " in text
    best = min(trials, key=lambda trial: float(trial[1]))
    assert f"Suggestion: learning_rate = {best[0]}\n" in text
    first = re.search(r"a tenth of the rate with the lowest loss suggests (\S+)\.\n", text)
    assert first is not None
    assert trials[0][0] == first[1]


def test_without_trainings_the_suggestion_is_that_of_the_range_test(tmp_path: Path) -> None:
    options = ["--set", f"runtime.data_dir={tmp_path}", "--set", "train.embedding_dim=4", "--set", "runtime.device=cpu"]
    result = CliRunner().invoke(main, ["find-lr", SOURCE, "--trainings", "0", *options])
    assert result.exit_code == 0, result.output
    assert "val RMSE" not in result.output
    first = re.search(r"a tenth of the rate with the lowest loss suggests (\S+)\.\n", result.output)
    assert first is not None
    assert f"Suggestion: learning_rate = {first[1]}\n" in result.output


def test_the_picture_is_where_it_says(output: tuple[str, Path]) -> None:
    text, folder = output
    picture = Path(text.rpartition("Picture: ")[2].splitlines()[0])
    assert picture.parent == folder / "find-lr"
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_chart_marks_the_suggestion_and_is_of_even_width() -> None:
    losses = [1.0, 1.0, 0.99, 0.95, 0.8, 0.5, 0.4, 0.9, 2.0]
    steps = tuple(RangeStep(n, 10.0 ** (n / 2 - 5), loss, loss) for n, loss in enumerate(losses, start=1))
    rows = np.zeros(256, np.int32)
    ratings = RatingArrays(rows, rows, np.arange(256, dtype=np.float32))
    plan = TrainingPlan.of(ratings, None, num_users=1, num_movies=1, settings=TrainSettings(batch_size=1))
    lines = chart(zones_of(steps, plan))
    assert sum(line.count("●") for line in lines) == 1
    assert len({len(line) for line in lines if "│" in line}) == 1
    assert "just right" in lines[-2]


def test_a_source_that_is_not_there_is_refused_in_one_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["find-lr", "absent.csv", "--set", f"runtime.data_dir={tmp_path}"])
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert "absent.csv" in result.output
