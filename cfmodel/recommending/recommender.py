"""A trained model with its vocabularies: saved, loaded and asked for predictions.

A saved recommender is a folder of data, without code:

    weights.safetensors   the model's tables, and mean and standard deviation of its ratings
    users.parquet         user ids, in the order of their rows
    movies.parquet        movie ids, in the order of their rows
    history.safetensors   who has rated which movie, and which ratings the model learned from; if known
    model.json            format version, sizes, rating range, val RMSE and the SHA-256 of the other files

Its digest is the SHA-256 of `model.json`.
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
from cfmodel.errors import ConfigError, DataError
from cfmodel.model import CollaborativeFiltering
from cfmodel.recommending import saved_files
from cfmodel.recommending.rated import History
from cfmodel.system import atomic
from cfmodel.system.digests import sha256_of_file

#: Ratings predicted at once: some 40 MB of looked-up rows at dimension 50.
_BLOCK_ROWS = 65_536


@dataclass(frozen=True, eq=False)
class Recommender:
    """A trained model that predicts ratings for ids.

    Attributes:
        model: The trained tables.
        users: Ids of the U user rows.
        movies: Ids of the M movie rows.
        rating_min: Lowest rating seen in training, in rating units; predictions are clamped to it.
        rating_max: Highest rating seen in training, in rating units; predictions are clamped to it.
        history: Who has rated what; None if unknown: then no movie counts as seen.
        val_rmse: RMSE on held-out ratings, in rating units; None if not measured.
    """

    model: CollaborativeFiltering
    users: Vocabulary
    movies: Vocabulary
    rating_min: float
    rating_max: float
    history: History | None = None
    val_rmse: float | None = None

    def predict(self, user_ids: Any, movie_ids: Any) -> npt.NDArray[np.float64]:
        """Predict ratings for pairs of ids, as `predict_rows` does for their rows.

        Where an id is unknown, the prediction is the global mean and the known side's offset. Ids are text or
        numbers (7 and 7.0 mean `7`), shape (N,).

        Raises:
            DataError: There are not as many users as movies.
            VocabularyError: An id is neither text nor a number.
        """
        return self.predict_rows(self.users.encode(user_ids), self.movies.encode(movie_ids))

    def predict_rows(
        self, user_idx: npt.NDArray[np.int32], movie_idx: npt.NDArray[np.int32]
    ) -> npt.NDArray[np.float64]:
        """Predict ratings for pairs of rows, negative where cold, shape (N,), in blocks, on the model's device.

        Returns:
            Predictions in rating units, clamped to [rating_min, rating_max], float64, shape (N,).

        Raises:
            DataError: There are not as many users as movies.
        """
        if len(user_idx) != len(movie_idx):
            raise DataError(
                f"expected one movie per user, got {len(user_idx):,} users and {len(movie_idx):,} movies; "
                "give as many movies as users"
            )
        predictions = np.empty(len(user_idx))
        for start in range(0, len(predictions), _BLOCK_ROWS):
            block = slice(start, start + _BLOCK_ROWS)
            scores = self.model.score(self._rows(user_idx[block]), self._rows(movie_idx[block]))
            predictions[block] = self.clamped(scores).cpu().numpy()
        return predictions

    def clamped(self, scores: torch.Tensor) -> torch.Tensor:
        """Return predictions in rating units, clamped to [rating_min, rating_max], float64, from scores."""
        return self.model.in_rating_units(scores).clamp(self.rating_min, self.rating_max)

    def on(self, device: torch.device) -> Self:
        """Return the recommender with its model on a device; itself if the model is there already."""
        if self.model.global_mean.device == device:
            return self
        # A copy, because `Module.to` would move the caller's model too.
        return dataclasses.replace(self, model=copy.deepcopy(self.model).to(device))

    def save(self, folder: Path) -> str:
        """Write the recommender to a folder, all or nothing. A recommender saved there before is replaced.

        Returns:
            The digest: SHA-256 of `model.json`, hexadecimal.

        Raises:
            ConfigError: The folder holds something else.
            DiskFullError: The disk is full; the folder is unchanged.
        """
        is_saved = (folder / saved_files.MANIFEST).is_file()
        if folder.exists() and not is_saved and (not folder.is_dir() or any(folder.iterdir())):
            raise ConfigError(f"{folder}: exists and is not a saved recommender; choose another folder, or empty it")
        with atomic.folder(folder, replace=True) as temporary:
            weights = {name: tensor.cpu().contiguous() for name, tensor in self.model.state_dict().items()}
            (temporary / saved_files.WEIGHTS).write_bytes(safetensors.torch.save(weights))
            self.users.write(temporary / saved_files.USERS)
            self.movies.write(temporary / saved_files.MOVIES)
            if self.history is not None:
                self.history.write(temporary / saved_files.HISTORY)
            manifest = json.dumps(self._manifest(temporary), indent=2).encode()
            (temporary / saved_files.MANIFEST).write_bytes(manifest)
        return sha256(manifest).hexdigest()

    @classmethod
    def load(
        cls, folder: Path, *, digest: str | None = None, model: type[CollaborativeFiltering] = CollaborativeFiltering
    ) -> Self:
        """Read a saved recommender and check every file. No code is run from the folder.

        Args:
            folder: Folder that `save` wrote.
            digest: Digest that `save` returned; None: not checked.
            model: Class of the saved model.

        Raises:
            DigestError: A file is missing, changed or damaged.
            DataError: A newer cfmodel wrote it, its files do not fit together, or it has other tables than `model`.
        """
        manifest = saved_files.read_manifest(folder, digest)
        saved_files.check_files(folder, manifest)
        try:
            loaded = cls._read(folder, manifest, model)
        except (safetensors.SafetensorError, pa.ArrowException, RuntimeError, KeyError, TypeError, ValueError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DataError(f"{folder}: cannot be read as a recommender ({reason}); save it again") from None
        _check_sizes(loaded, folder)
        return loaded

    @classmethod
    def _read(cls, folder: Path, manifest: dict[str, Any], model: type[CollaborativeFiltering]) -> Self:
        return cls(
            saved_files.build_model(model, safetensors.torch.load((folder / saved_files.WEIGHTS).read_bytes()), folder),
            Vocabulary.read(folder / saved_files.USERS),
            Vocabulary.read(folder / saved_files.MOVIES),
            float(manifest["rating_min"]),
            float(manifest["rating_max"]),
            History.read(folder / saved_files.HISTORY) if saved_files.has_history(manifest) else None,
            manifest["val_rmse"],
        )

    def _rows(self, rows: npt.NDArray[np.int32]) -> torch.Tensor:
        # astype copies: rows from Arrow may be read-only, which torch does not accept.
        return torch.from_numpy(rows.astype(np.int64)).to(self.model.global_mean.device)

    def _manifest(self, folder: Path) -> dict[str, Any]:
        return {
            "format_version": saved_files.FORMAT_VERSION,
            "cfmodel_version": __version__,
            "num_users": len(self.users),
            "num_movies": len(self.movies),
            "embedding_dim": self.model.embedding_dim,
            "rating_min": float(self.rating_min),
            "rating_max": float(self.rating_max),
            "val_rmse": self.val_rmse,
            "sha256": {path.name: sha256_of_file(path) for path in sorted(folder.iterdir())},
        }


def _check_sizes(loaded: Recommender, folder: Path) -> None:
    rows = loaded.model.num_rows["user"], loaded.model.num_rows["movie"]
    ids = len(loaded.users), len(loaded.movies)
    if rows != ids:
        raise DataError(
            f"{folder}: the weights hold {rows[0]:,} users and {rows[1]:,} movies, the ids {ids[0]:,} and {ids[1]:,}; "
            "save the recommender again"
        )
