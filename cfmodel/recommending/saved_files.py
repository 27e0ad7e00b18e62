"""The files of a saved recommender: their names, the manifest `model.json`, and the checks on reading."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from cfmodel import __version__
from cfmodel.errors import DataError, DigestError
from cfmodel.model import CollaborativeFiltering

#: Since version 2 the tables are in standard deviations of the ratings, and `rating_std` says what one is.
FORMAT_VERSION = 2
WEIGHTS, USERS, MOVIES, MANIFEST = "weights.safetensors", "users.parquet", "movies.parquet", "model.json"
HISTORY = "history.safetensors"


def read_manifest(folder: Path, digest: str | None = None) -> dict[str, Any]:
    """Read `model.json`.

    Args:
        digest: SHA-256 the manifest must have, hexadecimal; None: any.

    Raises:
        DigestError: The manifest is missing or damaged, or has another digest.
        DataError: A newer cfmodel wrote it.
    """
    content = _read(folder, MANIFEST)
    if digest is not None and sha256(content).hexdigest() != digest:
        raise DigestError(
            f"{folder / MANIFEST}: does not have the expected digest ({digest[:12]}); save the recommender again"
        )
    try:
        manifest = json.loads(content)
        version = int(manifest["format_version"])
    except (ValueError, KeyError, TypeError):
        raise DigestError(f"{folder / MANIFEST}: is damaged; save the recommender again") from None
    if version > FORMAT_VERSION:
        writer = manifest.get("cfmodel_version", "a newer one")
        raise DataError(
            f"{folder}: has format version {version}, written by cfmodel {writer}; cfmodel {__version__} reads "
            f"versions up to {FORMAT_VERSION}; upgrade cfmodel to {writer} or later"
        )
    return dict(manifest)


def has_history(manifest: dict[str, Any]) -> bool:
    """Return whether the recommender was saved with a history."""
    digests = manifest.get("sha256")
    return isinstance(digests, dict) and HISTORY in digests


def check_files(folder: Path, manifest: dict[str, Any]) -> None:
    """Compare the files' digests with those in the manifest. File names in the manifest are never opened.

    Raises:
        DigestError: A file is missing, changed or damaged.
    """
    expected = manifest.get("sha256")
    for name in (WEIGHTS, USERS, MOVIES, *([HISTORY] if has_history(manifest) else [])):
        if not isinstance(expected, dict) or sha256(_read(folder, name)).hexdigest() != expected.get(name):
            raise DigestError(
                f"{folder / name}: is changed or damaged, not the file {MANIFEST} lists; save the recommender again"
            )


def build_model(
    kind: type[CollaborativeFiltering], weights: dict[str, torch.Tensor], folder: Path
) -> CollaborativeFiltering:
    """Return a model with saved weights.

    Raises:
        DataError: The weights are those of another class of model.
    """
    shapes = {name.removesuffix(".weight"): tensor.shape for name, tensor in weights.items() if tensor.dim() == 2}
    if set(shapes) != set(kind.table_names()):
        raise DataError(
            f"{folder}: holds the tables {', '.join(sorted(shapes))}, where {kind.__name__} has "
            f"{', '.join(sorted(kind.table_names()))}; load it as the class of model that was saved"
        )
    rows = {table.side: shapes[table.name][0] for table in kind.TABLES}
    embedding_dim = next(shapes[table.name][1] for table in kind.TABLES if table.width is None)
    # The meta device allocates nothing, and `assign` puts the saved tables in place. Drawing values on it would import
    # torch's compiler, which takes longer than all the rest.
    with torch.device("meta"):
        model = kind(rows["user"], rows["movie"], embedding_dim, init_std=None)
    scale = {"rating_std": torch.tensor(1.0, dtype=torch.float64), **weights}
    model.load_state_dict({**scale, "global_mean": weights["global_mean"].double()}, assign=True)
    return model.requires_grad_(False).eval()


def _read(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise DigestError(f"{folder / name}: cannot be read ({error.strerror}); save the recommender again") from None
