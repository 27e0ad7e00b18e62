"""The `cfmodel` command."""

import atexit
import gc
import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cfmodel import __version__
from cfmodel.errors import CFModelError

if TYPE_CHECKING:
    from cfmodel.config import PipelineSettings

# Whatever is heavy (torch, mlflow, prefect, pandas) is imported by the command that needs it.


class _Command(click.Group):
    """A group whose commands end a refusal with its message and exit status 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except CFModelError as refusal:
            raise click.ClickException(str(refusal)) from None


def _with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say its settings, and the settings they make as `settings`."""

    @click.option("--config", type=click.Path(path_type=Path), help="TOML file with a table per section of settings.")
    @click.option("--set", "overrides", multiple=True, metavar="NAME=VALUE", help="One setting, as train.epochs=5.")
    @wraps(command)
    def with_settings(config: Path | None, overrides: tuple[str, ...], **arguments: Any) -> None:
        from cfmodel.commands.overrides import read_overrides
        from cfmodel.config import PipelineSettings

        settings: PipelineSettings = PipelineSettings.read(config, overrides=read_overrides(overrides))
        command(settings=settings, **arguments)

    return with_settings


@click.group(cls=_Command, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="cfmodel")
def main() -> None:
    """Turn a table of ratings into a tracked recommender, and see what the gradients did."""
    _prepare_environment()
    # What is left at the end goes with the process; to look all of torch, Prefect and MLflow through for garbage
    # first, as Python does, took two seconds.
    atexit.register(gc.freeze)


@main.command()
@click.argument("source", required=False)
@click.option("--resume", metavar="RUN", help="Id or name of an unfinished run to go on with, as it was begun.")
@_with_settings
def run(source: str | None, resume: str | None, settings: "PipelineSettings") -> None:
    """Ingest SOURCE, split it, train a model and evaluate it, as one MLflow run.

    SOURCE is `synthetic` (the default; `synthetic:users=500,movies=200,ratings=20000` for another
    size), a file, folder or glob of ratings, or a public set by name: ml-100k, ml-latest-small,
    ml-1m, ml-10m, ml-20m, ml-25m, ml-32m.

    A run whose process was killed is gone on with by the next start with the same ratings, settings
    and code; one that was stopped by Ctrl+C or cancelled, with --resume.
    """
    from rich.console import Console

    from cfmodel.commands.run import run as run_here

    run_here(source, settings, console=Console(), resume=resume)


@main.command()
@_with_settings
def sync(settings: "PipelineSettings") -> None:
    """Send to MLflow what runs recorded while it was away.

    Such records wait in the folder `spool` of the folder for data; a run that ends before MLflow is
    back says so. What was sent already is not there twice.
    """
    from rich.console import Console

    from cfmodel.commands.sync import sync as sync_here

    sync_here(settings, console=Console())


@main.command()
@click.option("--port", default=5000, show_default=True, help="Port on this machine.")
@_with_settings
def ui(port: int, settings: "PipelineSettings") -> None:
    """Open MLflow on the store that `cfmodel run` writes to."""
    from cfmodel.commands.ui import serve

    serve(settings.tracking, port=port)


@main.command()
@click.option("--version", metavar="VERSION", help="Number or alias of a version; by default the challenger.")
@click.option("--run", metavar="RUN", help="A finished run whose model is no version yet: it is made one first.")
@_with_settings
def promote(version: str | None, run: str | None, settings: "PipelineSettings") -> None:
    """Make the challenger the champion, if it is better.

    Both predict the same ratings, which neither learned from. The challenger must err less than the
    champion and than damped biases, by the whole of a bootstrap interval over users, and its
    training must have no health verdict of severity error.
    """
    from rich.console import Console

    from cfmodel.commands.promote import promote_version

    promote_version(settings, version=version, run=run, console=Console())


@main.command()
@click.option("--to", metavar="VERSION", help="Number or alias; by default the champion before this one.")
@_with_settings
def rollback(to: str | None, settings: "PipelineSettings") -> None:
    """Make an earlier version of the model the champion again."""
    from rich.console import Console

    from cfmodel.commands.promote import roll_back

    roll_back(settings, to=to, console=Console())


