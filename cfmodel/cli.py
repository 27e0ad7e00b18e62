"""The `cfmodel` command."""

import os
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cfmodel import __version__
from cfmodel.errors import CFModelError, ConfigError

if TYPE_CHECKING:
    from cfmodel.config import PipelineSettings
    from cfmodel.refs import RunRef

# Whatever is heavy (torch, mlflow, prefect, pandas) is imported by the command that needs it.


class _Command(click.Group):
    """A group whose commands end a refusal with its message and exit status 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except CFModelError as refusal:
            raise click.ClickException(str(refusal)) from None


@click.group(cls=_Command, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="cfmodel")
def main() -> None:
    """Turn a table of ratings into a tracked recommender."""
    _prepare_environment()


@main.command()
@click.argument("source", default="synthetic")
@click.option("--config", type=click.Path(path_type=Path), help="TOML file with a table per section of settings.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="One setting, such as train.epochs=5.")
def run(source: str, config: Path | None, settings: tuple[str, ...]) -> None:
    """Ingest SOURCE, split it, train a model and evaluate it, as one MLflow run.

    SOURCE is `synthetic` (the default; `synthetic:users=500,movies=200,ratings=20000` for another
    size), a file, folder or glob of ratings, or a public set by name: ml-100k, ml-latest-small,
    ml-1m, ml-10m, ml-20m, ml-25m, ml-32m.
    """
    from rich.console import Console

    from cfmodel import terminal, tracking
    from cfmodel.config import PipelineSettings

    resolved = PipelineSettings.read(config, overrides=dict(map(_override, settings)))
    screen = terminal.Screen(Console())
    screen.begin(source, resolved)
    with terminal.showing(screen):
        finished = _run_pipeline(source, resolved)
    summary = tracking.read_run(finished.tracking_uri, finished.run_id)
    screen.result(summary.metrics, summary.tags)
    screen.say(f"MLflow: {tracking.experiment_url(finished)}")
    screen.say("Open it with: make ui")


@main.command()
@click.option("--port", default=5000, show_default=True, help="Port on this machine.")
@click.option("--config", type=click.Path(path_type=Path), help="TOML file with a table per section of settings.")
def ui(port: int, config: Path | None) -> None:
    """Open MLflow on the store that `cfmodel run` writes to."""
    from cfmodel import tracking
    from cfmodel.config import PipelineSettings

    settings = PipelineSettings.read(config).tracking
    click.echo(f"MLflow: {tracking.training_view(settings, port=port)}  (Ctrl+C stops it)")
    # One server process and no job runner: up in seconds, a quarter of the memory. Its log of every
    # request, and the warnings of the libraries inside it, are not for whoever opens a page.
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_LOGGING_LEVEL": "WARNING"}
    environment = os.environ | quiet | {"PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", tracking.resolve_uri(settings)]
    options = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--uvicorn-opts", "--log-level=warning"]
    os.execve(sys.executable, [*command, *options], environment)  # noqa: S606 - no shell


@main.command()
def settings() -> None:
    """List every setting with its default and what it means, as a TOML file to start from."""
    from cfmodel.reference import as_toml

    click.echo(as_toml(), nl=False)


def _prepare_environment() -> None:
    """Turn usage reporting off and let idle threads sleep, unless the environment says otherwise."""
    # On cores that others use too, threads that wait by spinning made training ten times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    # Prefect takes yes, 1 and true for true; MLflow the word alone.
    quiet = os.environ["DO_NOT_TRACK"].lower() not in {"false", "0", "no", ""}
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", str(quiet).lower())


def _override(text: str) -> tuple[str, Any]:
    """Read `name=value`; the value is TOML, or text where it is not."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ConfigError(f"--set {text}: expected NAME=VALUE, such as train.epochs=5")
    if value == "null":
        return name, None
    try:
        return name, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return name, value


def _run_pipeline(source: str, settings: "PipelineSettings") -> "RunRef":
    try:
        from flows.local import run_pipeline
    except ModuleNotFoundError as missing:
        if missing.name not in {"flows", "flows.local", "prefect"}:
            raise
        raise ConfigError(
            "`cfmodel run` runs the flows of a checkout, and there is none here: clone cfmodel and use `make run` in it"
        ) from None
    return run_pipeline(source, settings)
