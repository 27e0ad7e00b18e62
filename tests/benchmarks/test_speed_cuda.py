"""The benchmark of the CUDA engine, run on the CPU, so that it works when a GPU is available."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "speed_cuda.py"
SMALL = "--source synthetic:users=120,movies=60,ratings=2000 --batch-sizes 64 128 --epochs 2 --repeats 2"


def test_the_benchmark_prints_the_row_of_the_cpu_and_one_for_each_batch_size() -> None:
    command = [sys.executable, str(SCRIPT), "--device", "cpu", *SMALL.split()]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    header, *rows = printed.split("\n\n")[1].splitlines()
    assert [row.split()[3] for row in rows] == ["32", "64", "128"]
    assert "test RMSE" in header
    assert 0 < float(rows[0].split()[6]) < 2
    assert "at most 0.002 above the CPU's test RMSE" in printed
