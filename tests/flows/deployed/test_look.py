"""Two runs by a worker in a browser: Prefect's page, MLflow's comparison, MLflow's page of a run."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from mlflow_servers import Server
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, ArtifactFilterKey
from prefect.client.schemas.objects import FlowRun
from sites import MODEL, Site

from cfmodel.model import CollaborativeFiltering

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WAIT = 240_000


@pytest.fixture(scope="module")
def mlflow_pages(site: Site, run_ids: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """MLflow's own server on the site's store."""
    server = Server(tmp_path_factory.mktemp("mlflow-server"), store=f"sqlite:///{site.folder}/mlflow.db")
    with server.running():
        yield server.uri


@contextmanager
def opened(browser: "Browser", address: str) -> "Iterator[Page]":
    page = browser.new_context(viewport={"width": 1600, "height": 2400}).new_page()
    page.set_default_timeout(WAIT)
    page.goto(address)
    try:
        yield page
    finally:
        page.context.close()


def test_prefects_page_of_the_run_shows_the_result(
    browser: "Browser", site: Site, two_runs: list[FlowRun], run_ids: list[str], screenshots: Path
) -> None:
    metrics = site.store.get_run(run_ids[1]).data.metrics
    with opened(browser, f"http://127.0.0.1:{site.port}/runs/flow-run/{two_runs[1].id}") as page:
        page.get_by_text("Completed").first.wait_for()
        page.get_by_text("Artifacts", exact=True).first.click()
        page.get_by_text("Result of this run").first.wait_for()
        page.screenshot(path=screenshots / "prefect-run.png")
        page.get_by_text("result", exact=True).last.click()
        page.get_by_role("cell", name="damped biases").first.wait_for()
        shown = page.inner_text("body")
        page.screenshot(path=screenshots / "prefect-result.png")
    for expected in ("test/rmse", "test/damped_bias_rmse", "test/global_mean_rmse", "test/noise_floor_rmse"):
        assert f"{metrics[expected]:.4f}" in shown
    assert "last run" in shown
    assert re.search(r"\d+\.\d\d% (lower|higher)", shown)
    assert "Gradients: " in shown
    assert "Promotion: " in shown


def test_the_artifact_and_the_mlflow_description_say_the_same(
    site: Site, client: SyncPrefectClient, two_runs: list[FlowRun], run_ids: list[str]
) -> None:
    of_run = ArtifactFilterFlowRunId(any_=[two_runs[1].id])
    (artifact,) = client.read_artifacts(
        artifact_filter=ArtifactFilter(flow_run_id=of_run, key=ArtifactFilterKey(any_=["result"]))
    )
    tags = site.store.get_run(run_ids[1]).data.tags
    assert artifact.data == tags["mlflow.note.content"]
    assert f"Promotion: **{tags['promotion.verdict']}**: version 2 of {MODEL}" in str(artifact.data)
    assert f"/runs/{run_ids[1]}" in str(artifact.data)
    assert f"http://127.0.0.1:{site.port}/" in str(artifact.data)


def test_mlflows_page_of_the_run_shows_the_description(
    browser: "Browser", mlflow_pages: str, site: Site, run_ids: list[str], screenshots: Path
) -> None:
    data = site.store.get_run(run_ids[1]).data
    metrics, description = data.metrics, data.tags["mlflow.note.content"]
    (link,) = re.findall(r"\[this run in MLflow\]\(http://127.0.0.1:5000(/\S+)\)", description)
    with opened(browser, mlflow_pages + link) as page:
        page.get_by_text("Show more").first.click()
        page.get_by_role("cell", name="damped biases").first.wait_for()
        page.get_by_role("link", name="its gradients").wait_for()
        page.screenshot(path=screenshots / "mlflow-run.png")
        shown = page.inner_text("body")
        # What Markdown makes of the description: no link but its own.
        links = page.get_by_role("link", name=re.compile(r"in MLflow$|gradients$|Prefect$|[0-9],"))
        assert links.all_inner_texts() == ["this run in MLflow", "its gradients", "in Prefect"]
    assert f"{metrics['test/damped_bias_rmse']:.4f}" in shown
    assert f"{metrics['promotion/champion_difference_high']:+.4f}] (95%)" in shown
    assert "Biased matrix factorisation of" in shown


def test_mlflows_comparison_page_shows_settings_and_metrics_of_both(
    browser: "Browser", mlflow_pages: str, site: Site, run_ids: list[str], screenshots: Path, experiment: str
) -> None:
    chosen = f"runs={quote(json.dumps(run_ids))}&experiments={quote(json.dumps([experiment]))}"
    with opened(browser, f"{mlflow_pages}/#/compare-runs?{chosen}") as page:
        page.get_by_text("Comparing 2 Runs").wait_for()
        page.get_by_text("best_val_rmse", exact=True).first.wait_for(state="attached")
        shown = page.inner_text("body")
        page.screenshot(path=screenshots / "mlflow-comparison.png")
    for name in (
        "train.seed",
        "best_val_rmse",
        *(f"adam_step/{table}" for table in CollaborativeFiltering.table_names()),
    ):
        assert name in shown, name
    for run_id in run_ids:
        rmse = site.store.get_run(run_id).data.metrics["best_val_rmse"]
        assert f"{rmse:.3f}".rstrip("0") in shown
        assert run_id in shown


def test_mlflows_charts_lay_the_runs_curves_and_pictures_side_by_side(
    browser: "Browser", mlflow_pages: str, run_ids: list[str], screenshots: Path, experiment: str
) -> None:
    address = f"{mlflow_pages}/#/experiments/{experiment}/runs?workflowType=machine_learning&compareRunsMode=CHART"
    with opened(browser, address) as page:
        page.get_by_placeholder("Search metric charts").fill("grad_norm/|gradients/movie_biases")
        for table in CollaborativeFiltering.table_names():
            page.get_by_text(f"grad_norm/{table}", exact=True).first.wait_for(state="attached")
        page.locator(".js-plotly-plot").first.wait_for()
        # MLflow writes every setting above a picture, which pushes the next run's away, unless told not to.
        card = page.get_by_test_id("experiment-view-compare-runs-card").filter(
            has=page.locator("h4[title='gradients/movie_biases']")
        )
        card.get_by_test_id("experiment-view-compare-runs-card-menu").click()
        page.get_by_role("menuitem", name="Configure").click()
        page.get_by_role("dialog").get_by_role("switch").click()
        page.get_by_role("button", name="Save changes").click()
        page.get_by_role("dialog").wait_for(state="detached")
        card.locator("[role=slider]").focus()
        page.keyboard.press("ArrowRight")  # from step 0, before the first epoch, to the first picture
        card.locator("img[src*='gradients~movie_biases']").first.wait_for()
        page.screenshot(path=screenshots / "mlflow-charts.png")
        card.locator("[data-component-id=fullscreen_button_chartcard]").click()
        shown = page.get_by_role("dialog").locator("img[src*='gradients~movie_biases']")
        pictures = [shown.and_(page.locator(f"img[src*='{run_id}']")).first for run_id in run_ids]
        for picture in pictures:
            picture.wait_for()
        page.wait_for_function(
            "() => [...document.querySelectorAll(\"img[src*='gradients~movie_biases']\")].every((i) => i.naturalWidth)"
        )
        boxes = [box for box in (picture.bounding_box() for picture in pictures) if box]
        page.screenshot(path=screenshots / "mlflow-pictures.png")
    left, right = sorted(boxes, key=lambda box: box["x"])
    assert left["y"] == right["y"]
    assert left["x"] + left["width"] <= right["x"]
    assert left["width"] == right["width"] > 500
