"""`cfmodel ui`: open MLflow on the store of the runs."""

import os
import sys
from pathlib import Path

import click

from cfmodel import tracking
from cfmodel.config import TrackingSettings


def serve(settings: TrackingSettings, *, port: int) -> None:
    """Print the address of MLflow's training view, and serve it unless the store is a server itself.

    Does not return if it serves.

    Raises:
        TrackingError: The store cannot be reached.
    """
    uri = tracking.resolve_uri(settings)
    view = tracking.training_view(settings, port=port)
    if uri.startswith(("http://", "https://")):
        click.echo(f"MLflow: {view}")
        return
    click.echo(f"MLflow: {view}  (Ctrl+C stops it)")
    # One server process and no job runner: it starts in seconds with a quarter of the memory. Users do not need its
    # log of every request, nor the warnings of its libraries.
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_LOGGING_LEVEL": "WARNING"}
    environment = os.environ | quiet | {"PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri, "--host", "127.0.0.1"]
    options = ["--port", str(port), "--workers", "1", "--uvicorn-opts", "--log-level=warning"]
    os.execve(sys.executable, [*command, *options], environment)  # noqa: S606 - no shell


def opening_command(uri: str) -> str | None:
    """Return the command that opens MLflow on a store from this folder; None if the store is a server."""
    if uri.startswith(("http://", "https://")):
        return None
    if uri != tracking.resolve_uri(TrackingSettings()):
        return f"cfmodel ui --set tracking.uri={uri}"
    in_checkout = all(Path(name).exists() for name in ("Makefile", "flows/pipeline.py"))
    return "make ui" if in_checkout else "cfmodel ui"
