"""The terminal of a run: a line per step and epoch, a progress bar, a table at the end."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from cfmodel import __version__
from cfmodel.config import PipelineSettings
from cfmodel.data.ingest.ingest import RowsRead
from cfmodel.data.reading.read_as import lines_of
from cfmodel.data.splitting.split import RowsSplit
from cfmodel.evaluation.metrics import EvaluationProgress
from cfmodel.promotion.decision import Decision
from cfmodel.recommending.score import UsersScored
from cfmodel.refs import DatasetRef, RunRef, SplitRef
from cfmodel.summaries.run_summary import accuracy_rows, step_seconds, training_summary
from cfmodel.system.decimals import rmse_text
from cfmodel.training.epoch_records import EpochRecord, StartRecord, StepProgress

#: Called at the end of a step with its result, its seconds and whether an earlier result was reused.
_Finish = Callable[[Any, float, bool], None]

#: Narrowest column of a table's gradient norm.
_NORM_WIDTH = 8


def describe(thing: Any) -> str | None:
    """Return one line of plain text for a record or a ref; None for those without a line."""
    match thing:
        case DatasetRef():
            return _data_line(thing)
        case SplitRef():
            dropped = f", {thing.dropped_rows:,} left out" if thing.dropped_rows else ""
            return f"{thing.train_rows:,} train, {thing.val_rows:,} val, {thing.test_rows:,} test{dropped}"
        case StartRecord():
            where = {"closed_form": "in closed form", "zero": "at zero"}[thing.bias_start]
            return f"start  biases {where}, val RMSE {rmse_text(thing.val_rmse)}"
        case EpochRecord():
            return _epoch_line(thing)
        case Decision():
            return f"{thing.model_name} version {thing.version} {thing.verdict}: {thing.reasons[0]}"
        case UsersScored():
            return f"{thing.users:,} users scored ({thing.fraction:.0%})"
    return None


def _data_line(data: DatasetRef) -> str:
    scale = f"from {data.rating_min:g} to {data.rating_max:g}"
    rows = data.accounts
    left_out = {
        "set aside": rows.quarantined,
        "merged": rows.merged,
        "not rated": rows.unrated,
        "repeated headers": rows.headers,
    }
    lost = "".join(f", {count:,} {what}" for what, count in left_out.items() if count)
    return f"{data.rows:,} ratings {scale} of {data.users:,} users and {data.movies:,} movies{lost}"


def epoch_header(tables: Iterable[str]) -> str:
    """Return the heading of the lines of epochs: a column for each table, its name on two lines."""
    columns = [(_norm_width(table), *table.rpartition("_")) for table in tables]
    upper = " ".join(f"{f'{first}{mark}':>{width}}" for width, first, mark, _ in columns)
    lower = " ".join(f"{last:>{width}}" for width, _, _, last in columns)
    return (
        f"{'':21}gradient norm before clipping, mean over steps\n"
        f"{'train':>15}{'val':>8} {upper}  ratings\n"
        f"{'epoch':>7}{'loss':>8}{'RMSE':>8} {lower}    per s"
    )


def _norm_width(table: str) -> int:
    return max(_NORM_WIDTH, *(len(part) + 1 for part in table.rsplit("_", 1)))


def _epoch_line(record: EpochRecord) -> str:
    val = "     -" if record.val_rmse is None else f"{rmse_text(record.val_rmse):>6}"
    norms = " ".join(f"{norm:{_norm_width(table)}.4f}" for table, norm in record.grad_norms.items())
    pace = _in_thousands(record.ratings_per_second)
    epoch = f"{record.epoch}/{record.epochs}"
    return f"{epoch:>7} {record.train_loss:7.4f}  {val} {norms} {pace:>8}{' best' if record.best else ''}"


def _table(first: str, *others: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(first)
    for other in others:
        table.add_column(other, justify="right")
    return table


def _number(value: float | None) -> str:
    return "" if value is None else rmse_text(value)


def _in_thousands(count: float) -> str:
    return f"{count / 1e6:.2f} M" if count >= 1e5 else f"{count / 1e3:.1f} k"


class SilentScreen:
    """Prints nothing, for workers and for callers of the library.

    Attributes:
        completed: The run that completed while this was the current screen; None if none has.
    """

    completed: RunRef | None = None

    def complete(self, run: RunRef) -> None:
        """Remember that a run is complete, even if Prefect does not know."""
        self.completed = run

    def print_line(self, text: str) -> None:
        """Print one line."""

    @contextmanager
    def step(self, name: str) -> Iterator[_Finish]:  # noqa: ARG002 - a screen's signature
        """Surround one step of a flow; call what is yielded when the step has ended."""
        yield lambda *_: None

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:  # noqa: ARG002 - a screen's signature
        """Surround a wait of a few seconds before the first step."""
        yield

    def show(self, record: Any) -> None:
        """Show one record of the current step."""


class Screen(SilentScreen):
    """Shows a run on a terminal; where output goes to a file, the same lines without bars."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = self._bars()
        self._bar = self._progress.add_task("", total=1.0)
        self._phase: str | None = None
        self._told: set[str] = set()

    def _bars(self) -> Progress:
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
        return Progress(
            *columns, TimeElapsedColumn(), console=self._console, transient=True, disable=not self._console.is_terminal
        )

    def begin(self, source: str, settings: PipelineSettings) -> None:
        """Print what is about to run."""
        split, seed = settings.split.strategy, settings.train.seed
        self.print_line(f"cfmodel {__version__}: {source}, {split} split, seed {seed}")

    def tell(self, read_as: str, warnings: Iterable[str]) -> None:
        """Print what a source was taken for, and what is worth a look; what was printed before is not repeated."""
        for line in lines_of(read_as, warnings):
            if line not in self._told:
                self._told.add(line)
                style = "yellow" if line.startswith("warning:") else None
                self._console.print(line, highlight=False, soft_wrap=True, markup=False, style=style)

    def result(self, metrics: Mapping[str, float], tags: Mapping[str, str]) -> None:
        """Print the test errors beside those of the baselines, the time of each step, and the health."""
        errors = _table("on the test ratings", "RMSE", "MAE")
        for row in accuracy_rows(metrics):
            errors.add_row(row["predictor"], _number(row["test RMSE"]), _number(row["test MAE"]))
        times = _table("step", "seconds", "")
        for name, seconds in step_seconds(metrics).items():
            times.add_row(name, f"{seconds:.1f}", "reused" if tags.get(f"step.{name}") == "reused" else "")
        for table in (errors, times):
            self._console.print()
            self._console.print(table)
        self.print_line(f"\nTrained {training_summary(metrics)}.")
        if "health.verdict" in tags:
            first = f": {tags['health.first']}" if "health.first" in tags else ""
            self.print_line(f"Gradients: {tags['health.verdict']}{first}")

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Show a spinner while something starts."""
        with self._console.status(what):
            yield

    def print_line(self, text: str) -> None:
        """Print one line."""
        self._console.print(text, highlight=False, soft_wrap=True, markup=False)

    @contextmanager
    def step(self, name: str) -> Iterator[_Finish]:
        """Show a bar while a step runs, and print one line when it is done."""
        self._progress, self._phase = self._bars(), None
        self._bar = self._progress.add_task(name, total=None)
        with self._progress:
            yield lambda result, seconds, reused: self._finished(name, result, seconds, reused)

    def show(self, record: Any) -> None:
        """Move the bar, and print the line of an epoch."""
        match record:
            case RowsRead() | RowsSplit():
                step = "ingest" if isinstance(record, RowsRead) else "split"
                self._move(f"{step}  {record.rows:,} ratings", record.fraction)
            case StepProgress():
                done = (record.epoch - 1 + record.fraction) / record.epochs
                self._move(f"{record.phase} epoch {record.epoch}/{record.epochs}", done)
            case EvaluationProgress():
                self._move(f"evaluate  {record.stage}", record.fraction)
            case StartRecord():
                self.print_line(f"train   {describe(record)}")
            case EpochRecord():
                self._epoch(record)

    def _move(self, description: str, fraction: float | None) -> None:
        total = None if fraction is None else 1.0
        self._progress.update(self._bar, description=description, completed=fraction, total=total)

    def _epoch(self, record: EpochRecord) -> None:
        if record.phase != self._phase:
            self._phase = record.phase
            if record.phase == "refit":
                self.print_line(
                    f"train   again on train and val together, for {record.epochs} epochs, the best number found"
                )
            self.print_line(epoch_header(record.grad_norms))
        self.print_line(_epoch_line(record))

    def _finished(self, name: str, result: Any, seconds: float, reused: bool) -> None:
        how = "reused" if reused else f"{seconds:.1f} s"
        self.print_line(f"{name:<12}{describe(result) or 'done'}  ({how})")
        if isinstance(result, DatasetRef):
            self.tell(result.read_as, result.warnings)


_current: ContextVar[SilentScreen] = ContextVar("screen", default=SilentScreen())  # noqa: B039 - holds only a run


def current_screen() -> SilentScreen:
    """Return the screen of the current command; a silent one if there is no command."""
    return _current.get()


@contextmanager
def use_screen(screen: SilentScreen) -> Iterator[None]:
    """Make a screen the current one for the length of a block."""
    token = _current.set(screen)
    try:
        yield
    finally:
        _current.reset(token)
