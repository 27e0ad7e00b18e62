"""The refusal of a split that leaves a part empty, with a remedy that can work on these ratings."""

import math

import numpy as np
import numpy.typing as npt

from cfmodel.config import SplitSettings
from cfmodel.data.splitting.assign_parts import PARTS, TEST
from cfmodel.data.splitting.ratings_table import RatingsTable
from cfmodel.errors import DataError

_Parts = npt.NDArray[np.int8]


def refuse_empty_part(ratings: RatingsTable, parts: _Parts, settings: SplitSettings) -> None:
    """Refuse a split that leaves train, val or test empty.

    Raises:
        DataError: A part is empty; the message says what would fill it.
    """
    for name, part in PARTS.items():
        if not (parts == part).any():
            raise DataError(
                f"split '{settings.strategy}' puts none of the {len(parts):,} ratings in {name}; "
                f"{_remedy(name, ratings, parts, settings)}"
            )


def _remedy(name: str, ratings: RatingsTable, parts: _Parts, settings: SplitSettings) -> str:
    if len(ratings) < len(PARTS):
        return "train, val and test need at least 3 ratings; give more"
    if settings.strategy == "per_user_latest":
        return _more_of_a_user(name, ratings, parts)
    if settings.strategy == "temporal" and ratings.timestamp is not None:
        times = len(np.unique(ratings.timestamp))
        if times < len(PARTS):
            found = "one time" if times == 1 else f"{times} different times"
            return f"the ratings have only {found}, and each part needs its own; set split.strategy = 'random'"
    if name == "train":
        of_test = "" if settings.strategy == "predefined" else "split.test_fraction or "
        return f"lower {of_test}split.val_fraction, or give more ratings"
    return f"raise split.{name}_fraction, or give more ratings"


def _more_of_a_user(name: str, ratings: RatingsTable, parts: _Parts) -> str:
    """Return which fraction gives the user with the most ratings one in the part."""
    counts = np.bincount(ratings.user_idx)
    most, wanted = int(counts.max()), len(PARTS)
    if most < wanted:
        some = "no user has two ratings" if most < 2 else "no user has three ratings, one for each part"
        return f"{some}; set split.strategy = 'random' or 'temporal'"
    left = most - (int((parts == TEST)[ratings.user_idx == counts.argmax()].sum()) if name == "val" else 0)
    if left < 2:
        return f"lower split.test_fraction, which leaves the user with the most ratings, {most:,}, only one"
    fraction = math.ceil(500 / left) / 1000  # half a rating is rounded up to one
    return f"raise split.{name}_fraction to {fraction:g}, since the user with the most ratings has {most:,}"
