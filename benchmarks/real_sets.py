"""Sets of ratings of very different kinds, for benchmarks: nine real ones, and generated ones by their source.

The real ones are read from the folder in `CFMODEL_DATA_DIR`, with the settings that their formats need.
"""

import os
import sys
import zipfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from cfmodel.config import IngestSettings, SplitSettings
from cfmodel.data.ingest.ingest import ingest
from cfmodel.data.splitting.parts import RatingArrays, load_part, load_vocabularies
from cfmodel.data.splitting.split import split
from cfmodel.refs import DatasetRef, SplitRef

#: File and settings of each real set.
FILES: dict[str, tuple[str, dict[str, Any]]] = {
    "ML-100K u1": ("ml-100k/u1.base", {}),
    "ml-latest-small": ("ml-latest-small/ratings.csv", {}),
    "ML-1M": ("ml-1m/ratings.parquet", {}),
    "FilmTrust": ("filmtrust/filmtrust.tab", {"on_bad_row": "quarantine"}),
    "MovieTweetings": ("movietweetings/ratings.dat.gz", {}),
    "Ciao": ("ciao/ratings.tsv.gz", {"not_rated": 0}),
    "board games": (
        "boardgames/boardgame-elite-users.csv",
        {"columns": {"user_id": "Compiled from boardgamegeek.com by Matt Borthwick", "movie_id": "gameID"}},
    ),
    "Jester": (
        "jester/jester-data-1.zip",
        {"layout": "wide", "header": False, "not_rated": 99, "columns": {"user_id": "", "ignored": ["1"]}},
    ),
    "Last.fm": ("lastfm/ratings.txt.gz", {}),
}
#: Generated sets: from a thousand ratings on, dense, sparse, and with a quarter of the ratings being taste.
GENERATED = {
    "1 thousand": "synthetic:users=100,movies=60,ratings=1000",
    "8 thousand": "synthetic:users=300,movies=100,ratings=8000",
    "100 thousand": "synthetic:users=1000,movies=500,ratings=100000",
    "100 thousand, sparse": "synthetic:users=20000,movies=5000,ratings=100000",
    "400 thousand": "synthetic:users=2000,movies=1000,ratings=400000",
}


@dataclass(frozen=True, eq=False)
class Parts:
    """Train and val of a set as arrays, in rating units.

    Attributes:
        made: The split.
        train: Training ratings.
        val: Validation ratings, rows negative where cold.
        sizes: Numbers of users and movies, as `TrainingPlan.of` takes them.
    """

    made: SplitRef
    train: RatingArrays
    val: RatingArrays
    sizes: dict[str, int] = field(default_factory=dict)

    def scaled(self, factor: float, shift: float = 0.0) -> "Parts":
        """Return the same ratings on another scale."""
        train, val = (replace(part, rating=part.rating * factor + shift) for part in (self.train, self.val))
        return replace(self, train=train, val=val)


def require_data() -> Path:
    """Return the folder of the real sets, or end the program."""
    folder = Path(os.environ.get("CFMODEL_DATA_DIR", ""))
    if "CFMODEL_DATA_DIR" not in os.environ or not (folder / "ml-100k" / "u1.base").is_file():
        sys.exit(f"{sys.argv[0]}: set CFMODEL_DATA_DIR to the folder that holds ml-100k/ and the other sets")
    return folder


def parts_of(name: str, folder: Path, *, seed: int = 0) -> Parts:
    """Ingest a set, or take an earlier result from the folder, and split it at random: 81 % train, 9 % val, 10 % test.

    Args:
        name: A key of `FILES` or `GENERATED`; with ` / 30` behind it, one rating in 30, drawn at random.
        folder: Where to put data sets and splits.
        seed: Seed of the split.
    """
    name, _, share = name.partition(" / ")
    made = split(ingested(name, folder), SplitSettings(seed=seed), folder=folder)
    users, movies = load_vocabularies(made)
    train, val = (load_part(made, part, users=users, movies=movies) for part in ("train", "val"))
    if not share:
        return Parts(made, train, val, {"num_users": len(users), "num_movies": len(movies)})
    rng = np.random.default_rng(seed)
    kept = [part[np.flatnonzero(rng.random(len(part)) < 1 / int(share))] for part in (train, val)]
    return Parts(made, *_renumbered(*kept))


def ingested(name: str, folder: Path) -> DatasetRef:
    """Ingest a real set, or a generated one by its name or source."""
    if name not in FILES:
        return ingest(GENERATED.get(name, name), IngestSettings(), folder=folder)
    file, settings = FILES[name]
    path = require_data() / file
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            path = Path(archive.extract(archive.namelist()[0], folder))
    return ingest(str(path), IngestSettings(**settings), folder=folder)


def _renumbered(train: RatingArrays, val: RatingArrays) -> tuple[RatingArrays, RatingArrays, dict[str, int]]:
    """Number the users and movies of the training ratings anew; others are cold."""
    columns, sizes = {}, {}
    for side in ("user", "movie"):
        known, rows = np.unique(getattr(train, f"{side}_idx"), return_inverse=True)
        at = np.searchsorted(known, getattr(val, f"{side}_idx")).clip(max=len(known) - 1)
        cold = known[at] != getattr(val, f"{side}_idx")
        columns[side] = rows.astype(np.int32), np.where(cold, -1, at).astype(np.int32)
        sizes[f"num_{side}s"] = len(known)
    made = (RatingArrays(columns["user"][n], columns["movie"][n], part.rating) for n, part in enumerate((train, val)))
    return *made, sizes  # type: ignore[return-value]
