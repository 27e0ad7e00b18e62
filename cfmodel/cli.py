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
from cfmodel.system.homes import ensure_home
from cfmodel.system.last_net import unforeseen

if TYPE_CHECKING:
    from rich.console import Console

    from cfmodel.config import PipelineSettings

# Each command imports what is heavy (torch, mlflow, prefect, pandas) itself, so that `--help` is quick.


#: Commands of one source; a shell turns a pattern without quotes into several.
_OF_A_SOURCE = ("run", "find-lr")
_ONE_SOURCE = "Put a pattern in quotes, such as 'exports/*.csv', so that the shell does not replace it by the files."


class _Group(click.Group):
    """A group that prints an error of a command as one message and exits with status 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except CFModelError as refusal:
            raise click.ClickException(str(refusal)) from None
        except click.UsageError as usage:
            if usage.ctx is None or usage.ctx.info_name not in _OF_A_SOURCE or "extra argument" not in usage.message:
                raise
            raise click.UsageError(f"{usage.message}. {_ONE_SOURCE}", usage.ctx) from None
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError, EOFError):
            raise
        except Exception as error:
            raise click.ClickException(str(unforeseen(error))) from None


def _with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options --config and --set, and call it with `settings` made from them."""

    @click.option("--config", type=click.Path(path_type=Path), help="TOML file of settings, with a table per section.")
    @click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="NAME=VALUE",
        help="Change one setting, such as train.epochs=5; repeatable.",
    )
    @wraps(command)
    def with_settings(config: Path | None, overrides: tuple[str, ...], **arguments: Any) -> None:
        from cfmodel.commands.overrides import read_settings

        command(settings=read_settings(config, overrides, source=arguments.get("source")), **arguments)

    return with_settings


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="cfmodel")
def main() -> None:
    """Turn a table of ratings into a tracked recommender, and see what the gradients did."""
    _prepare_environment()
    # At exit Python would search all objects of torch, Prefect and MLflow for garbage, which took two seconds.
    atexit.register(gc.freeze)


@main.command()
@click.argument("source", required=False)
@click.option("--resume", metavar="RUN", help="Id or name of an unfinished run to resume, with its own settings.")
@_with_settings
def run(source: str | None, resume: str | None, settings: "PipelineSettings") -> None:
    """Run the whole pipeline on SOURCE, as one MLflow run.

    The pipeline ingests the ratings, splits them, trains a model, evaluates it, and promotes it if it is better than
    the champion.

    \b
    SOURCE is one of
      synthetic      generated ratings, the default; for another size:
                     synthetic:users=500,movies=200,ratings=20000
      a path         file, folder or glob of ratings, also in an object store
      a public set   ml-100k, ml-latest-small, ml-1m, ml-10m, ml-20m, ml-25m
                     or ml-32m

    After a crash, the next run with the same ratings, settings and code resumes the one that was killed. Resume a run
    that was stopped by Ctrl+C or cancelled with --resume.
    """
    from cfmodel.commands.run import run as run_here

    run_here(source, settings, console=_console(), resume=resume)


@main.command()
@_with_settings
def sync(settings: "PipelineSettings") -> None:
    """Send records to MLflow that runs could not deliver.

    While MLflow cannot be reached, the records of a run wait in the folder `spool` of the data folder. Nothing is
    recorded twice.
    """
    from cfmodel.commands.sync import sync as sync_here

    sync_here(settings, console=_console())


@main.command()
@click.option("--port", default=5000, show_default=True, help="Port on this machine.")
@_with_settings
def ui(port: int, settings: "PipelineSettings") -> None:
    """Open MLflow on the store that `cfmodel run` writes to."""
    from cfmodel.commands.ui import serve

    serve(settings.tracking, port=port)


@main.command()
@click.option("--version", metavar="VERSION", help="Number or alias of the version; by default the challenger.")
@click.option("--run", metavar="RUN", help="Finished run whose model is not registered yet; it is registered first.")
@_with_settings
def promote(version: str | None, run: str | None, settings: "PipelineSettings") -> None:
    """Make the challenger the champion, if it is better.

    Both models predict the same ratings, which neither was trained on. The challenger must have a lower RMSE than the
    champion and than damped biases, each by the whole of a bootstrap interval over users, and its training must have
    no health verdict of severity error.
    """
    from cfmodel.commands.promote import promote_version

    promote_version(settings, version=version, run=run, console=_console())


@main.command()
@click.option("--to", metavar="VERSION", help="Number or alias of the version; by default the previous champion.")
@_with_settings
def rollback(to: str | None, settings: "PipelineSettings") -> None:
    """Make an earlier version of the model the champion again."""
    from cfmodel.commands.promote import roll_back

    roll_back(settings, to=to, console=_console())


