"""`cfmodel find-lr`: run a learning-rate range test, draw it, and train at a few rates."""

import math
import time
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.text import Text

from cfmodel.commands.printing import print_line
from cfmodel.config import PipelineSettings
from cfmodel.data.ingest.ingest import ingest
from cfmodel.data.ingest.look import look
from cfmodel.data.reading.read_as import lines_of
from cfmodel.data.splitting.parts import load_part, load_vocabularies
from cfmodel.data.splitting.split import split
from cfmodel.gradients.lesson.braille_chart import Mark, axis_labels, draw_curve
from cfmodel.plots import plots
from cfmodel.refs import SplitRef
from cfmodel.training.planning.devices import limit_threads, resolve_device
from cfmodel.training.planning.plan import TrainingPlan
from cfmodel.training.range_test import STEPS, RangeTest, RateTrial, best_trial, range_test, try_rates, zones_of

_WIDTH = 60


def find_learning_rate(source: str, settings: PipelineSettings, *, trainings: int, console: Console) -> float:
    """Run a range test on the training part of a source, draw it, train at a few rates, and return the best one.

    The source is ingested and split as in `cfmodel run`; earlier results are reused. The picture is written to
    `find-lr/` in the data folder.

    Raises:
        CFModelError: The source, a setting or the device is refused.
    """
    look(source, settings.ingest, settings.split)
    parts = _split(source, settings)
    if parts.data is not None:
        for line in lines_of(parts.data.read_as, parts.data.warnings):
            print_line(console, line)
    plan = _plan(parts, settings)
    found = _test(plan, console=console)
    picture = settings.runtime.data_dir / "find-lr" / f"{parts.digest[:12]}-seed{settings.train.seed}.png"
    picture.parent.mkdir(parents=True, exist_ok=True)
    picture.write_bytes(plots.png(plots.learning_rate_range(found, title=f"Learning-rate range test: {source}")))
    _print_test(found, picture, console=console)
    trials = _try(plan, found.suggestion, trainings, console=console)
    best = best_trial(trials).learning_rate if trials else found.suggestion
    console.print(f"Suggestion: learning_rate = {best:.2g}", highlight=False, style="bold")
    now = settings.train.learning_rate
    print_line(console, f"The setting train.learning_rate, {now:g}, is {found.zone_of(now)}.")
    print_line(console, f"Use it with: cfmodel run {source} --set train.learning_rate={best:.2g}")
    return best


def _print_test(found: RangeTest, picture: Path, *, console: Console) -> None:
    """Print the curve and its three zones."""
    console.print(Text(f"Learning-rate range test: {len(found.steps):,} steps", "bold"), soft_wrap=True)
    console.print()
    for line in chart(found):
        console.print(Text(line), soft_wrap=True)
    console.print()
    zones = (
        ("too low", f"below {found.too_low:.2g}", "slow training: the loss hardly moves", "blue"),
        ("just right", f"{found.too_low:.2g} to {found.too_high:.2g}", "steady improvement", "green"),
        ("too high", f"from {found.too_high:.2g}", "unstable training: the loss rises", "red"),
    )
    for name, rates, meaning, style in zones:
        console.print(Text(f"{name:<11}", style=style).append(f"{rates:<18}{meaning}", style="default"))
    console.print()
    print_line(console, f"Picture: {picture}")
    print_line(
        console, f"For the steps planned, a tenth of the rate with the lowest loss suggests {found.suggestion:.2g}."
    )
    console.print()


def _try(plan: TrainingPlan, first: float, most: int, *, console: Console) -> list[RateTrial]:
    """Train at a few rates and print each result."""
    if not most or plan.val is None or not len(plan.val):
        return []
    began, trials = time.perf_counter(), []
    console.print(Text("Trainings at nearby rates", "bold"))
    for trial in try_rates(replace(plan, monitor=None), first, most=most):
        digits = plan.scale.decimals
        line = f"  {trial.learning_rate:<10.2g}val RMSE {trial.val_rmse:.{digits}f}, best epoch {trial.best_epoch}"
        console.print(Text(line), highlight=False)
        trials.append(trial)
    seconds = time.perf_counter() - began
    console.print(Text(f"  {len(trials)} trainings took {seconds:.1f} s"), highlight=False)
    console.print()
    return trials


def chart(found: RangeTest) -> list[str]:
    """Draw the smoothed loss over the logarithm of the learning rate, and the zones below it."""
    rates = [math.log10(step.learning_rate) for step in found.steps]
    # The test ends at four times the first loss; drawn up to there, the rest would be a flat line.
    ceiling = 1.3 * found.steps[0].smoothed_loss
    losses = [min(step.smoothed_loss, ceiling) for step in found.steps]
    suggested = min(found.steps, key=lambda step: abs(step.learning_rate - found.suggestion))
    mark = Mark(math.log10(suggested.learning_rate), suggested.smoothed_loss, "●")
    lines = draw_curve(rates, losses, marks=[mark], width=_WIDTH)
    margin, left, right = len(lines[0]) - _WIDTH, rates[0], rates[-1]
    powers = [(power, f"{10.0**power:g}") for power in range(math.ceil(left), math.floor(right) + 1)]
    ticks = axis_labels(powers, left=left, right=right, margin=margin, width=_WIDTH)
    edges = [left, math.log10(found.too_low), math.log10(found.too_high), right]
    names = ("too low", "just right", "too high")
    columns = [round((edge - left) / (right - left) * _WIDTH) for edge in edges]
    strip = "".join(
        f"{f' {name} ' if len(name) + 2 <= end - start else '':{fill}^{end - start}}"
        for name, fill, start, end in zip(names, "░█▒", columns[:-1], columns[1:], strict=True)
    )
    title = "mean squared error on val; 1 is that of the mean rating"
    return [title, *lines, ticks, f"{'':{margin}}{strip}", f"{'':{margin}}{'learning_rate':^{_WIDTH}}".rstrip()]


def _split(source: str, settings: PipelineSettings) -> SplitRef:
    folder, tested = settings.runtime.data_dir, settings.split.test_source
    ratings = ingest(source, settings.ingest, folder=folder)
    held_out = ingest(tested, settings.ingest, folder=folder) if tested else None
    return split(ratings, settings.split, folder=folder, test=held_out)


def _plan(parts: SplitRef, settings: PipelineSettings) -> TrainingPlan:
    limit_threads(settings.runtime.threads)
    users, movies = load_vocabularies(parts)
    train, val = (load_part(parts, part, users=users, movies=movies) for part in ("train", "val"))
    device = resolve_device(settings.runtime.device)
    return TrainingPlan.of(
        train, val, num_users=len(users), num_movies=len(movies), settings=settings.train, device=device
    )


def _test(plan: TrainingPlan, *, console: Console) -> RangeTest:
    steps = range_test(plan)
    bar = track(steps, "range test", total=STEPS, console=console, transient=True, disable=not console.is_terminal)
    return zones_of(tuple(bar), plan)
