"""The roles of columns: which one holds the user, the movie, the rating and the timestamp."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cfmodel.config import ColumnNames, IngestSettings
from cfmodel.errors import DataError
from cfmodel.schema import MOVIE_ID, RATING, TIMESTAMP, USER_ID

#: Column names that are recognised, in order of preference. Case, blanks and punctuation do not
#: matter: `userId`, `user_id` and `User-ID` are the same name.
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
_WELL_KNOWN = {role: names.split() for role, names in _WELL_KNOWN_TEXT.items()}
_ROLES = tuple(_WELL_KNOWN)


@dataclass(frozen=True)
class Columns:
    """The roles of a file's columns.

    Attributes:
        names: The columns' names; numbers from 1 if they have none.
        roles: Role to 0-based column. In the wide layout only `user_id`, or nothing if each row is a
            new user.
        movies: 0-based column to movie id, in the wide layout.
    """

    names: tuple[str, ...] = ()
    roles: Mapping[str, int] = field(default_factory=dict)
    movies: Mapping[int, str] = field(default_factory=dict)


def columns_of(names: Sequence[str] | int, settings: IngestSettings, *, file: str) -> Columns:
    """Find the role of each column of a file.

    Args:
        names: The columns' names, or how many there are if they have none.

    Raises:
        DataError: A column is missing, one column would have two roles, or its name is not valid UTF-8.
    """
    columns = _columns_of(names, settings, file)
    for name in (columns.names[place] for place in (*columns.roles.values(), *columns.movies)):
        # JSON can hold half of a surrogate pair, UTF-8 cannot.
        if name != name.encode(errors="ignore").decode():
            raise DataError(f"{file}: the name of column {name[:40]!r} is not UTF-8 text; rename the column")
    return columns


def _columns_of(names: Sequence[str] | int, settings: IngestSettings, file: str) -> Columns:
    known = tuple(names) if not isinstance(names, int) else tuple(str(place + 1) for place in range(names))
    if settings.layout == "wide":
        return _wide(known, settings.columns, isinstance(names, int), file)
    if isinstance(names, int):
        return Columns(known, _map_numbered(names, settings.columns, file=file))
    return Columns(known, _map_named(names, settings.columns, file=file))


def _wide(names: tuple[str, ...], wanted: ColumnNames, numbered: bool, file: str) -> Columns:
    user = None if wanted.user_id == "" else _place(USER_ID, names, wanted.user_id, file)
    if user is None and wanted.user_id is None:
        if numbered:
            raise DataError(
                f"{file}: the wide table has no header, so its user column is unknown; set ingest.columns.user_id to "
                f"the column's number, or to '' if each row is a new user"
            )
        user = 0
    if unknown := [name for name in wanted.ignored if name not in names]:
        raise DataError(
            f"{file}: ingest.columns.ignored names {unknown[0]!r}; the file has {_listed(names)}; name these"
        )
    movies = {at: name for at, name in enumerate(names) if at != user and name and name not in wanted.ignored}
    if len(set(movies.values())) < len(movies) or not movies:
        problem = "two columns of the same name" if movies else "no movie column"
        raise DataError(f"{file}: the wide table has {problem}; it has {_listed(names)}; correct its header")
    return Columns(names, {} if user is None else {USER_ID: user}, movies)


def _map_named(names: Sequence[str], wanted: ColumnNames, *, file: str) -> dict[str, int]:
    """Return role to 0-based column; without `timestamp` if there is none, or if its wanted name is empty."""
    places = {role: _place(role, names, getattr(wanted, role), file) for role in _ROLES}
    found = {role: place for role, place in places.items() if place is not None}
    missing = [role for role in _ROLES if role not in found and role != TIMESTAMP]
    if missing:
        raise DataError(
            f"{file}: no column is recognised as {' and '.join(missing)}; the file has {_listed(names)}; "
            f"set {', '.join(f'ingest.columns.{role}' for role in missing)}{_perhaps_wide(names)}"
            f"{_perhaps_one_person(missing)}"
        )
    return _distinct(found, file)


def _map_numbered(count: int, wanted: ColumnNames, *, file: str) -> dict[str, int]:
    """Return role to 0-based column for a file without a header; the usual order is user, movie, rating, timestamp.

    `wanted` has 1-based column numbers, as text, if the order is different.
    """
    places = {}
    for usual, role in enumerate(_ROLES):
        given = getattr(wanted, role)
        if given == "" and role == TIMESTAMP:
            continue
        if given is not None and not (given.isdecimal() and len(given) < 9 and 1 <= int(given) <= count):
            raise DataError(
                f"{file}: ingest.columns.{role} is {given!r}, but the file has no header row; "
                f"give the column's number, 1 to {count} (or set ingest.header = true)"
            )
        place = usual if given is None else int(given) - 1
        if place < count:
            places[role] = place
    # The fourth column is only the timestamp if the other three are the first three.
    if wanted.timestamp is None and {place for role, place in places.items() if role != TIMESTAMP} != {0, 1, 2}:
        places.pop(TIMESTAMP, None)
    return _distinct(places, file)


def is_header(first_row: Sequence[str], settings: IngestSettings) -> bool:
    """Return whether the first row is a header: it holds known names, or no number at all.

    A first row with a bad rating and numeric ids is a bad row, not a header.
    """
    wanted = settings.columns
    given = [name for name in (wanted.user_id, wanted.movie_id, wanted.rating) if name]
    if any(name in first_row and not name.isdecimal() for name in given):
        return True
    # A user's name alone, above numbers, is the header of a wide table: no user has that id.
    if any(_plain(name) in _WELL_KNOWN[USER_ID] for name in first_row):
        return True
    if settings.layout == "wide":
        return not all(_is_number(cell) or cell in settings.missing for cell in first_row[1:])
    if names_all_roles(first_row):
        return True
    place = int(wanted.rating[:9]) - 1 if wanted.rating and wanted.rating.isdecimal() else 2
    return place < len(first_row) and not any(_is_number(field) for field in first_row)


def names_all_roles(row: Sequence[str]) -> bool:
    """Return whether a row holds known names for the user, the movie and the rating column."""
    return all(any(_plain(name) in _WELL_KNOWN[role] for name in row) for role in (USER_ID, MOVIE_ID, RATING))


def _place(role: str, names: Sequence[str], given: str | None, file: str) -> int | None:
    if given == "" and role == TIMESTAMP:
        return None
    if given is not None:
        if given not in names:
            raise DataError(
                f"{file}: ingest.columns.{role} is {given!r}; the file has {_listed(names)}; set it to one of them"
            )
        return names.index(given)
    plain = [_plain(name) for name in names]
    return next((plain.index(known) for known in _WELL_KNOWN[role] if known in plain), None)


def _distinct(places: dict[str, int], file: str) -> dict[str, int]:
    for role, place in places.items():
        other = next(name for name, at in places.items() if at == place)
        if other != role:
            raise DataError(f"{file}: column {place + 1} would be both {other} and {role}; set both in ingest.columns")
    return places


def _plain(name: str) -> str:
    # RecBole writes a type behind the name (`user_id:token`), the SNAP reviews a table before it (`review/userId`).
    own = re.sub(r":(token|float)(_seq)?$", "", name.rpartition("/")[2])
    return "".join(letter for letter in own.casefold() if letter.isalnum())


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name[:40]) for name in names[:12])
    return f"{len(names):,} columns: {shown}{', ...' if len(names) > 12 else ''}"


def _perhaps_wide(names: Sequence[str]) -> str:
    return (
        "; if each column is a movie, set ingest.layout = 'wide'"
        if len(names) > 8 or any(map(_is_number, names))
        else ""
    )


def _may_be_wide(names: Sequence[str]) -> bool:
    return len(names) > 8 or any(map(_is_number, names))


def _perhaps_one_person(missing: Sequence[str]) -> str:
    if USER_ID not in missing:
        return ""
    return (
        "; if no column holds users, this is one person's export (Letterboxd, IMDb, Goodreads), which is no table of "
        "ratings by many: add a column user_id to the exports of many people, and give their folder"
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
