"""A trained model together with its vocabularies: what is saved, loaded and asked.

A saved recommender is a folder of data, nothing that runs:

    weights.safetensors   the model's tables and global mean
    users.parquet         user ids, in the order of their rows
    movies.parquet        movie ids, in the order of their rows
    history.safetensors   which user has rated which movie, and which of it was learned from; where known
    model.json            format version, sizes, rating range, val RMSE and the SHA-256 of the others

Its digest is the SHA-256 of `model.json`, which vouches for the rest.
"""

import copy
import dataclasses
import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import safetensors
import safetensors.torch
import torch

from cfmodel import __version__
from cfmodel.data.vocabulary import Vocabulary
from cfmodel.errors import ConfigError, DataError, DigestError
from cfmodel.model import CollaborativeFiltering
from cfmodel.recommending.rated import History
from cfmodel.system import atomic
from cfmodel.system.digests import sha256_of_file

FORMAT_VERSION = 1
WEIGHTS, USERS, MOVIES, MANIFEST = "weights.safetensors", "users.parquet", "movies.parquet", "model.json"
HISTORY = "history.safetensors"

#: Ratings predicted at once: some 40 MB of looked-up rows at dimension 50.
BLOCK_ROWS = 65_536


@dataclass(frozen=True, eq=False)
class Recommender:
    """Predict ratings for the ids a person uses.

    Attributes:
        model: The trained tables.
        users: Ids of the user rows, U of them.
        movies: Ids of the movie rows, M of them.
        rating_min: Lowest rating seen in training, in rating units; predictions are clamped to it.
        rating_max: Highest rating seen in training, in rating units; predictions are clamped to it.
        history: Who has rated what; None where that is not known: then nothing counts as seen.
        val_rmse: RMSE on ratings it did not learn from, in rating units; None where it was not measured.
    """

    model: CollaborativeFiltering
    users: Vocabulary
    movies: Vocabulary
    rating_min: float
    rating_max: float
    history: History | None = None
    val_rmse: float | None = None

    def predict(self, user_ids: Any, movie_ids: Any) -> npt.NDArray[np.float32]:
        """Predict ratings for pairs of ids.

        An unknown id is answered with the cold fallback: the global mean and the known side's bias.

        Args:
            user_ids: Ids of the users, text or numbers (7 and 7.0 mean `7`), shape (N,).
            movie_ids: Ids of the movies, likewise, shape (N,).

        Returns:
            Predictions in rating units, clamped to [rating_min, rating_max], float32, shape (N,).

        Raises:
            DataError: There are not as many users as movies.
            VocabularyError: An id is neither text nor a number.
        """
        return self.predict_rows(self.users.encode(user_ids), self.movies.encode(movie_ids))

    def predict_rows(
        self, user_idx: npt.NDArray[np.int32], movie_idx: npt.NDArray[np.int32]
    ) -> npt.NDArray[np.float32]:
        """Predict ratings for pairs of rows, in blocks, on the model's device.

        Args:
            user_idx: Rows of the users, negative where cold, shape (N,).
            movie_idx: Rows of the movies, negative where cold, shape (N,).

        Returns:
            Predictions in rating units, clamped to [rating_min, rating_max], float32, shape (N,).

        Raises:
            DataError: There are not as many users as movies.
        """
        if len(user_idx) != len(movie_idx):
            raise DataError(f"a prediction takes one movie per user, not {len(user_idx):,} and {len(movie_idx):,}")
        predictions = np.empty(len(user_idx), np.float32)
        for start in range(0, len(predictions), BLOCK_ROWS):
            block = slice(start, start + BLOCK_ROWS)
            scores = self.model.score(self._rows(user_idx[block]), self._rows(movie_idx[block]))
            predictions[block] = scores.clamp(self.rating_min, self.rating_max).cpu().numpy()
        return predictions

    def on(self, device: torch.device) -> Self:
        """Return the recommender with its model on a device; itself where it is there already."""
        if self.model.global_mean.device == device:
            return self
        # A copy: `Module.to` would move the caller's model under its feet.
        return dataclasses.replace(self, model=copy.deepcopy(self.model).to(device))

    def save(self, folder: Path) -> str:
        """Write the recommender to a folder, which appears whole or not at all.

        A recommender saved there before gives way.

        Returns:
            The digest: SHA-256 of `model.json`, hexadecimal.

        Raises:
            ConfigError: The folder holds something else.
        """
        if folder.exists() and not (folder / MANIFEST).is_file() and (not folder.is_dir() or any(folder.iterdir())):
            raise ConfigError(f"{folder}: is there and is no saved recommender; choose another folder, or empty it")
        with atomic.folder(folder, replace=True) as temporary:
            weights = {name: tensor.cpu().contiguous() for name, tensor in self.model.state_dict().items()}
            (temporary / WEIGHTS).write_bytes(safetensors.torch.save(weights))
            self.users.write(temporary / USERS)
            self.movies.write(temporary / MOVIES)
            if self.history is not None:
                self.history.write(temporary / HISTORY)
            manifest = json.dumps(self._manifest(temporary), indent=2).encode()
            (temporary / MANIFEST).write_bytes(manifest)
        return sha256(manifest).hexdigest()

    @classmethod
    def load(
        cls, folder: Path, *, digest: str | None = None, model: type[CollaborativeFiltering] = CollaborativeFiltering
    ) -> Self:
        """Read a saved recommender, checking every file; no code in the folder is run.

        Args:
            folder: What `save` wrote.
            digest: What `save` returned, where the caller knows it.
            model: Class of the saved model.

        Raises:
            DigestError: A file is missing, changed or damaged.
            DataError: A newer cfmodel wrote it, its files do not fit together, or it has other tables than `model`.
        """
        manifest = _read_manifest(folder, digest)
        for name in (WEIGHTS, USERS, MOVIES, *([HISTORY] if _has_history(manifest) else [])):
            _check(folder, name, manifest)
        try:
            loaded = cls._read(folder, manifest, model)
        except (safetensors.SafetensorError, pa.ArrowException, RuntimeError, KeyError, TypeError, ValueError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DataError(f"{folder}: is no recommender this cfmodel can read ({reason}); save it anew") from None
        _check_sizes(loaded, folder)
        return loaded

    @classmethod
    def _read(cls, folder: Path, manifest: dict[str, Any], model: type[CollaborativeFiltering]) -> Self:
        return cls(
            _model_of(model, safetensors.torch.load((folder / WEIGHTS).read_bytes()), folder),
            Vocabulary.read(folder / USERS),
            Vocabulary.read(folder / MOVIES),
            float(manifest["rating_min"]),
            float(manifest["rating_max"]),
            History.read(folder / HISTORY) if _has_history(manifest) else None,
            manifest["val_rmse"],
        )

    def _rows(self, rows: npt.NDArray[np.int32]) -> torch.Tensor:
        # Copied by astype: rows that come from Arrow may be read-only, which torch does not take.
        return torch.from_numpy(rows.astype(np.int64)).to(self.model.global_mean.device)

    def _manifest(self, folder: Path) -> dict[str, Any]:
        return {
            "format_version": FORMAT_VERSION,
            "cfmodel_version": __version__,
            "num_users": len(self.users),
            "num_movies": len(self.movies),
            "embedding_dim": self.model.embedding_dim,
            "rating_min": float(self.rating_min),
            "rating_max": float(self.rating_max),
            "val_rmse": self.val_rmse,
            "sha256": {path.name: sha256_of_file(path) for path in sorted(folder.iterdir())},
        }


def _has_history(manifest: dict[str, Any]) -> bool:
    digests = manifest.get("sha256")
    return isinstance(digests, dict) and HISTORY in digests


def _read_manifest(folder: Path, digest: str | None) -> dict[str, Any]:
    content = _read(folder, MANIFEST)
    if digest is not None and sha256(content).hexdigest() != digest:
        raise DigestError(f"{folder / MANIFEST}: is not the one that was saved (digest {digest[:12]}); save it anew")
    try:
        manifest = json.loads(content)
        version = int(manifest["format_version"])
    except (ValueError, KeyError, TypeError):
        raise DigestError(f"{folder / MANIFEST}: is damaged; save the recommender anew") from None
    if version > FORMAT_VERSION:
        writer = manifest.get("cfmodel_version", "a newer one")
        raise DataError(
            f"{folder}: has format version {version}, written by cfmodel {writer}; cfmodel {__version__} reads "
            f"versions up to {FORMAT_VERSION}; upgrade cfmodel to {writer} or later"
        )
    return dict(manifest)


def _read(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise DigestError(f"{folder / name}: cannot be read ({error.strerror}); save the recommender anew") from None


def _check(folder: Path, name: str, manifest: dict[str, Any]) -> None:
    """Hold a file against the digest the manifest has for it; names in the manifest are never opened."""
    expected = manifest.get("sha256")
    if not isinstance(expected, dict) or sha256(_read(folder, name)).hexdigest() != expected.get(name):
        raise DigestError(f"{folder / name}: is changed or damaged, not the file {MANIFEST} names; save it anew")


def _model_of(
    kind: type[CollaborativeFiltering], weights: dict[str, torch.Tensor], folder: Path
) -> CollaborativeFiltering:
    shapes = {name.removesuffix(".weight"): tensor.shape for name, tensor in weights.items() if tensor.dim() == 2}
    if set(shapes) != set(kind.table_names()):
        raise DataError(
            f"{folder}: holds the tables {', '.join(sorted(shapes))}, where {kind.__name__} has "
            f"{', '.join(sorted(kind.table_names()))}; load it as the class of model that was saved"
        )
    rows = {table.side: shapes[table.name][0] for table in kind.TABLES}
    embedding_dim = next(shapes[table.name][1] for table in kind.TABLES if table.width is None)
    # On the meta device nothing is allocated; `assign` puts the tables read in place. To draw there would import
    # torch's compiler, which takes longer than all the rest.
    with torch.device("meta"):
        model = kind(rows["user"], rows["movie"], embedding_dim, init_std=None)
    model.load_state_dict(weights, assign=True)
    return model.requires_grad_(False).eval()


def _check_sizes(loaded: Recommender, folder: Path) -> None:
    rows = loaded.model.num_rows["user"], loaded.model.num_rows["movie"]
    ids = len(loaded.users), len(loaded.movies)
    if rows != ids:
        raise DataError(
            f"{folder}: the weights hold {rows[0]:,} users and {rows[1]:,} movies, the ids {ids[0]:,} and {ids[1]:,}; "
            "save the recommender anew"
        )
