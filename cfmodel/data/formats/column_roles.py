"""Which column of a source says who, what, how many stars and when."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cfmodel.config import ColumnNames, IngestSettings
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


@dataclass(frozen=True)
class Columns:
    """Which column of a file says what.

    Attributes:
        names: What the columns are called; numbers from 1 where they have no names.
        roles: Role to 0-based column. In the wide layout `user_id` alone, and not even that where each
            row is a user of its own.
        movies: 0-based column to movie id, in the wide layout.
    """

    names: tuple[str, ...] = ()
    roles: Mapping[str, int] = field(default_factory=dict)
    movies: Mapping[int, str] = field(default_factory=dict)


def columns_of(names: Sequence[str] | int, settings: IngestSettings, *, file: str) -> Columns:
    """Say which column of a file says what.

    Args:
        names: The columns' names, or their number where they have none.
        settings: What the caller calls them, and the layout.
        file: The file's name, for the refusals.

    Raises:
        DataError: A column is not there, one column would play two roles, or its name is not UTF-8 text.
    """
    columns = _columns_of(names, settings, file)
    for name in (columns.names[place] for place in (*columns.roles.values(), *columns.movies)):
        # JSON can write half of a surrogate pair, which UTF-8 cannot.
        if not _is_encodable(name):
            raise DataError(f"{file}: the name of column {name[:40]!r} is not UTF-8 text; give it another")
    return columns


def _columns_of(names: Sequence[str] | int, settings: IngestSettings, file: str) -> Columns:
    known = tuple(names) if not isinstance(names, int) else tuple(str(place + 1) for place in range(names))
    if settings.layout == "wide":
        return _wide(known, settings.columns, isinstance(names, int), file)
    if isinstance(names, int):
        return Columns(known, map_numbered(names, settings.columns, file=file))
    return Columns(known, map_named(names, settings.columns, file=file))


def _wide(names: tuple[str, ...], wanted: ColumnNames, numbered: bool, file: str) -> Columns:
    user = None if wanted.user_id == "" else _place(USER_ID, names, wanted.user_id, file)
    if user is None and wanted.user_id is None:
        if numbered:
            raise DataError(
                f"{file}: which column of the wide table says who? give its number in ingest.columns.user_id, "
                f"or '' where each row is a user of its own"
            )
        user = 0
    if unknown := [name for name in wanted.ignored if name not in names]:
        raise DataError(f"{file}: ingest.columns.ignored names {unknown[0]!r}; the file has {_listed(names)}")
    movies = {at: name for at, name in enumerate(names) if at != user and name not in wanted.ignored}
    if len(set(movies.values())) < len(movies) or not movies:
        problem = "two columns of one name" if movies else "no column for a movie"
        raise DataError(f"{file}: the wide table has {problem}; it has {_listed(names)}")
    return Columns(names, {} if user is None else {USER_ID: user}, movies)


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
            f"name yours in {', '.join(f'ingest.columns.{role}' for role in missing)}{_perhaps_wide(names)}"
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
        if given is not None and not (given.isdecimal() and len(given) < 9 and 1 <= int(given) <= count):
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


def is_header(first_row: Sequence[str], settings: IngestSettings) -> bool:
    """Tell whether a first row names the columns: its names are known, or its rating is no number and no other is.

    A first row with a bad rating and good ids is a bad row, and is refused as one.
    """
    wanted = settings.columns
    given = [name for name in (wanted.user_id, wanted.movie_id, wanted.rating) if name]
    if any(name in first_row and not name.isdecimal() for name in given):
        return True
    if settings.layout == "wide":
        return not all(_is_number(cell) or cell in settings.missing for cell in first_row[1:])
    if names_all_roles(first_row):
        return True
    place = int(wanted.rating[:9]) - 1 if wanted.rating and wanted.rating.isdecimal() else 2
    return place < len(first_row) and not any(_is_number(field) for field in first_row)


def names_all_roles(row: Sequence[str]) -> bool:
    """Tell whether fields are well-known names of a user's, a movie's and a rating's column."""
    return all(any(_plain(name) in WELL_KNOWN[role] for name in row) for role in (USER_ID, MOVIE_ID, RATING))


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


def _is_encodable(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name[:40]) for name in names[:12])
    return f"{len(names):,} columns: {shown}{', ...' if len(names) > 12 else ''}"


def _perhaps_wide(names: Sequence[str]) -> str:
    return "; if each column is a movie, set ingest.layout = 'wide'" if len(names) > 8 else ""


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
