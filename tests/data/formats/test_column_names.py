"""Names of columns as people write them."""

import pytest

from cfmodel.data.formats.column_names import WELL_KNOWN, fits, plain
from cfmodel.schema import MOVIE_ID, RATING, TIMESTAMP, USER_ID


@pytest.mark.parametrize(
    ("header", "roles"),
    [
        ("user_id,anime_id,rating", (0, 1, 2, None)),
        ("UserID,MovieID,Rating,Timestamp", (0, 1, 2, 3)),
        ("USER_ID,ITEM_ID,SCORE,CREATED_AT", (0, 1, 2, 3)),
        ("reviewerID,asin,overall,unixReviewTime", (0, 1, 2, 3)),
        ("review_id,user_id,business_id,stars,date", (1, 2, 3, 4)),
        ("User-ID;ISBN;Book-Rating".replace(";", ","), (0, 1, 2, None)),
        ("Benutzer,Artikelnummer,Bewertung,Datum", (0, 1, 2, 3)),
        ("usuario,película,calificación,fecha", (0, 1, 2, 3)),
        ("username,show_id,my_score", (0, 1, 2, None)),
        (",user,item,rating", (1, 2, 3, None)),
        ("__index_level_0__,user,item,rating", (1, 2, 3, None)),
    ],
)
def test_names_in_many_spellings_are_recognised(header, roles, read, write):
    fields = ["0"] * len(header.split(","))
    for place, value in zip(roles, ("7", "8", "4", "2015-11-17"), strict=True):
        if place is not None:
            fields[place] = value
    ref, rows = read(write("x.csv", f"{header}\n{','.join(fields)}\n"))
    assert rows == [("7", "8", 4.0, None if roles[3] is None else 1_447_718_400)]
    assert ref.warnings == ()


def test_no_name_is_known_for_two_roles():
    names = [plain(name) for role in (USER_ID, MOVIE_ID, RATING, TIMESTAMP) for name in WELL_KNOWN[role]]
    assert len(names) == len(set(names))
    assert all(fits(role, name) for role in (USER_ID, MOVIE_ID) for name in ("id", "nr", "key"))
