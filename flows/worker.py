"""`make worker`: a worker that serves one pool, once it is sure where its runs will be recorded."""

import os
import shlex
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from cfmodel import tracking
from cfmodel.errors import CFModelError, ConfigError, DeviceError
from cfmodel.system.addresses import shown
from flows.api import configured_url, local_url, require_answer

if TYPE_CHECKING:
    from prefect.client.schemas.responses import DeploymentResponse

CARDS = "CUDA_VISIBLE_DEVICES"
STORE = "MLFLOW_TRACKING_URI"


@click.command()
@click.option("--pool", default="cpu", show_default=True, help="Work pool to serve.")
@click.option("--card", help="The one card of this worker, by number or UUID; for a pool of GPU runs.")
@click.option("--limit", default=1, show_default=True, type=click.IntRange(min=1), help="Runs at a time.")
def main(pool: str, card: str | None, limit: int) -> None:
    """Serve a work pool; does not return."""
    try:
        serve(pool, card=card, limit=limit)
    except CFModelError as refusal:
        sys.exit(f"Error: {refusal}")


def serve(pool: str, *, card: str | None, limit: int) -> None:
    """Check what runs of a pool need, and become Prefect's worker.

    Raises:
        CFModelError: No Prefect server answers.
        ConfigError: The pool has no deployments, or they do not say where to record, or elsewhere than
            this environment.
        DeviceError: Its runs need a card, and not exactly one was given, or it is not there.
        TrackingError: The store they record in cannot be reached from here.
    """
    url = configured_url() or local_url()
    require_answer(url, remedy="start it, or run `make deploy`")
    deployments = deployments_of(pool, url=url)
    for store in intended_stores(pool, deployments, environment=os.environ):
        tracking.require_store(store)
    cards = {CARDS: card} if card else {}
    if needs_card(deployments):
        require_one_card(pool, cards.get(CARDS, os.environ.get(CARDS, "")))
    name = "-".join(filter(None, (pool, socket.gethostname(), card)))
    arguments = ["worker", "start", "--pool", pool, "--name", name, "--limit", str(limit)]
    print("$", *(f"{key}={value}" for key, value in cards.items()), "prefect", shlex.join(arguments), flush=True)
    environment = os.environ | cards | {"PREFECT_API_URL": url}
    os.execve(sys.executable, [sys.executable, "-m", "prefect", *arguments], environment)  # noqa: S606 - no shell


def deployments_of(pool: str, *, url: str) -> "list[DeploymentResponse]":
    """Return a pool's deployments.

    Raises:
        ConfigError: There are none.
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import WorkPoolFilter, WorkPoolFilterName
    from prefect.settings import PREFECT_API_URL, temporary_settings

    named = WorkPoolFilter(name=WorkPoolFilterName(any_=[pool]))
    with temporary_settings({PREFECT_API_URL: url}), get_client(sync_client=True) as client:
        found = client.read_deployments(work_pool_filter=named)
    if not found:
        raise ConfigError(f"work pool {pool!r} at {url} has no deployments; run `make deploy`, or name another pool")
    return found


def intended_stores(
    pool: str, deployments: "Sequence[DeploymentResponse]", *, environment: Mapping[str, str]
) -> list[str]:
    """Return the addresses of the MLflow stores that a pool's runs record in.

    Raises:
        ConfigError: A deployment does not say where, or the worker's environment says elsewhere.
    """
    stores: dict[str, str] = {}
    for deployment in deployments:
        store = _tracking_uri(deployment.parameters) or _job_environment(deployment).get(STORE)
        if not store:
            raise ConfigError(
                f"deployment {deployment.name!r} of pool {pool!r} does not say in which MLflow store it records; "
                "deploy it with `make deploy`, which sets MLFLOW_TRACKING_URI"
            )
        stores[store] = deployment.name
    here = environment.get(STORE)
    if here and here not in stores:
        raise ConfigError(
            f"{STORE} is {shown(here)} here, and the runs of pool {pool!r} are deployed to record in "
            f"{', '.join(map(shown, stores))}; unset it here, or deploy with the store you mean"
        )
    return list(stores)


def needs_card(deployments: "Sequence[DeploymentResponse]") -> bool:
    """Tell whether any of some deployments asks for CUDA."""
    devices = [(deployment.parameters.get("runtime") or {}).get("device", "") for deployment in deployments]
    return any(device.startswith("cuda") for device in devices)


def require_one_card(pool: str, cards: str) -> None:
    """Refuse a worker of GPU runs that does not have exactly one card: two runs would share one.

    Raises:
        DeviceError: None or several are given, or PyTorch does not find the one that is.
    """
    if not cards or "," in cards:
        given = f"{CARDS} is {cards!r}" if cards else "none is given"
        raise DeviceError(
            f"a worker of pool {pool!r} serves one card, and {given}; start one worker a card: "
            f"make worker POOL={pool} CARD=0"
        )
    # PyTorch reads it once, when it first looks for cards.
    os.environ[CARDS] = cards
    from cfmodel.training.devices import resolve_device

    resolve_device("cuda")


def _tracking_uri(parameters: Mapping[str, Any]) -> str | None:
    overrides = parameters.get("overrides") or {}
    return overrides.get("tracking.uri") or (parameters.get("tracking") or {}).get("uri")


def _job_environment(deployment: "DeploymentResponse") -> Mapping[str, str]:
    return (deployment.job_variables or {}).get("env") or {}


if __name__ == "__main__":
    main()
