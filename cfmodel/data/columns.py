"""Which column of a source says who, what, how many stars and when."""

from collections.abc import Sequence

from cfmodel.config import ColumnNames
from cfmodel.errors import DataError
from cfmodel.schema import MOVIE_ID, RATING, TIMESTAMP, USER_ID

#: Names that map by themselves, in the order in which they are preferred; case, blanks and
#: punctuation do not matter, so `userId`, `user_id` and `User-ID` are one name.
_WELL_KNOWN_TEXT = {
    USER_ID: (
        "userid user uid reviewerid reviewer customerid customer memberid member visitorid accountid raterid "
        "username userkey reviewername"
    ),
    MOVIE_ID: (
        "movieid movie itemid item iid filmid film bookid book isbn asin parentasin productid product "
        "businessid artistid trackid songid animeid gameid recipeid jokeid articleid contentid sku"
    ),
    RATING: "rating ratings score stars star overall starrating bookrating userrating reviewscore ratingvalue",
    TIMESTAMP: "timestamp ratingtimestamp unixreviewtime unixtime time ts datetime date createdat ratedat reviewtime",
}
WELL_KNOWN = {role: names.split() for role, names in _WELL_KNOWN_TEXT.items()}
ROLES = tuple(WELL_KNOWN)


def map_named(names: Sequence[str], wanted: ColumnNames, *, file: str) -> dict[str, int]:
    """Find the place of each role among named columns.

    Args:
        names: The source's own column names, in order.
        wanted: What the caller calls them; None where they are recognised, empty for a timestamp
            that is to be left out.
        file: The file's name, for the refusals.

    Returns:
        Role to 0-based column; without a timestamp where there is none.

    Raises:
        DataError: A column is not there, or one column would play two roles.
    """
    places = {role: _place(role, names, getattr(wanted, role), file) for role in ROLES}
    found = {role: place for role, place in places.items() if place is not None}
    missing = [role for role in ROLES if role not in found and role != TIMESTAMP]
    if missing:
        raise DataError(
            f"{file}: no column is recognised as {' and '.join(missing)}; it has {_listed(names)}; "
            f"name yours in {', '.join(f'ingest.columns.{role}' for role in missing)}"
        )
    return _distinct(found, file)


def map_numbered(count: int, wanted: ColumnNames, *, file: str) -> dict[str, int]:
    """Find the place of each role where columns have no names: user, movie, rating, timestamp.

    Args:
        count: Number of columns.
        wanted: 1-based column numbers as text where the order is another.
        file: The file's name, for the refusals.

    Raises:
        DataError: A column is not there, or one column would play two roles.
    """
    places = {}
    for usual, role in enumerate(ROLES):
        given = getattr(wanted, role)
        if given == "" and role == TIMESTAMP:
            continue
        if given is not None and not (given.isdecimal() and 1 <= int(given) <= count):
            raise DataError(
                f"{file}: ingest.columns.{role} is {given!r}, but the file has no header row; "
                f"give the column's number, 1 to {count} (or set ingest.header = true)"
            )
        place = usual if given is None else int(given) - 1
        if place < count:
            places[role] = place
    # A fourth column that another role was given is no timestamp.
    if wanted.timestamp is None and any(places[role] == places.get(TIMESTAMP) for role in (USER_ID, MOVIE_ID, RATING)):
        del places[TIMESTAMP]
    return _distinct(places, file)


def is_header(first_row: Sequence[str], wanted: ColumnNames) -> bool:
    """Tell whether a first row names the columns: its names are known, or its rating is no number and no other is.

    A first row with a bad rating and good ids is a bad row, and is refused as one.
    """
    given = [name for name in (wanted.user_id, wanted.movie_id, wanted.rating) if name]
    if any(name in first_row and not name.isdecimal() for name in given):
        return True
    if all(any(_plain(name) in WELL_KNOWN[role] for name in first_row) for role in (USER_ID, MOVIE_ID, RATING)):
        return True
    place = int(wanted.rating) - 1 if wanted.rating and wanted.rating.isdecimal() else 2
    return place < len(first_row) and not any(_is_number(field) for field in first_row)


def _place(role: str, names: Sequence[str], given: str | None, file: str) -> int | None:
    if given == "" and role == TIMESTAMP:
        return None
    if given is not None:
        if given not in names:
            raise DataError(f"{file}: ingest.columns.{role} is {given!r}; the file has {_listed(names)}")
        return names.index(given)
    plain = [_plain(name) for name in names]
    return next((plain.index(known) for known in WELL_KNOWN[role] if known in plain), None)


def _distinct(places: dict[str, int], file: str) -> dict[str, int]:
    for role, place in places.items():
        other = next(name for name, at in places.items() if at == place)
        if other != role:
            raise DataError(f"{file}: column {place + 1} would be both {other} and {role}; name each in ingest.columns")
    return places


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:12])
    return f"{len(names):,} columns: {shown}{', ...' if len(names) > 12 else ''}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
