"""Small data sets and their splits, for tests."""

import numpy as np
import pyarrow.parquet as pq
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from stored_ratings import rows_in

from cfmodel.config import IngestSettings, SplitSettings
from cfmodel.data.ingest.ingest import ingest
from cfmodel.data.splitting.split import split
from cfmodel.schema import RATINGS

PARTS = ("train", "val", "test")
FEW_EXAMPLES = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def store(rows, folder, name="x"):
    """Ingest rows of (user, movie, rating[, timestamp])."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.csv"
    path.write_text("".join(",".join(str(field) for field in row) + "\n" for row in rows))
    return ingest(str(path), IngestSettings(header=False), folder=folder / "data")


def rows_of(ref, part):
    table = pq.read_table(ref.path / f"{part}.parquet")
    assert table.schema.equals(RATINGS)
    rows = sorted(rows_in(table))
    return [row if row[3] is not None else row[:3] for row in rows]


def divide(rows, folder, *, test=None, **given):
    """Split rows and return the ref and the rows of each part, sorted."""
    if test is not None:
        given |= {"strategy": "predefined", "test_source": "test.csv"}
    test_ref = None if test is None else store(test, folder, "test")
    ref = split(store(rows, folder), SplitSettings(**given), folder=folder / "data", test=test_ref)
    return ref, {part: rows_of(ref, part) for part in PARTS}


def random_rows(users=30, movies=20, ratings=300, *, seed=0):
    rng = np.random.default_rng(seed)
    pairs = rng.choice(users * movies, ratings, replace=False)
    moments = rng.integers(0, 100, ratings)
    return [
        (f"u{pair // movies}", f"m{pair % movies}", float(pair % 5 + 1), int(moment))
        for pair, moment in zip(pairs, moments, strict=True)
    ]


# A block per user, so that every strategy finds something for each part.
RATINGS_LISTS = st.integers(0, 2**31).flatmap(
    lambda seed: st.integers(150, 400).map(lambda count: random_rows(ratings=count, seed=seed))
)
