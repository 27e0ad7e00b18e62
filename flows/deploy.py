"""`make deploy`: deploy everything in prefect.yaml on a Prefect server, and print each command."""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from cfmodel import tracking
from cfmodel.config import TrackingSettings, is_synthetic
from cfmodel.errors import CFModelError, ConfigError
from cfmodel.system.addresses import holds_secret, leaves
from flows.api import configured_url, connection_error, local_url, prefect_home, require_answer
from flows.console import one_line_of_error
from flows.server import start_in_background

_PROJECT = Path("prefect.yaml")
_STORE, _EXPERIMENT = "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"
#: Whether the schedules are on: `false` until a source is set.
_ACTIVE = "CFMODEL_SCHEDULES_ACTIVE"

_START_SECONDS = 300.0


def main() -> None:
    """Deploy; end with the message and exit status 1 if that is refused."""
    with one_line_of_error():
        deploy()


def deploy() -> None:
    """Check the environment, start a Prefect server if none is configured, create the work pools and deploy.

    Raises:
        CFModelError: A variable is not set, a server does not answer, or a command failed.
    """
    project = yaml.safe_load(_PROJECT.read_text(encoding="utf-8"))
    # Without a store in the environment, runs record in the store of `make run`.
    store = tracking.resolve_uri(TrackingSettings())
    waiting = without_source(project)
    named = {_STORE: store, _EXPERIMENT: tracking.experiment_of(TrackingSettings()), _ACTIVE: str(not waiting).lower()}
    environment = dict(os.environ) | {"PWD": str(Path.cwd())} | named
    require_variables(project, environment)
    require_no_password(store)
    require_no_secrets(project, environment)
    tracking.require_store(store, create=True)
    url = configured_url() or _local_server(environment)
    require_answer(url, remedy="start it, or unset PREFECT_API_URL and `make deploy` starts one")
    environment |= {"PREFECT_API_URL": url}
    names = list(dict.fromkeys(deployment["work_pool"]["name"] for deployment in project["deployments"]))
    for pool in names:
        _prefect("work-pool", "create", pool, "--type", "process", "--overwrite", environment=environment)
    _prefect("--no-prompt", "deploy", "--all", environment=environment)
    print(_next_steps(url, store, names))
    if waiting:
        print(
            f"\nThe schedules are paused: {' and '.join(waiting)} of {_PROJECT} would train on generated ratings every "
            f"night. Set `source` under its parameters to your ratings, and run `make deploy` again."
        )


def without_source(project: Mapping[str, Any]) -> list[str]:
    """Return the deployments whose schedules wait for a source of ratings: those that would train on generated ones."""
    waiting = []
    for deployment in project["deployments"]:
        source = deployment.get("parameters", {}).get("source")
        follows = any(_ACTIVE in str(schedule.get("active")) for schedule in deployment.get("schedules", []))
        if follows and source is not None and is_synthetic(str(source)):
            waiting.append(f"deployment {deployment['name']!r}")
    return waiting


def require_variables(project: Mapping[str, Any], environment: Mapping[str, str]) -> None:
    """Refuse a project that uses environment variables which are not set.

    Prefect would put an empty string in the place of each, without a message.

    Raises:
        ConfigError: Some are unset or empty; the message names them all.
    """
    from prefect.utilities.templating import PlaceholderType, find_placeholders

    found = find_placeholders(dict(project))
    named = {each.name.lstrip("$") for each in found if each.type is PlaceholderType.ENV_VAR}
    if missing := sorted(name for name in named if not environment.get(name)):
        raise ConfigError(
            f"{_PROJECT}: not set in this environment: {', '.join(missing)}; export what is missing, "
            "since Prefect would deploy an empty string in its place"
        )


def require_no_password(store: str) -> None:
    """Refuse the address of a store with a password in it: Prefect's pages show what is deployed.

    Raises:
        ConfigError: The address has one.
    """
    if urlsplit(store).password is not None:
        raise ConfigError(
            f"{_STORE} holds a password, which Prefect's pages would show; take it out of the address and "
            "export MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD where the workers start"
        )


def require_no_secrets(project: Mapping[str, Any], environment: Mapping[str, str]) -> None:
    """Refuse parameters of a deployment that are addresses with a password or key: Prefect's pages show them.

    Raises:
        ConfigError: There is one.
    """
    from prefect.utilities.templating import find_placeholders

    for deployment in project["deployments"]:
        for name, value in leaves(deployment.get("parameters", {})):
            address = str(value)
            for placeholder in find_placeholders(address):
                address = address.replace(placeholder.full_match, environment.get(placeholder.name.lstrip("$"), ""))
            if holds_secret(address):
                raise ConfigError(
                    f"{_PROJECT}: deployment {deployment['name']!r}: {name} holds a password or key, which Prefect's "
                    "pages would show; leave it to the store's own configuration where the workers start, or put it "
                    "into a Prefect Secret block that the deployment's environment names (docs/operating.md)"
                )


def _local_server(environment: dict[str, str]) -> str:
    """Return the address of the server on this machine; start one if none answers."""
    url = local_url()
    if connection_error(url) is None:
        return url
    # Not `--background`: that server answers 500 once it logs something, because nobody reads the pipe it
    # writes to. The two settings tell its pages the API's address; they assume the default port otherwise.
    settings = {"PREFECT_SERVER_UI_API_URL": url, "PREFECT_UI_URL": url.removesuffix("/api")}
    home = prefect_home()
    _print_command(f"prefect server start >{home}/server.log 2>&1 &")
    server = start_in_background(home, environment=environment | settings)
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and server.poll() is None and connection_error(url) is not None:
        time.sleep(0.5)
    require_answer(url, remedy=f"its log is {home}/server.log")
    return url


def _prefect(*arguments: str, environment: Mapping[str, str]) -> None:
    _print_command(f"prefect {shlex.join(arguments)}")
    done = subprocess.run([sys.executable, "-m", "prefect", *arguments], env=environment)  # noqa: S603 - ours
    if done.returncode:
        raise CFModelError(f"`prefect {shlex.join(arguments)}` failed; see its output above")


def _print_command(command: str) -> None:
    print(f"\n$ {command}", flush=True)


def _next_steps(url: str, store: str, names: list[str]) -> str:
    pages = url.removesuffix("/api")
    workers = "\n".join(f"  make worker POOL={name}{' CARD=0' if name == 'gpu' else ''}" for name in names)
    return (
        f"\nDeployed to {pages}, recording in {store}.\nStart each worker in a terminal of its own:\n{workers}\n"
        "Stop a server that was started here with: .venv/bin/prefect server stop"
    )


if __name__ == "__main__":
    main()
