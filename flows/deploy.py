"""`make deploy`: everything in prefect.yaml on a Prefect server, saying each command it runs."""

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
from cfmodel.config import TrackingSettings
from cfmodel.errors import CFModelError, ConfigError
from cfmodel.system.addresses import holds_secret, leaves
from flows.api import configured_url, local_url, prefect_home, require_answer, trouble_with
from flows.server import start_in_background

PROJECT = Path("prefect.yaml")
STORE = "MLFLOW_TRACKING_URI"

_START_SECONDS = 300.0


def main() -> None:
    """Deploy, or end with the refusal's message and exit status 1."""
    try:
        deploy()
    except CFModelError as refusal:
        sys.exit(f"Error: {refusal}")


def deploy() -> None:
    """Check the environment, start a Prefect server if none is named, make the work pools, deploy everything.

    Raises:
        CFModelError: A variable is not set, a server does not answer, or a command failed.
    """
    project = yaml.safe_load(PROJECT.read_text(encoding="utf-8"))
    # Where the shell has no say in it, runs record in the store of `make run`.
    store = tracking.resolve_uri(TrackingSettings())
    environment = dict(os.environ) | {"PWD": str(Path.cwd()), STORE: store}
    require_variables(project, environment)
    require_no_password(store)
    require_no_secrets(project, environment)
    tracking.require_store(store, create=True)
    url = configured_url() or _local_server(environment)
    require_answer(url, remedy="start it, or unset PREFECT_API_URL and `make deploy` starts one")
    environment |= {"PREFECT_API_URL": url}
    for pool in pools(project):
        _prefect("work-pool", "create", pool, "--type", "process", "--overwrite", environment=environment)
    _prefect("--no-prompt", "deploy", "--all", environment=environment)
    print(_what_now(url, store, pools(project)))


def pools(project: Mapping[str, Any]) -> list[str]:
    """Return the work pools that a project's deployments name, in order."""
    return list(dict.fromkeys(deployment["work_pool"]["name"] for deployment in project["deployments"]))


def require_variables(project: Mapping[str, Any], environment: Mapping[str, str]) -> None:
    """Refuse a project that relies on environment variables that are not set.

    Prefect would put an empty string in the place of each, without a word.

    Raises:
        ConfigError: Some are unset or empty; the message names them all.
    """
    from prefect.utilities.templating import PlaceholderType, find_placeholders

    found = find_placeholders(dict(project))
    named = {each.name.lstrip("$") for each in found if each.type is PlaceholderType.ENV_VAR}
    if missing := sorted(name for name in named if not environment.get(name)):
        raise ConfigError(
            f"{PROJECT}: not set in this environment: {', '.join(missing)}; export what is missing, "
            "since Prefect would deploy an empty text in its place"
        )


def require_no_password(store: str) -> None:
    """Refuse the address of a store with a password in it: Prefect shows what is deployed to everybody.

    Raises:
        ConfigError: It has one.
    """
    if urlsplit(store).password is not None:
        raise ConfigError(
            f"{STORE} holds a password, which Prefect's pages would show; take it out of the address and "
            "export MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD where the workers start"
        )


def require_no_secrets(project: Mapping[str, Any], environment: Mapping[str, str]) -> None:
    """Refuse parameters of a deployment that are addresses with a password or key, as Prefect shows them to everybody.

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
                    f"{PROJECT}: deployment {deployment['name']!r}: {name} holds a password or key, which Prefect's "
                    "pages would show; leave it to the store's own configuration where the workers start, or put it "
                    "into a Prefect Secret block that the deployment's environment names (docs/operating.md)"
                )


def _local_server(environment: dict[str, str]) -> str:
    """Return the address of the server on this machine, started where none answers yet."""
    url = local_url()
    if trouble_with(url) is None:
        return url
    # Not `--background`: that server answers 500 once it has something to say, because nobody reads
    # the pipe it writes to. Its pages would look for the API on the default port, whichever it has.
    settings = {"PREFECT_SERVER_UI_API_URL": url, "PREFECT_UI_URL": url.removesuffix("/api")}
    home = prefect_home()
    _say(f"prefect server start >{home}/server.log 2>&1 &")
    server = start_in_background(home, environment=environment | settings)
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and server.poll() is None and trouble_with(url) is not None:
        time.sleep(0.5)
    require_answer(url, remedy=f"its log is {home}/server.log")
    return url


def _prefect(*arguments: str, environment: Mapping[str, str]) -> None:
    _say(f"prefect {shlex.join(arguments)}")
    done = subprocess.run([sys.executable, "-m", "prefect", *arguments], env=environment)  # noqa: S603 - ours
    if done.returncode:
        raise CFModelError(f"`prefect {shlex.join(arguments)}` failed; what it said is above")


def _say(command: str) -> None:
    print(f"\n$ {command}", flush=True)


def _what_now(url: str, store: str, names: list[str]) -> str:
    pages = url.removesuffix("/api")
    workers = "\n".join(f"  make worker POOL={name}{' CARD=0' if name == 'gpu' else ''}" for name in names)
    return (
        f"\nDeployed to {pages}, recording in {store}.\nServe it, each in a terminal of its own:\n{workers}\n"
        "Stop a server that was started here with: .venv/bin/prefect server stop"
    )


if __name__ == "__main__":
    main()
