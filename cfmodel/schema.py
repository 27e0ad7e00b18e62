"""Column names and Arrow schemas of ratings and recommendations."""

import pyarrow as pa

USER_ID = "user_id"
MOVIE_ID = "movie_id"
RATING = "rating"
TIMESTAMP = "timestamp"

#: A moment, with the precision that a source gave it.
MOMENT = pa.timestamp("ns", "UTC")

#: One rating. Ids are text (an integer is its decimal text, so `007` and `7` differ); `timestamp` is null in all rows
#: if the source has none. Until 0.2.0 it was an integer, in seconds: `storage.read_ratings_file` tells them by type.
RATINGS = pa.schema(
    [
        pa.field(USER_ID, pa.string(), nullable=False),
        pa.field(MOVIE_ID, pa.string(), nullable=False),
        pa.field(RATING, pa.float64(), nullable=False),
        pa.field(TIMESTAMP, MOMENT),
    ]
)

#: `RATINGS` with dictionary-encoded ids.
ENCODED_RATINGS = pa.schema(
    [
        field.with_type(pa.dictionary(pa.int32(), pa.string())) if field.name in (USER_ID, MOVIE_ID) else field
        for field in RATINGS
    ]
)

#: One movie recommended to one user. `score` is the predicted rating, in rating units, not clamped;
#: `rank` counts from 1.
RECOMMENDATIONS = pa.schema(
    [
        pa.field(USER_ID, pa.string(), nullable=False),
        pa.field(MOVIE_ID, pa.string(), nullable=False),
        pa.field("score", pa.float64(), nullable=False),
        pa.field("rank", pa.int32(), nullable=False),
    ]
)
