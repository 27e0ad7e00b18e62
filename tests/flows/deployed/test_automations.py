"""What Prefect does by itself: call a webhook for failed runs, and mark runs Crashed whose machine died."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from threading import Thread

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.events.filters import EventFilter, EventNameFilter, EventResourceFilter
from sites import BIN, Site, settle

ENDLESS = """
from prefect import tags
from flows.pipeline import pipeline
with tags("cfmodel", "endless"):
    pipeline(overrides={"train.epochs": 100000, "train.patience": 100000, "train.schedule": "constant"})
"""


@pytest.fixture
def calls() -> Iterator[tuple[str, "Queue[dict[str, str]]"]]:
    """A webhook on this machine: its address, and what it was sent."""
    received: Queue[dict[str, str]] = Queue()

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Webhook)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/hook", received
    server.shutdown()
    server.server_close()


def told_of(what: str, received: "Queue[dict[str, str]]") -> dict[str, str]:
    """Wait for a message with this text; on a busy machine other runs may be late, and told of before it."""
    while what not in str(message := received.get(timeout=600)):
        pass
    return message


def test_a_webhook_is_called_for_a_run_that_failed(
    client: SyncPrefectClient,
    worker: Site,
    awaited: Callable[..., FlowRun],
    calls: tuple[str, "Queue[dict[str, str]]"],
) -> None:
    address, received = calls
    for _ in range(2):  # the second time replaces the first
        made = worker.make("notify", f"WEBHOOK={address}")
        assert made.returncode == 0, made.stdout + made.stderr
    settle(client)
    deployment = client.read_deployment_by_name("pipeline/cpu")
    started = client.create_flow_run_from_deployment(deployment.id, parameters={"source": "absent.csv"})
    awaited(lambda: client.read_flow_run(started.id), state="Failed")
    address = f"http://127.0.0.1:{worker.port}/runs/flow-run/{started.id}"
    failed = f"run {started.name} is Failed"
    assert told_of(failed, received) == {"text": f"pipeline/cpu: {failed}. {address}"}
    assert failed not in str(list(received.queue))


def test_a_webhook_is_called_for_a_run_that_no_worker_takes(
    client: SyncPrefectClient, site: Site, calls: tuple[str, "Queue[dict[str, str]]"]
) -> None:
    address, received = calls
    made = site.make("notify", f"WEBHOOK={address}")
    assert made.returncode == 0, made.stdout + made.stderr
    deployment = client.read_deployment_by_name("pipeline/gpu")  # whose pool nobody serves here
    waiting = client.create_flow_run_from_deployment(deployment.id)
    told = told_of(f"run {waiting.name} is", received)
    client.delete_flow_run(waiting.id)
    address = f"http://127.0.0.1:{site.port}/runs/flow-run/{waiting.id}"
    assert told == {"text": f"pipeline/gpu: run {waiting.name} is Late. {address}"}


def beats(client: SyncPrefectClient, run: FlowRun | None) -> bool:
    """Tell whether the server has a heartbeat of a run."""
    if run is None:
        return False
    heartbeats = EventFilter(
        event=EventNameFilter(name=["prefect.flow-run.heartbeat"]),
        resource=EventResourceFilter(id=[f"prefect.flow-run.{run.id}"]),
    )
    return client.read_events(heartbeats, limit=1).total > 0


def test_a_run_whose_process_was_killed_is_marked_crashed(
    client: SyncPrefectClient, site: Site, awaited: Callable[..., FlowRun]
) -> None:
    automations = (site.folder / "deploy/automations.yaml").read_text()
    assert "within: 90" in automations
    quick = site.folder / "quick.yaml"
    # A test does not wait that long, and means its own run alone: that of others beats less often.
    quick.write_text(automations.replace("within: 90", "within: 20").replace("cfmodel", "endless"))
    made = site.prefect("automation", "create", "--from-file", str(quick))
    assert made.returncode == 0, made.stdout + made.stderr
    environment = {**site.environment, "PREFECT_API_URL": site.api, "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}
    process = subprocess.Popen(
        [sys.executable, "-c", ENDLESS],
        cwd=site.folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def endless() -> FlowRun | None:
        return next((run for run in client.read_flow_runs() if "endless" in run.tags), None)

    try:
        while not beats(client, endless()):
            assert process.poll() is None
            time.sleep(0.5)
    finally:
        process.kill()
        process.wait()
    ended = awaited(endless, state="Crashed")
    assert ended.state is not None
    assert "No heartbeat for 90 seconds" in (ended.state.message or "")


def test_prefect_accepts_the_file_itself(site: Site) -> None:
    made = site.run(
        str(BIN / "prefect"), "automation", "create", "-f", "deploy/automations.yaml", PREFECT_API_URL=site.api
    )
    assert made.returncode == 0, made.stdout + made.stderr