@main.command()
@click.option("--user", "user_id", metavar="ID", help="User the model was trained on.")
@click.option("--rated", multiple=True, metavar="MOVIE=STARS", help="A new user's rating; repeatable.")
@click.option("--model", metavar="MODEL", help="Version, alias or run; by default the champion.")
@_with_settings
def recommend(user_id: str | None, rated: tuple[str, ...], model: str | None, settings: "PipelineSettings") -> None:
    """Print the best movies for a user that they have not seen.

    For a user the model was not trained on, give some ratings: --rated 42=5 --rated 17=2.5
    """
    from cfmodel.commands.recommend import recommend as recommend_here

    recommend_here(settings, user_id=user_id, rated=rated, model=model, console=_console())


@main.command()
@click.option("--movie", "movie_id", required=True, metavar="ID", help="Movie the model was trained on.")
@click.option("--model", metavar="MODEL", help="Version, alias or run; by default the champion.")
@_with_settings
def similar(movie_id: str, model: str | None, settings: "PipelineSettings") -> None:
    """Print the movies most similar to one, by their taste vectors."""
    from cfmodel.commands.recommend import show_similar

    show_similar(settings, movie_id=movie_id, model=model, console=_console())


@main.command("settings")
def list_settings() -> None:
    """Print every setting with its default and meaning, as TOML.

    The output is a file to start from: change it, and give it to --config.
    """
    from cfmodel.reference import settings_toml

    click.echo(settings_toml(), nl=False)


@main.command()
@click.option("--run", "run_id", metavar="RUN", help="Id or name of a run; by default the newest finished one.")
@click.option("--user", "user_id", metavar="ID", help="User of the rating to explain; needs --movie.")
@click.option("--movie", "movie_id", metavar="ID", help="Movie of the rating to explain; needs --user.")
@_with_settings
def explain(run_id: str | None, user_id: str | None, movie_id: str | None, settings: "PipelineSettings") -> None:
    """Explain gradients on one real rating, with a run's own numbers.

    Without --user and --movie, a typical rating of the training part is explained: the one with the median absolute
    error.
    """
    from cfmodel.commands.explain import explain_run

    explain_run(settings, run=run_id, user_id=user_id, movie_id=movie_id, console=_console())


@main.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN RUN [RUN...]")
@_with_settings
def compare(runs: tuple[str, ...], settings: "PipelineSettings") -> None:
    """Compare runs, and record the comparison as a page in MLflow.

    The page shows settings, metrics, learning curves and gradients. RUN is the id of a run, its first characters, or
    its name. The other runs are compared with the first.
    """
    from cfmodel.commands.compare import print_comparison

    print_comparison(settings.tracking, runs, console=_console())


@main.command()
@click.option("--limit", default=10, show_default=True, type=click.IntRange(1, 1000), help="Most runs to list.")
@_with_settings
def runs(limit: int, settings: "PipelineSettings") -> None:
    """List the newest runs with status, errors and health.

    Columns: RMSE of the model and of damped biases on the test ratings, the health verdict, and whether the model is
    the champion or the challenger.
    """
    from cfmodel.commands.runs import list_runs

    list_runs(settings.tracking, limit=limit, console=_console())


@main.command()
@click.option("--yes", "remove", is_flag=True, help="Remove what is listed. Without it, nothing is removed.")
@_with_settings
def clean(remove: bool, settings: "PipelineSettings") -> None:
    """List or remove old data, models, runs and versions.

    The settings under `keep` decide what is old. What the champion, the challenger or a running run needs is always
    kept.
    """
    from cfmodel.commands.clean import clean as clean_up

    clean_up(settings, remove=remove, console=_console())


@main.command("find-lr")
@click.argument("source", default="synthetic")
@click.option(
    "--trainings",
    type=click.IntRange(0, 20),
    default=7,
    show_default=True,
    help="Most trainings to compare rates with; 0: the range test alone.",
)
@_with_settings
def find_lr(source: str, trainings: int, settings: "PipelineSettings") -> None:
    """Find a learning rate for SOURCE by a range test and trainings.

    The test raises the rate from too low to too high, and records the loss. Trainings at the rate it
    suggests, at its double and at its half then say which is best on the validation ratings. SOURCE is as
    for `cfmodel run`.
    """
    from cfmodel.commands.find_lr import find_learning_rate
    from cfmodel.system.homes import require_writable

    require_writable(settings.runtime.data_dir, setting="runtime.data_dir")
    find_learning_rate(source, settings, trainings=trainings, console=_console())


def _console() -> "Console":
    from rich.console import Console

    return Console()


def _prepare_environment() -> None:
    """Have a home folder, turn usage reporting off, let idle threads sleep, unless the environment sets otherwise."""
    if (said := ensure_home()) is not None:
        click.echo(f"Note: {said}", err=True)
    # Spinning threads made training ten times slower on cores that other processes use too. A short spin keeps the
    # speed on free cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    # Prefect accepts yes, 1 and true; MLflow only the word true.
    is_off = os.environ["DO_NOT_TRACK"].lower() not in {"false", "0", "no", ""}
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", str(is_off).lower())
