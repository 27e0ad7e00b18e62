"""A value at the end of the scale that may mean "not rated", such as 0 in Book-Crossing or -1 in lists of anime."""

from itertools import pairwise

from cfmodel.data.ingest.profile import RatingProfile

#: Values below the scale, and above it, that people write where there is no rating.
_BELOW, _ABOVE = (0.0, -1.0, -9.0, -99.0, -999.0), (99.0, 999.0, 9999.0)
#: Fewest other values on the scale: with fewer, as in likes and dislikes, no value stands apart.
_FEWEST_LEVELS = 4
#: Distance to the next value, in steps of the scale, or in widths of a scale without steps.
_APART_STEPS, _APART_WIDTHS = 1.5, 1.5
#: Share of the ratings, and times as many as at the next value: MovieTweetings has a few honest zeros of 10.
_SHARE, _TIMES = 0.02, 2.0
#: Share on a scale of 1 to 5, which has no 0.
_SHARE_OF_STARS = 0.01


def suspect_not_rated(ratings: RatingProfile) -> str | None:
    """Return a warning if a value at the end of the scale may mean "not rated"; None if none does."""
    for value, reason in (_suspect_below(ratings), _suspect_above(ratings)):
        if reason:
            return f"the rating {value:g} may mean 'not rated': {reason}; if it does: --set ingest.not_rated={value:g}"
    return None


def _suspect_below(ratings: RatingProfile) -> tuple[float, str]:
    value = ratings.low
    if value not in _BELOW:
        return value, ""
    levels, counts = ratings.histogram.edges, ratings.histogram.counts
    if ratings.low_end is not None:
        end, width = ratings.low_end, ratings.high - ratings.low_end.next
        share = end.count / sum(counts)
        apart = end.next - value > _APART_WIDTHS * width or (value < 0 <= end.next)
        return value, f"{share:.1%} of the ratings, and the next is {end.next:g}" if apart or share > 0.1 else ""
    if len(levels) - 1 < _FEWEST_LEVELS:
        return value, ""
    share = counts[0] / sum(counts)
    if levels[1] - value > _APART_STEPS * _step(levels[1:]) or value < 0 <= levels[1]:
        return value, f"it stands apart, the next is {levels[1]:g} ({share:.1%} of the ratings)"
    is_stars = levels == (0.0, 1.0, 2.0, 3.0, 4.0, 5.0)
    if share >= _SHARE and counts[0] >= _TIMES * counts[1]:
        return value, f"{share:.1%} of the ratings, and {counts[1] / sum(counts):.1%} are {levels[1]:g}"
    return value, f"{share:.1%} of the ratings, on a scale of 1 to 5" if is_stars and share >= _SHARE_OF_STARS else ""


def _suspect_above(ratings: RatingProfile) -> tuple[float, str]:
    value, levels, counts = ratings.high, ratings.histogram.edges, ratings.histogram.counts
    if value not in _ABOVE:
        return value, ""
    if ratings.high_end is not None:
        width, next_, count = ratings.high_end.next - ratings.low, ratings.high_end.next, ratings.high_end.count
    elif len(levels) - 1 >= _FEWEST_LEVELS:
        width, next_, count = levels[-2] - levels[0], levels[-2], counts[-1]
    else:
        return value, ""
    apart = value - next_ > _APART_WIDTHS * width
    return value, f"it stands apart, the next is {next_:g} ({count / sum(counts):.1%} of the ratings)" if apart else ""


def _step(levels: tuple[float, ...]) -> float:
    """Return the usual distance of neighbours on a scale."""
    distances = sorted(after - before for before, after in pairwise(levels))
    return distances[len(distances) // 2]
