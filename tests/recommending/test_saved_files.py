import json
from hashlib import sha256
from pathlib import Path

import pytest
import torch

from cfmodel.column_statistics import RatingScale
from cfmodel.errors import DataError, DigestError
from cfmodel.model import CollaborativeFiltering
from cfmodel.recommending.saved_files import (
    HISTORY,
    MANIFEST,
    MOVIES,
    USERS,
    WEIGHTS,
    build_model,
    check_files,
    has_history,
    read_manifest,
)


def write_files(folder: Path, *names: str) -> dict[str, object]:
    """Write files, and return a manifest with their digests."""
    for name in names:
        (folder / name).write_text(f"content of {name}")
    return {"format_version": 1, "sha256": {name: sha256((folder / name).read_bytes()).hexdigest() for name in names}}


def test_a_manifest_is_read_and_must_have_the_digest_given(tmp_path: Path) -> None:
    content = json.dumps({"format_version": 1, "num_users": 3})
    (tmp_path / MANIFEST).write_text(content)
    assert read_manifest(tmp_path)["num_users"] == 3
    assert read_manifest(tmp_path, sha256(content.encode()).hexdigest())["num_users"] == 3
    with pytest.raises(DigestError, match=r"model\.json: does not have the expected digest \(000000000000\)"):
        read_manifest(tmp_path, "0" * 64)


@pytest.mark.parametrize("names", [(WEIGHTS, USERS, MOVIES), (WEIGHTS, USERS, MOVIES, HISTORY)])
def test_every_file_of_the_manifest_is_checked(tmp_path: Path, names: tuple[str, ...]) -> None:
    manifest = write_files(tmp_path, *names)
    assert has_history(manifest) is (HISTORY in names)
    check_files(tmp_path, manifest)
    for name in names:
        before = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(before[:-1])
        with pytest.raises(DigestError, match=f"{name}: is changed or damaged"):
            check_files(tmp_path, manifest)
        (tmp_path / name).write_bytes(before)


def test_a_model_has_the_saved_weights_and_is_not_trainable(tmp_path: Path) -> None:
    saved = CollaborativeFiltering(3, 4, 2, scale=RatingScale(3.5)).state_dict()
    model = build_model(CollaborativeFiltering, saved, tmp_path)
    assert all(torch.equal(tensor, saved[name]) for name, tensor in model.state_dict().items())
    assert not any(parameter.requires_grad for parameter in model.parameters())
    saved["more.weight"] = torch.zeros(3, 1)
    with pytest.raises(DataError, match="holds the tables more, movie_biases"):
        build_model(CollaborativeFiltering, saved, tmp_path)
