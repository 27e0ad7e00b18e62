"""Two runs at once over one source, one folder for data and one store: each comes out as if it were alone."""

import os
import subprocess
import sys
from pathlib import Path

from mlflow import MlflowClient

from cfmodel.recommending.recommender import Recommender

SOURCE = "synthetic:users=300,movies=100,ratings=8000"
SMALL = ["--set", "train.epochs=3", "--set", "train.embedding_dim=4", "--set", "runtime.device=cpu"]


def start(home: Path, number: int, prefect_api: str) -> subprocess.Popen[str]:
    """Start cfmodel with the folder for data and the store of the other, and a home of its own."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_"))}
    return subprocess.Popen(
        [sys.executable, "-m", "cfmodel", "run", SOURCE, *SMALL],
        cwd=home,
        env=clean | {"HOME": str(home), "PREFECT_HOME": f"{home}/prefect-{number}", "PREFECT_API_URL": prefect_api},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_two_runs_at_once_do_not_disturb_each_other(prefect_api: str, tmp_path: Path) -> None:
    processes = [start(tmp_path, number, prefect_api) for number in (1, 2)]
    said = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("cfmodel").experiment_id])
    assert [run.info.status for run in runs] == ["FINISHED", "FINISHED"]
    numbers = [
        {key: value for key, value in run.data.metrics.items() if key.startswith(("test/", "val/", "train/"))}
        for run in runs
    ]
    assert numbers[0] == numbers[1]
    for run in runs:
        assert [point.step for point in client.get_metric_history(run.info.run_id, "val/rmse")] == [0, 1, 2, 3]
        Recommender.load(tmp_path / "data" / "models" / run.info.run_id)
    assert len(list((tmp_path / "data" / "ingested").iterdir())) == 1
    assert len(list((tmp_path / "data" / "splits").iterdir())) == 1
    assert not list((tmp_path / "data").rglob(".tmp-*"))
    assert not list((tmp_path / "data" / "spool").iterdir())
