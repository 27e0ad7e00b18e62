from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_recommenders import USERS, K, recommender_with_history, scored

from cfmodel.config import ScoringSettings
from cfmodel.errors import PublishError
from cfmodel.recommending.check_lists import check_lists
from cfmodel.schema import RECOMMENDATIONS

Tamper = Callable[[pd.DataFrame], pd.DataFrame]


def _swapped_ranks(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(rank=table["rank"].replace({1: 2, 2: 1}))


def _with_a_movie_twice(table: pd.DataFrame) -> pd.DataFrame:
    table.loc[1, "movie_id"] = table.loc[0, "movie_id"]
    return table


def _with_a_seen_movie(table: pd.DataFrame) -> pd.DataFrame:
    table.loc[0, "movie_id"] = "00"  # user 0 has seen it
    return table


def _with_rising_scores(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(score=-table["score"])


def _with_a_strange_movie(table: pd.DataFrame) -> pd.DataFrame:
    table.loc[0, "movie_id"] = "strange"
    return table


@pytest.mark.parametrize(
    ("tamper", "problem"),
    [
        (_swapped_ranks, "ranks that do not rise"),
        (_with_a_movie_twice, "has a movie twice"),
        (_with_a_seen_movie, "has a movie the user has seen"),
        (_with_rising_scores, "is not ordered by score"),
        (_with_a_strange_movie, "an id that the model does not know"),
        (lambda table: table[table["user_id"] != "u05"], "is missing"),
        (lambda table: table[(table["user_id"] != "u05") | (table["rank"] < K)], f"does not have {K} movies"),
        (lambda table: table[table["user_id"] < "u20"], "is missing"),
    ],
)
def test_lists_that_fail_any_check_are_refused(tmp_path: Path, tamper: Tamper, problem: str) -> None:
    recommender, settings = recommender_with_history(), ScoringSettings(k=K)
    table = scored(recommender, tmp_path / "scored")
    users = np.arange(USERS)  # user 1 has seen every movie, and so has no list
    (tmp_path / "again").mkdir()

    def checked(written: pd.DataFrame) -> int:
        rows = pa.Table.from_pandas(written, schema=RECOMMENDATIONS, preserve_index=False)
        pq.write_table(rows, tmp_path / "again" / "part-00000.parquet")
        return check_lists(tmp_path / "again", recommender, users, settings, complete=True).rows

    assert checked(table) == len(table)
    with pytest.raises(PublishError, match=problem):
        checked(tamper(table))
