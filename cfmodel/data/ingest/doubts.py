"""What about the ids, ratings and times of a source is worth a look: marks that spreadsheets and programs leave."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from cfmodel.data.ingest.profile import RatingProfile, TimeProfile

_FORMULA, _ROUNDED, _FLOAT = r'^=".*"$', r"^[0-9]([.,][0-9]+)?E\+[0-9]{1,3}$", r"^-?[0-9]+\.0+$"
#: Numbers that are years, or days since 1900 (from 1954 to 2064), if all of a column are.
_YEARS, _EXCEL_DAYS = (1900, 2100), (20_000, 60_000)
#: Fewest values below, most at the highest rating, and its distance in widths of the scale below, for a slip.
_LEVELS, _MOST_SLIPS, _WIDTHS = 4, 0.001, 1.5


def doubts_of_ids(ids: pa.StringArray, word: str) -> Iterator[str]:
    """Yield a warning for each kind of mark that makes one id two, or two one.

    Args:
        ids: The distinct ids.
        word: What they name, such as `movie`.
    """
    if (formula := _first(ids, _FORMULA)) is not None:
        yield f"the {word} {formula} is a formula of Excel; remove the = and the quotes, which are no part of it"
    if (rounded := _first(ids, _ROUNDED)) is not None:
        yield (
            f"the {word} {rounded} is a number that a spreadsheet shortened, so that several {word}s may have become "
            f"one; format that column as text before the numbers are in it, and export again"
        )
    floats = _matching(ids, _FLOAT)
    whole = pc.replace_substring_regex(floats, r"\.0+$", "")
    if len(twins := whole.filter(pc.is_in(whole, value_set=ids))):
        yield (
            f"the {word}s {twins[0]} and {twins[0]}.0 are two, and probably one whose column a program took for "
            f"fractions ({len(twins):,} such {word}s); write their ids as whole numbers (in pandas, astype('Int64'))"
        )


def doubt_of_times(times: TimeProfile) -> str | None:
    """Return a warning if the times are years or a spreadsheet's days, which were taken for seconds; else None."""
    for (low, high), meaning, remedy in (
        (_YEARS, "years", "write them as days, such as 2003-01-01"),
        (_EXCEL_DAYS, "a spreadsheet's days", "format that column as a date, YYYY-MM-DD hh:mm:ss, and export again"),
    ):
        if low <= times.first <= times.last < high:
            return (
                f"the times, {times.first} to {times.last}, are taken for seconds since 1970, and may be {meaning}: "
                f"their order is right, the moments are not; {remedy}"
            )
    return None


def doubt_of_scale(ratings: RatingProfile) -> str | None:
    """Return a warning if a rare rating is far above the scale, as 50 in place of 5.0; else None."""
    levels, counts = ratings.histogram.edges, ratings.histogram.counts
    if ratings.high_end is not None or len(levels) <= _LEVELS or len(counts) != len(levels):
        return None
    low, next_, high = levels[0], levels[-2], levels[-1]
    if counts[-1] > _MOST_SLIPS * sum(counts) or high - next_ <= _WIDTHS * (next_ - low):
        return None
    return (
        f"the rating {high:g} is far above the next, {next_:g}; if it is a slip, this finds it: "
        f"--set ingest.rating_range='[{low:g}, {next_:g}]'"
    )


def _matching(ids: pa.StringArray, pattern: str) -> pa.StringArray:
    return ids.filter(pc.match_substring_regex(ids, pattern))


def _first(ids: pa.StringArray, pattern: str) -> str | None:
    found = _matching(ids, pattern)
    return found[0].as_py()[:40] if len(found) else None
