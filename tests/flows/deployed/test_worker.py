"""`make worker`: what it refuses before it takes any work."""

import pytest
from refusals import remedy_of
from sites import Site


def refusal(site: Site, *arguments: str, **environment: str) -> str:
    done = site.make("worker", *arguments, **environment)
    assert done.returncode != 0
    assert "prefect worker start" not in done.stdout
    lines = done.stderr.splitlines()
    assert [line.partition(":")[0].partition("[")[0] for line in lines] == ["Error", "make"], done.stderr
    return lines[0]


def test_a_worker_that_would_record_elsewhere_refuses_to_start(site: Site) -> None:
    said = refusal(site, MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert said.startswith("Error: MLFLOW_TRACKING_URI is http://127.0.0.1:9 here, and the runs of pool 'cpu'")
    assert f"sqlite:///{site.folder}/mlflow.db" in said


def test_a_worker_that_cannot_reach_the_store_refuses_to_start(site: Site) -> None:
    store, aside = site.folder / "mlflow.db", site.folder / "aside.db"
    store.rename(aside)
    try:
        assert "there is no such store on this machine" in refusal(site)
        assert not store.exists()  # looking for it does not make it
    finally:
        aside.rename(store)


def test_a_worker_without_a_server_refuses_to_start(site: Site) -> None:
    said = refusal(site, PREFECT_API_URL="http://127.0.0.1:9/api")
    assert "no Prefect server answers at http://127.0.0.1:9/api" in said
    assert "make deploy" in said


@remedy_of("flows/worker.py", "run `make deploy`, or name another pool")
def test_a_worker_of_an_unknown_pool_refuses_to_start(site: Site) -> None:
    said = refusal(site, "POOL=cpus")
    assert "work pool 'cpus' at" in said
    assert said.endswith("has no deployments; run `make deploy`, or name another pool")
    assert "serves one GPU" in refusal(site, "POOL=gpu", CUDA_VISIBLE_DEVICES="")  # another pool gets further


@pytest.mark.parametrize("cards", ["", "0,1"])
def test_a_worker_of_gpu_runs_serves_exactly_one_gpu(site: Site, cards: str) -> None:
    said = refusal(site, "POOL=gpu", CUDA_VISIBLE_DEVICES=cards)
    assert "serves one GPU" in said
    assert "make worker POOL=gpu CARD=0" in said
