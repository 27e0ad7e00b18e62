"""`make worker`: a worker that serves one work pool, after checks of what its runs need."""

import os
import shlex
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from cfmodel import tracking
from cfmodel.errors import ConfigError, DeviceError
from cfmodel.system.addresses import redact
from flows.api import configured_url, local_url, require_answer
from flows.console import one_line_of_error

if TYPE_CHECKING:
    from prefect.client.schemas.responses import DeploymentResponse

_CARDS = "CUDA_VISIBLE_DEVICES"
_STORE = "MLFLOW_TRACKING_URI"


@click.command()
@click.option("--pool", default="cpu", show_default=True, help="Name of the work pool to serve.")
@click.option("--card", help="Number or UUID of this worker's GPU; for a pool of GPU runs.")
@click.option("--limit", default=1, show_default=True, type=click.IntRange(min=1), help="Most runs at a time.")
def main(pool: str, card: str | None, limit: int) -> None:
    """Serve a work pool until it is stopped."""
    with one_line_of_error():
        serve(pool, card=card, limit=limit)


def serve(pool: str, *, card: str | None, limit: int) -> None:
    """Check what the runs of a pool need, and become Prefect's worker; does not return.

    Raises:
        CFModelError: No Prefect server answers.
        ConfigError: The pool has no deployments, or they name no MLflow store, or another one than this environment.
        DeviceError: The runs need a GPU, and not exactly one is given, or PyTorch does not find it.
        TrackingError: The MLflow store cannot be reached from here.
    """
    url = configured_url() or local_url()
    require_answer(url, remedy="start it, or run `make deploy`")
    deployments = _deployments_of(pool, url=url)
    for store in _stores_of(pool, deployments, environment=os.environ):
        tracking.require_store(store)
    cards = {_CARDS: card} if card else {}
    devices = [(deployment.parameters.get("runtime") or {}).get("device", "") for deployment in deployments]
    if any(device.startswith("cuda") for device in devices):
        require_one_card(pool, cards.get(_CARDS, os.environ.get(_CARDS, "")))
    name = "-".join(filter(None, (pool, socket.gethostname(), card)))
    arguments = ["worker", "start", "--pool", pool, "--name", name, "--limit", str(limit)]
    print("$", *(f"{key}={value}" for key, value in cards.items()), "prefect", shlex.join(arguments), flush=True)
    environment = os.environ | cards | {"PREFECT_API_URL": url}
    os.execve(sys.executable, [sys.executable, "-m", "prefect", *arguments], environment)  # noqa: S606 - no shell


def _deployments_of(pool: str, *, url: str) -> "list[DeploymentResponse]":
    """Return a pool's deployments; a ConfigError if there are none."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import WorkPoolFilter, WorkPoolFilterName
    from prefect.settings import PREFECT_API_URL, temporary_settings

    named = WorkPoolFilter(name=WorkPoolFilterName(any_=[pool]))
    with temporary_settings({PREFECT_API_URL: url}), get_client(sync_client=True) as client:
        found = client.read_deployments(work_pool_filter=named)
    if not found:
        raise ConfigError(f"work pool {pool!r} at {url} has no deployments; run `make deploy`, or name another pool")
    return found


def _stores_of(pool: str, deployments: "Sequence[DeploymentResponse]", *, environment: Mapping[str, str]) -> list[str]:
    """Return the addresses of the MLflow stores that a pool's runs record in.

    Raises:
        ConfigError: A deployment names no store, or the worker's environment names another one.
    """
    stores: dict[str, str] = {}
    for deployment in deployments:
        job_environment = (deployment.job_variables or {}).get("env") or {}
        store = _tracking_uri(deployment.parameters) or job_environment.get(_STORE)
        if not store:
            raise ConfigError(
                f"deployment {deployment.name!r} of pool {pool!r} does not name the MLflow store it records in; "
                "deploy it with `make deploy`, which sets MLFLOW_TRACKING_URI"
            )
        stores[store] = deployment.name
    here = environment.get(_STORE)
    if here and here not in stores:
        raise ConfigError(
            f"{_STORE} is {redact(here)} here, and the runs of pool {pool!r} are deployed to record in "
            f"{', '.join(map(redact, stores))}; unset it here, or deploy with the store you mean"
        )
    return list(stores)


def require_one_card(pool: str, cards: str) -> None:
    """Refuse a worker of GPU runs without exactly one GPU: the runs of two workers would share one.

    Raises:
        DeviceError: None or several are given, or PyTorch does not find the one given.
    """
    if not cards or "," in cards:
        given = f"{_CARDS} is {cards!r}" if cards else "none is given"
        raise DeviceError(
            f"a worker of pool {pool!r} serves one GPU, and {given}; start one worker per GPU: "
            f"make worker POOL={pool} CARD=0"
        )
    # PyTorch reads the variable once, when it first looks for GPUs.
    os.environ[_CARDS] = cards
    from cfmodel.training.planning.devices import resolve_device

    resolve_device("cuda")


def _tracking_uri(parameters: Mapping[str, Any]) -> str | None:
    overrides = parameters.get("overrides") or {}
    return overrides.get("tracking.uri") or (parameters.get("tracking") or {}).get("uri")


if __name__ == "__main__":
    main()
