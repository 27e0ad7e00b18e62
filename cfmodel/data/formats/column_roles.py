"""The roles of columns: which one holds the user, the movie, the rating and the timestamp."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from cfmodel.config import ColumnNames, IngestSettings
from cfmodel.data.formats.column_names import WELL_KNOWN, WORDS, fits, is_name_of, numbers_rows, paste, plain
from cfmodel.errors import DataError
from cfmodel.schema import MOVIE_ID, RATING, TIMESTAMP, USER_ID

_ROLES = tuple(WELL_KNOWN)
_NEEDED = (USER_ID, MOVIE_ID, RATING)
#: Most columns of a table whose one unknown column is taken for the missing one.
_SMALL = 4
#: Most columns without names that are taken in the usual order; of a table with more, each may be a movie.
_MOST_GUESSED = 8


@dataclass(frozen=True)
class Columns:
    """The roles of a file's columns.

    Attributes:
        names: The columns' names; numbers from 1 if they have none.
        roles: Role to 0-based column. In the wide layout only `user_id`, or nothing if each row is a
            new user.
        movies: 0-based column to movie id, in the wide layout.
        named: Whether a header, or the keys of JSON or Parquet, name the columns.
        doubts: What the roles were taken from where names do not decide, each with the setting to change it.
    """

    names: tuple[str, ...] = ()
    roles: Mapping[str, int] = field(default_factory=dict)
    movies: Mapping[int, str] = field(default_factory=dict)
    named: bool = True
    doubts: tuple[str, ...] = ()


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
        roles = _map_numbered(names, settings.columns, file=file)
        return Columns(known, roles, named=False, doubts=_doubt_order(roles, settings.columns))
    roles, guessed = _map_named(names, settings.columns, file=file)
    return Columns(known, roles, doubts=(*guessed, *_doubt_ids(names, roles, settings.columns)))


def _wide(names: tuple[str, ...], wanted: ColumnNames, numbered: bool, file: str) -> Columns:
    user = None if wanted.user_id == "" else _place(USER_ID, names, wanted.user_id)
    if wanted.user_id and user is None:
        raise DataError(f"{file}: ingest.columns.user_id is {wanted.user_id!r}; the file has {_listed(names)}")
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
    return Columns(names, {} if user is None else {USER_ID: user}, movies, named=not numbered)


def _map_named(names: Sequence[str], wanted: ColumnNames, *, file: str) -> tuple[dict[str, int], tuple[str, ...]]:
    """Return role to 0-based column, and what was guessed; without `timestamp` if there is none."""
    wrong = [role for role in _ROLES if getattr(wanted, role) and _given_place(names, getattr(wanted, role)) is None]
    places = {role: None if role in wrong else _place(role, names, getattr(wanted, role)) for role in _ROLES}
    found = {role: place for role, place in places.items() if place is not None}
    missing = [role for role in _NEEDED if role not in found and role not in wrong]
    if wrong:
        raise DataError(f"{file}: {_wrong_names(names, wanted, wrong, missing, found)}")
    doubts: tuple[str, ...] = ()
    if len(missing) == 1 and (place := _only_one_left(missing[0], names, found)) is not None:
        (role,), name = missing, names[place]
        found = {each: place if each == role else found[each] for each in _ROLES if each in (role, *found)}
        missing = []
        change = paste(role, "NAME")
        doubts = (f"no column is named like a {WORDS[role]}, so {name[:40]!r} is taken; {change} if it is another",)
    if missing:
        raise DataError(
            f"{file}: no column is recognised as {' and '.join(missing)}; the file has {_listed(names)}; "
            f"set {', '.join(f'ingest.columns.{role}' for role in missing)}{_paste_what_is_left(missing, names, found)}"
            f"{_perhaps_no_ratings(missing, names, found)}{_perhaps_wide(names, missing)}{_perhaps_one_person(missing)}"
        )
    _refuse_twins(names, found, wanted, file)
    return _distinct(found, file), doubts


def _left(names: Sequence[str], found: Mapping[str, int]) -> list[int]:
    """Return the columns that have no role and do not number the rows."""
    return [at for at, name in enumerate(names) if at not in found.values() and not numbers_rows(name)]


def _only_one_left(role: str, names: Sequence[str], found: Mapping[str, int]) -> int | None:
    """Return the one column of a small table that is left for a role; None if there are several, or it does not fit."""
    left = _left(names, found)
    fitting = [at for at in left if fits(role, names[at])]
    return fitting[0] if len(fitting) == 1 and len(left) + len(found) <= _SMALL else None


def _likeliest(role: str, names: Sequence[str], left: Sequence[int]) -> int | None:
    """Return the first of the columns left that fits a role and no other; for an id, rather one that ends in `id`."""
    known = {name for other, listed in WELL_KNOWN.items() if other != role for name in listed}
    fitting = [at for at in left if fits(role, names[at]) and plain(names[at]) not in known]
    ids = [at for at in fitting if role != RATING and plain(names[at]).endswith("id")]
    return next(iter([*ids, *fitting]), None)


def _paste_what_is_left(missing: Sequence[str], names: Sequence[str], found: Mapping[str, int]) -> str:
    """Return the settings to paste, if the columns that are left are in the usual order."""
    left, chosen = _left(names, found), []
    for role in missing:
        place = _likeliest(role, names, left)
        if place is None:
            return ""
        left.remove(place)
        chosen.append(paste(role, names[place]))
    return f", for example {' '.join(chosen)}"


def _wrong_names(
    names: Sequence[str], wanted: ColumnNames, wrong: Sequence[str], missing: Sequence[str], found: Mapping[str, int]
) -> str:
    """Return which names no column has, which columns are not recognised besides, and the settings to paste."""
    given = " and ".join(f"ingest.columns.{role} is {getattr(wanted, role)!r}" for role in wrong)
    besides = f", and no column is recognised as {' and '.join(missing)}" if missing else ""
    chosen, taken = [], dict(found)
    for role in (each for each in _ROLES if each in (*wrong, *missing)):
        left = _left(names, taken)
        near = get_close_matches(getattr(wanted, role) or "", [names[at] for at in left], n=1)
        known = _place(role, names, None)
        other = None if role == TIMESTAMP else next(iter(left), None)
        place = names.index(near[0]) if near else known if known in left else other
        if place is not None:
            taken[role] = place
            chosen.append(paste(role, names[place]))
        elif role == TIMESTAMP:
            chosen.append(paste(role, ""))
    example = f", for example {' '.join(chosen)}" if chosen else ""
    return f"{given}{besides}; the file has {_listed(names)}; name its own{example}"


def _perhaps_no_ratings(missing: Sequence[str], names: Sequence[str], found: Mapping[str, int]) -> str:
    if list(missing) != [RATING] or any(fits(RATING, names[at]) for at in _left(names, found)):
        return ""
    return "; if the table has none (views, clicks, plays), add a column rating, such as how often"


def _refuse_twins(names: Sequence[str], found: Mapping[str, int], wanted: ColumnNames, file: str) -> None:
    for role, place in found.items():
        twins = [at + 1 for at, name in enumerate(names) if name == names[place]]
        if len(twins) > 1 and not (getattr(wanted, role) or "").isdecimal():
            raise DataError(
                f"{file}: columns {' and '.join(map(str, twins))} are both named {names[place][:40]!r}; give the "
                f"number of the one that holds the {WORDS[role]}: {paste(role, str(twins[0]))}"
            )


def _doubt_ids(names: Sequence[str], roles: Mapping[str, int], wanted: ColumnNames) -> tuple[str, ...]:
    """Return which other columns could be the user, the movie or the rating by their names."""
    doubts = []
    for role in _NEEDED:
        if getattr(wanted, role) is not None:
            continue
        taken = plain(names[roles[role]])
        others = [
            name
            for at, name in enumerate(names)
            if at not in roles.values() and plain(name) in WELL_KNOWN[role] and not is_name_of(plain(name), taken)
        ]
        if others and taken in WELL_KNOWN[role]:
            also = " and ".join(repr(name[:40]) for name in others[:3])
            doubts.append(
                f"{also} could be the {WORDS[role]}, too; {names[roles[role]]!r} is taken: "
                f"{paste(role, others[0])} to change"
            )
    return tuple(doubts)


def _doubt_order(roles: Mapping[str, int], wanted: ColumnNames) -> tuple[str, ...]:
    if wanted.user_id is not None and wanted.movie_id is not None:
        return ()
    swapped = f"{paste(USER_ID, str(roles[MOVIE_ID] + 1))} {paste(MOVIE_ID, str(roles[USER_ID] + 1))}"
    return (
        f"no header names the columns, so column {roles[USER_ID] + 1} is taken for the user and "
        f"{roles[MOVIE_ID] + 1} for the movie; if it is the other way round: {swapped}",
    )


def _map_numbered(count: int, wanted: ColumnNames, *, file: str) -> dict[str, int]:
    """Return role to 0-based column for a file without a header; the usual order is user, movie, rating, timestamp.

    `wanted` has 1-based column numbers, as text, if the order is different.
    """
    if count > _MOST_GUESSED and not any(getattr(wanted, role) for role in _NEEDED):
        of_rows = " ".join(paste(role, str(usual)) for usual, role in enumerate(_NEEDED, 1))
        raise DataError(
            f"{file}: no header names the {count} columns, too many to guess; if each column is a movie: --set "
            f"ingest.layout=wide {paste(USER_ID, '1')} (or {paste(USER_ID, '')} if each row is a new user); if each "
            f"row is a rating, say which columns hold it, for example {of_rows}"
        )
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
    if any(plain(name) in WELL_KNOWN[USER_ID] for name in first_row):
        return True
    if settings.layout == "wide":
        return not all(_is_number(cell) or cell in settings.missing for cell in first_row[1:])
    if names_all_roles(first_row):
        return True
    place = int(wanted.rating[:9]) - 1 if wanted.rating and wanted.rating.isdecimal() else 2
    return place < len(first_row) and not any(_is_number(field) for field in first_row)


def names_all_roles(row: Sequence[str]) -> bool:
    """Return whether a row holds known names for the user, the movie and the rating column."""
    return all(any(plain(name) in WELL_KNOWN[role] for name in row) for role in (USER_ID, MOVIE_ID, RATING))


def _place(role: str, names: Sequence[str], given: str | None) -> int | None:
    if given == "" and role == TIMESTAMP:
        return None
    if given is not None:
        return _given_place(names, given)
    bare = [plain(name) for name in names]
    return next((bare.index(known) for known in WELL_KNOWN[role] if known in bare), None)


def _given_place(names: Sequence[str], given: str) -> int | None:
    """Return the column that a setting gives: by its name, by its name but for case and punctuation, or by number."""
    if given in names:
        return names.index(given)
    alike = [at for at, name in enumerate(names) if plain(given) and plain(name) == plain(given)]
    if len(alike) == 1:
        return alike[0]
    return int(given) - 1 if given.isdecimal() and len(given) < 9 and 1 <= int(given) <= len(names) else None


def _distinct(places: dict[str, int], file: str) -> dict[str, int]:
    for role, place in places.items():
        other = next(name for name, at in places.items() if at == place)
        if other != role:
            raise DataError(f"{file}: column {place + 1} would be both {other} and {role}; set both in ingest.columns")
    return places


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name[:40]) for name in names[:12])
    return f"{len(names):,} columns: {shown}{', ...' if len(names) > 12 else ''}"


def _perhaps_wide(names: Sequence[str], missing: Sequence[str]) -> str:
    may_be = _may_be_wide(names) or list(missing) == [MOVIE_ID, RATING]
    return "; if each column is a movie, set ingest.layout = 'wide'" if may_be else ""


def _may_be_wide(names: Sequence[str]) -> bool:
    return len(names) > _MOST_GUESSED or any(map(_is_number, names))


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
