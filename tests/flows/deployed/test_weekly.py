"""What a worker does once a week: compare the newest runs."""

from collections.abc import Callable

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from sites import TWO_RUNS, Site, begun


def test_the_worker_compares_the_newest_runs(
    client: SyncPrefectClient, worker: Site, awaited: Callable[..., FlowRun], experiment: str, run_ids: list[str]
) -> None:
    compared = begun(client, "comparison/weekly", tracking={"experiment": TWO_RUNS})
    done = awaited(lambda: client.read_flow_run(compared.id))
    assert done.state_name == "Completed", worker.worker_log.read_text()
    (recorded,) = worker.store.search_runs([experiment], "tags.kind = 'comparison'")
    assert recorded.info.status == "FINISHED"
    assert recorded.data.tags["compared_runs"].split(",") == run_ids  # oldest first
    assert {each.path for each in worker.store.list_artifacts(recorded.info.run_id)} == {
        "comparison.html",
        "comparison.json",
    }
