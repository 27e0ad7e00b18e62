"""Batch scoring: top-k lists of many users, written as Parquet, checked and published."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch

import cfmodel
from cfmodel.config import ScoringSettings
from cfmodel.errors import VocabularyError
from cfmodel.recommending.check_lists import check_lists
from cfmodel.recommending.publish_lists import publish_lists
from cfmodel.recommending.recommender import Recommender
from cfmodel.recommending.suggest import suggest
from cfmodel.recommending.top_k import BLOCK_BYTES, Lists
from cfmodel.refs import ScoresRef
from cfmodel.schema import MOVIE_ID, RECOMMENDATIONS, USER_ID
from cfmodel.system import atomic

_FORMAT_VERSION = 1
_MANIFEST = "_manifest.json"  # readers of the folder as one table skip names with an underscore


@dataclass(frozen=True)
class UsersScored:
    """Progress of a scoring.

    Attributes:
        users: Users scored so far.
        fraction: Their share of all users to score, in [0, 1].
    """

    users: int
    fraction: float


def score(
    recommender: Recommender,
    settings: ScoringSettings,
    *,
    folder: Path,
    model_name: str,
    users: Sequence[str] | None = None,
    device: torch.device | None = None,
    on_record: Callable[[Any], None] | None = None,
) -> ScoresRef:
    """Recommend movies to all or some users of a model, and publish the lists.

    The lists are written to `folder/recommendations/<time>` as Parquet files of `user_id, movie_id, score,
    rank`, users in the order of their ids. The files are read back and checked; then
    `folder/recommendations/latest` is pointed at them. Movies a user is known to have rated are left out.

    Args:
        recommender: The model.
        settings: Length of the lists, memory, least coverage.
        folder: Folder for data.
        model_name: Name of the model, for the manifest.
        users: Ids of the users; None: all users of the model.
        device: Device to compute on; None: the model's.
        on_record: Called with a `UsersScored` after each file.

    Raises:
        PublishError: The lists failed a check; `latest` stays as it is.
        VocabularyError: A user is unknown to the model.
    """
    started = time.perf_counter()
    recommender = recommender.on(device or recommender.model.global_mean.device)
    rows = _rows(recommender, users)
    parent = folder.resolve() / "recommendations"
    final = parent / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
    with atomic.folder(final) as temporary:
        _write(recommender, rows, settings, temporary, on_record)
        found = check_lists(temporary, recommender, rows, settings, complete=users is None)
        ref = ScoresRef(
            path=final,
            model_name=model_name,
            users=len(rows),
            rows=found.rows,
            k=settings.k,
            coverage_fraction=found.coverage_fraction,
            seconds=time.perf_counter() - started,
        )
        (temporary / _MANIFEST).write_text(_manifest(ref, settings), encoding="utf-8")
    publish_lists(final)
    return ref


def _rows(recommender: Recommender, users: Sequence[str] | None) -> npt.NDArray[np.int64]:
    if users is None:
        return np.arange(len(recommender.users))
    rows = recommender.users.encode(list(users))
    if (rows < 0).any():
        unknown = [user for user, row in zip(users, rows, strict=True) if row < 0]
        raise VocabularyError(
            f"{len(unknown):,} of {len(users):,} users are unknown to the model, the first is {unknown[0]!r}; "
            "leave them out, and ask the served model for new users"
        )
    return np.unique(rows).astype(np.int64)


def _write(
    recommender: Recommender,
    rows: npt.NDArray[np.int64],
    settings: ScoringSettings,
    folder: Path,
    on_record: Callable[[Any], None] | None,
) -> None:
    """Write the lists file by file, so that only one file's lists are in memory."""
    cap = settings.memory_megabytes * 2**20
    on_cpu = recommender.model.global_mean.device.type == "cpu"
    for number, start in enumerate(range(0, len(rows), settings.users_per_file)):
        users = rows[start : start + settings.users_per_file]
        lists = suggest(recommender, users, k=settings.k, block_bytes=min(cap, BLOCK_BYTES) if on_cpu else cap)
        table = _table(recommender, users, lists)
        pq.write_table(table, folder / f"part-{number:05}.parquet", compression="zstd", write_page_checksum=True)
        if on_record is not None:
            on_record(UsersScored(start + len(users), (start + len(users)) / len(rows)))


def _table(recommender: Recommender, users: npt.NDArray[np.int64], lists: Lists) -> pa.Table:
    there = lists.movie_idx >= 0
    who, place = np.nonzero(there)
    columns = (
        recommender.users.ids.take(pa.array(users[who])),
        recommender.movies.ids.take(pa.array(lists.movie_idx[there])),
        pa.array(lists.score[there]),
        pc.cast(pa.array(place + 1), pa.int32()),
    )
    return pa.table(dict(zip(RECOMMENDATIONS.names, columns, strict=True)), schema=RECOMMENDATIONS)


def _manifest(ref: ScoresRef, settings: ScoringSettings) -> str:
    manifest = {
        "format_version": _FORMAT_VERSION,
        "cfmodel_version": cfmodel.__version__,
        "columns": [USER_ID, MOVIE_ID, "score", "rank"],
        "scores": ref.model_dump(mode="json"),
        "settings": settings.model_dump(mode="json"),
    }
    return json.dumps(manifest, indent=2) + "\n"