@main.command()
@click.option("--user", "user_id", metavar="ID", help="A user the model was trained on.")
@click.option("--rated", multiple=True, metavar="MOVIE=STARS", help="A rating of somebody new; once or more.")
@click.option("--model", metavar="MODEL", help="Version, alias, or run; by default the champion.")
@_with_settings
def recommend(user_id: str | None, rated: tuple[str, ...], model: str | None, settings: "PipelineSettings") -> None:
    """Print the movies a user has not seen and would like best.

    A user the model was not trained on is told by ratings: --rated 42=5 --rated 17=2.5.
    """
    from rich.console import Console

    from cfmodel.commands.recommend import recommend as recommend_here

    recommend_here(settings, user_id=user_id, rated=rated, model=model, console=Console())


@main.command()
@click.option("--movie", "movie_id", required=True, metavar="ID", help="A movie the model was trained on.")
@click.option("--model", metavar="MODEL", help="Version, alias, or run; by default the champion.")
@_with_settings
def similar(movie_id: str, model: str | None, settings: "PipelineSettings") -> None:
    """Print the movies most like one, by the taste they appeal to."""
    from rich.console import Console

    from cfmodel.commands.recommend import show_similar

    show_similar(settings, movie_id=movie_id, model=model, console=Console())


@main.command("settings")
def list_settings() -> None:
    """List every setting with its default and what it means, as a TOML file to start from."""
    from cfmodel.reference import settings_toml

    click.echo(settings_toml(), nl=False)


@main.command()
@click.option("--run", "run_id", help="Id or name of a run; by default the newest that finished.")
@click.option("--user", "user_id", metavar="ID", help="User of the rating to explain; with --movie.")
@click.option("--movie", "movie_id", metavar="ID", help="Movie of the rating to explain; with --user.")
@_with_settings
def explain(run_id: str | None, user_id: str | None, movie_id: str | None, settings: "PipelineSettings") -> None:
    """Explain gradients with a run's own numbers, for one real rating.

    Without --user and --movie it is the typical rating of the training part: the one whose absolute
    error is the median.
    """
    from rich.console import Console

    from cfmodel.commands.explain import explain_run

    explain_run(settings, run=run_id, user_id=user_id, movie_id=movie_id, console=Console())


@main.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN RUN [RUN...]")
@_with_settings
def compare(runs: tuple[str, ...], settings: "PipelineSettings") -> None:
    """Compare runs: settings, metrics, learning curves and gradients, as a page in MLflow.

    RUN is the id of a run, a start of it that no other shares, or a name; the first is the base
    that the others are held against.
    """
    from rich.console import Console

    from cfmodel.commands.compare import compare as compare_runs

    compare_runs(settings.tracking, runs, console=Console())


@main.command()
@click.option("--limit", default=10, show_default=True, type=click.IntRange(1, 1000), help="How many, newest first.")
@_with_settings
def runs(limit: int, settings: "PipelineSettings") -> None:
    """List the newest runs: how each ended, its error beside the floor, its health, and which is champion."""
    from rich.console import Console

    from cfmodel.commands.runs import list_runs

    list_runs(settings.tracking, limit=limit, console=Console())


@main.command()
@click.option("--yes", "remove", is_flag=True, help="Remove what is listed; without it nothing goes.")
@_with_settings
def clean(remove: bool, settings: "PipelineSettings") -> None:
    """Remove old data, models, recommendations, runs and versions, by the settings under `keep`.

    What the champion, the challenger or a run under way needs stays in any case.
    """
    from rich.console import Console

    from cfmodel.commands.clean import clean as clean_up

    clean_up(settings, remove=remove, console=Console())


@main.command("find-lr")
@click.argument("source", default="synthetic")
@_with_settings
def find_lr(source: str, settings: "PipelineSettings") -> None:
    """Find a learning rate for SOURCE: let it rise from too low to too high and watch the loss."""
    from rich.console import Console

    from cfmodel.commands.find_lr import find_learning_rate

    find_learning_rate(source, settings, console=Console())


def _prepare_environment() -> None:
    """Turn usage reporting off and let idle threads sleep, unless the environment says otherwise."""
    # On cores that others use too, threads that wait by spinning made training ten times slower; a
    # short spin keeps the pace on free ones.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    # Prefect takes yes, 1 and true for true; MLflow the word alone.
    quiet = os.environ["DO_NOT_TRACK"].lower() not in {"false", "0", "no", ""}
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", str(quiet).lower())
