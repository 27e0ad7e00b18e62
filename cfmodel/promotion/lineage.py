"""Whether a champion and a challenger learned from one catalogue: from the ids they share, and what those ids mean."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cfmodel.data.vocabulary import Vocabulary
from cfmodel.model import SideRows
from cfmodel.recommending.rated import SeenMovies
from cfmodel.recommending.recommender import Recommender
from cfmodel.tables import Side

#: Least share of the smaller side's ids, users or movies, that the other must have. From one night to the next a source
#: keeps nearly all, and any sample of it has all of its own. A tenth leaves room for a champion that stays for a year.
LEAST_IDS = 0.1
#: Least share of the smaller side's ratings in the other, beyond what chance gives: 1 for ratings that grew or were
#: sampled, the sampled share for two samples, 0 for sources whose ids are only equal. Measured on halves and tenths of
#: ML-100K, ML-latest-small and ML-1M: 0.10 and more; on one against another and with ids dealt anew: 0.01 and less.
LEAST_PAIRS = 0.05
#: Where ratings cannot tell, because none is old enough to be in both or everybody rated everything: least correlation
#: of what the two models learned about the ids they share. Ids that mean others agree by chance alone.
LEAST_AGREEMENT = 0.2
#: Share of all ratings that chance puts in both from which on they tell nothing.
_BY_CHANCE = 0.8
#: Users whose ratings are compared: enough for either share to a hundredth, in little memory.
_MOST_USERS = 5000
#: Titles that both catalogues have, from which on they tell.
_FEWEST_TITLES = 10

_Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Common:
    """The ids of one side that both models have: their rows in each, in the same order."""

    share: float  #: of the ids of the side with fewer
    champion: _Indices
    challenger: _Indices

    @classmethod
    def of(cls, champion: Vocabulary, challenger: Vocabulary) -> "_Common":
        place = challenger.encode(champion.ids)
        mine = np.flatnonzero(place >= 0)
        return cls(len(mine) / min(len(champion), len(challenger)), mine, place[mine].astype(np.int64))


def other_lineage(
    challenger: Recommender,
    champion: Recommender,
    *,
    titles: tuple[Mapping[str, str], Mapping[str, str]] = ({}, {}),
) -> str | None:
    """Return why two models are not of one catalogue; None if they are, or if nothing tells.

    Args:
        titles: Titles by movie id, as they were for the challenger and for the champion.
    """
    users, movies = _Common.of(champion.users, challenger.users), _Common.of(champion.movies, challenger.movies)
    for name, common in (("users", users), ("movies", movies)):
        if common.share < LEAST_IDS:
            return (
                f"it shares {common.share:.0%} of the {name} with the champion ({len(common.champion):,} ids; "
                f"{LEAST_IDS:.0%} make a catalogue the same)"
            )
    share = _shared_ratings(challenger, champion, users, movies)
    if share is not None and share >= LEAST_PAIRS:
        return None
    found = "" if share is None else f"it shares {max(0.0, share):.0%} of the ratings with the champion, and "
    if renamed := _other_titles(*titles):
        return f"{found}its ids mean other movies: {renamed}"
    for side, common in (("user", users), ("movie", movies)):
        agreement = _agreement(challenger, champion, side, common)  # type: ignore[arg-type]
        if agreement is not None and agreement < max(LEAST_AGREEMENT, 3 / len(common.champion) ** 0.5):
            return (
                f"{found}its {side} ids mean others: what the two models learned about the "
                f"{len(common.champion):,} {side}s of the same ids does not agree (correlation {agreement:.2f})"
            )
    return None


def _shared_ratings(challenger: Recommender, champion: Recommender, users: _Common, movies: _Common) -> float | None:
    """Return which share of (user, movie) pairs both have rated, beyond chance; None if that tells nothing.

        (both - chance - 5 sqrt(chance)) / (fewer - chance),    chance = sum(a_u b_u) sum(a_m b_m) / (N_a N_b)

    over the ids in common, with a and b the two sides' ratings of each user and movie: the expected number if both drew
    their pairs by themselves, each with its own activities and popularities. Five standard deviations of that number
    are left out, so that a few hundred ratings show nothing by luck.
    """
    if challenger.history is None or champion.history is None:
        return None
    chosen = np.unique(np.linspace(0, len(users.champion) - 1, _MOST_USERS).astype(np.int64))
    place = np.full(len(champion.movies), -1, np.int64)
    place[movies.champion] = np.arange(len(movies.champion))
    first = _pairs(champion.history.seen, users.champion[chosen], place)
    place = np.full(len(challenger.movies), -1, np.int64)
    place[movies.challenger] = np.arange(len(movies.challenger))
    second = _pairs(challenger.history.seen, users.challenger[chosen], place)
    fewer = min(len(first), len(second))
    if not fewer:
        return None
    width = len(movies.champion)
    counts = [
        np.bincount(ids, minlength=max(len(chosen), width))
        for pairs in (first, second)
        for ids in np.divmod(pairs, width)
    ]
    chance = float(counts[0] @ counts[2]) * float(counts[1] @ counts[3]) / (len(first) * len(second))
    if chance > _BY_CHANCE * fewer:
        return None
    both = len(np.intersect1d(first, second, assume_unique=True))
    share: float = (both - chance - 5 * chance**0.5) / (fewer - chance)
    return share


def _pairs(seen: SeenMovies, users: _Indices, place: _Indices) -> _Indices:
    """Return the keys `user * M + movie` of some users' ratings of movies in common, M of them."""
    position, movie = seen.cells(users)
    movies = place[movie]
    width = int(place.max(initial=-1)) + 1
    keys: _Indices = (position * width + movies)[movies >= 0]
    return keys


def _agreement(challenger: Recommender, champion: Recommender, side: Side, common: _Common) -> float | None:
    """Return how the offsets of ids in common correlate, each with its own side's; None where they do not vary."""
    rows: list[SideRows] = [model.model.side_rows(side) for model in (champion, challenger)]
    offsets = [each.offset.cpu().double().numpy() for each in rows]
    pair = offsets[0][common.champion], offsets[1][common.challenger]
    if len(common.champion) < 3 or min(values.std() for values in pair) == 0:
        return None
    return float(np.corrcoef(*pair)[0, 1])


def _other_titles(challenger: Mapping[str, str], champion: Mapping[str, str]) -> str | None:
    """Return a movie whose title is another now, if most are; None if most are the same or too few have one."""
    common = [id for id in champion if id in challenger]
    other = [id for id in common if champion[id] != challenger[id]]
    if len(common) < _FEWEST_TITLES or 2 * len(other) <= len(common):
        return None
    return f"{other[0]} was {champion[other[0]]!r} and is {challenger[other[0]]!r}"
