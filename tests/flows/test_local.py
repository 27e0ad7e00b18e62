"""Which Prefect server `cfmodel run` uses."""

from pathlib import Path

from cfmodel_process import run_cfmodel


def test_a_prefect_server_that_does_not_answer_is_refused_by_its_address(tmp_path: Path) -> None:
    refused = run_cfmodel("run", home=tmp_path, PREFECT_API_URL="http://127.0.0.1:9/api")
    assert refused.returncode == 1
    assert "no Prefect server answers at http://127.0.0.1:9/api" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
