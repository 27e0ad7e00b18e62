"""The plot of a data set's profile: numbers in, a matplotlib figure out."""

from datetime import UTC, datetime
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np

from cfmodel.data.ingest.profile import CountProfile, Profile, ProfileHistogram, RatingProfile, TimeProfile
from cfmodel.plots.plots import BLUE, GREEN, GREY, INK, ORANGE, new_figure, style_axes
from cfmodel.refs import DatasetRef, Drift

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def data_profile(profile: Profile, data: DatasetRef) -> "Figure":
    """Draw ratings, activity, popularity, time and what happened to the rows, on one page."""
    figure = new_figure(13, 8)
    figure.suptitle(_title(data), x=0.01, ha="left", fontsize=13, fontweight="bold", color=INK)
    (ratings, users, movies), (times, rows, words) = figure.subplots(2, 3)
    _ratings(ratings, profile.ratings)
    _curve(users, profile.users, "user", "Activity", BLUE)
    _curve(movies, profile.movies, "movie", "Popularity", GREEN)
    _times(times, profile.times)
    _rows(rows, profile)
    _words(words, profile, data.drift)
    return figure


def _title(data: DatasetRef) -> str:
    source = data.source if len(data.source) <= 60 else f"...{data.source[-57:]}"
    # matplotlib would read text between two `$` as a formula.
    return f"{source}: {data.rows:,} ratings".replace("$", r"\$")


def _ratings(axes: "Axes", ratings: RatingProfile) -> None:
    style_axes(axes, title="Ratings", xlabel="rating", ylabel="ratings")
    _bars(axes, ratings.histogram, width=ratings.step)
    axes.axvline(ratings.mean, color=ORANGE, linewidth=1.6)
    axes.margins(y=0.12)  # room for the label of the line
    place = (ratings.mean, 0.98)
    axes.annotate(f" mean {ratings.mean:.2f}", place, xycoords=("data", "axes fraction"), va="top", color=ORANGE)


def _curve(axes: "Axes", counts: CountProfile, of: str, title: str, colour: str) -> None:
    style_axes(axes, title=title, xlabel=f"{of}s, most ratings first", ylabel=f"ratings of a {of}")
    ranks, values = zip(*counts.curve, strict=True)
    axes.loglog(ranks, values, color=colour, linewidth=1.8, marker="o" if len(ranks) == 1 else None)
    axes.text(
        0.04,
        0.06,
        f"{counts.number:,} {of}s, median {counts.quantiles[2]:,.0f}\ntop 1 % have {counts.top_share:.0%} of all",
        transform=axes.transAxes,
        fontsize=9,
        color=INK,
    )


def _times(axes: "Axes", times: TimeProfile | None) -> None:
    style_axes(axes, title="Time", xlabel="year", ylabel="ratings")
    if times is None:
        axes.text(0.5, 0.5, "no timestamps", ha="center", transform=axes.transAxes, color=GREY)
        return
    year = 365.2425 * 86_400
    edges = tuple(1970 + edge / year for edge in times.histogram.edges)
    _bars(axes, ProfileHistogram(edges=edges, counts=times.histogram.counts), width=None)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.6g}")


def _bars(axes: "Axes", histogram: ProfileHistogram, *, width: float | None) -> None:
    edges, counts = np.array(histogram.edges), np.array(histogram.counts)
    if len(edges) > len(counts):
        axes.bar(edges[:-1], counts, np.diff(edges), align="edge", color=BLUE, alpha=0.7)
    else:
        axes.bar(edges, counts, 0.8 * (width or 1.0), color=BLUE, alpha=0.7)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")


def _rows(axes: "Axes", profile: Profile) -> None:
    """Show what happened to the rows, on a scale where one row is visible beside millions."""
    accounts = profile.accounts
    ways = {"kept": accounts.kept, "merged": accounts.merged, "not rated": accounts.unrated}
    ways |= {fill(f"set aside: {reason}", 20): count for reason, count in sorted(profile.quarantined_by_reason.items())}
    style_axes(axes, title="What became of the rows", xlabel="rows")
    colours = [BLUE, BLUE, BLUE, *[ORANGE] * len(profile.quarantined_by_reason)]
    axes.barh(list(ways), list(ways.values()), color=colours, alpha=0.7)
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xlim(0, 30 * max(1, accounts.rows_in))
    axes.invert_yaxis()
    for place, count in enumerate(ways.values()):
        axes.annotate(f" {count:,}", (count, place), va="center", fontsize=9, color=INK)


def _words(axes: "Axes", profile: Profile, drift: Drift | None) -> None:
    axes.set_axis_off()
    ratings, times = profile.ratings, profile.times
    step = "" if ratings.step is None else f" in steps of {ratings.step:g}"
    lines = [
        f"scale {ratings.low:g} to {ratings.high:g}{step}",
        f"standard deviation {ratings.std:.3f}",
        f"density {profile.density:.3%}",
        *([] if times is None else [f"from {_day(times.first)} to {_day(times.last)}"]),
        "",
        "compared with the previous run:",
        *(["  nothing to compare with"] if drift is None else _drift(drift)),
    ]
    axes.text(0, 0.95, "\n".join(lines), va="top", fontsize=11, linespacing=1.6, color=INK)


def _drift(drift: Drift) -> list[str]:
    return [
        f"  ratings {drift.volume_change:+.1%}",
        f"  mean {drift.mean_shift:+.3f} standard deviations",
        f"  new users {drift.new_user_share:.1%}, new movies {drift.new_movie_share:.1%}",
    ]


def _day(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"
