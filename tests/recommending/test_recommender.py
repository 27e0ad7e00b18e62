import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from cfmodel.column_statistics import RatingScale
from cfmodel.data.vocabulary import Vocabulary
from cfmodel.errors import ConfigError, DataError, DigestError, VocabularyError
from cfmodel.model import CollaborativeFiltering
from cfmodel.recommending.recommender import Recommender
from cfmodel.recommending.saved_files import MANIFEST, MOVIES, USERS, WEIGHTS

FILES = (WEIGHTS, USERS, MOVIES, MANIFEST)


@pytest.fixture
def recommender() -> Recommender:
    generator = torch.Generator().manual_seed(0)
    model = CollaborativeFiltering(3, 4, 2, scale=RatingScale(3.5), init_std=0.5, generator=generator)
    with torch.no_grad():
        model.user_biases.weight.normal_(generator=generator)
        model.movie_biases.weight.normal_(generator=generator)
    return Recommender(model, Vocabulary.of(["7", "ann", "bob"]), Vocabulary.of(["1", "2", "3", "007"]), 0.5, 5.0)


def rewrite_manifest(folder: Path, **changes: object) -> None:
    manifest = json.loads((folder / MANIFEST).read_bytes()) | changes
    (folder / MANIFEST).write_text(json.dumps(manifest))


def rewrite_weights(folder: Path, content: bytes) -> None:
    """Replace the weights, and their digest in the manifest, as a hostile folder might."""
    (folder / WEIGHTS).write_bytes(content)
    digests = json.loads((folder / MANIFEST).read_bytes())["sha256"]
    rewrite_manifest(folder, sha256=digests | {WEIGHTS: sha256(content).hexdigest()})


def test_a_prediction_is_the_models_clamped_to_the_range(recommender: Recommender) -> None:
    model = recommender.model
    with torch.no_grad():
        expected = float(model(torch.tensor([1]), torch.tensor([2])).clamp(0.5, 5.0))
    prediction = recommender.predict(["ann"], ["2"])
    assert prediction.dtype == np.float64
    assert prediction.tolist() == [pytest.approx(expected)]


def test_the_prediction_for_an_unknown_id_is_the_mean_and_the_known_sides_bias(recommender: Recommender) -> None:
    users, movies = (table.weight.detach() for table in (recommender.model.user_biases, recommender.model.movie_biases))
    predictions = recommender.predict(["ann", "who", "who"], ["what", "2", "what"])
    expected = [3.5 + float(users[1, 0]), 3.5 + float(movies[2, 0]), 3.5]
    np.testing.assert_allclose(predictions, np.clip(expected, 0.5, 5.0), rtol=1e-6)


def test_predictions_stay_within_the_training_range(recommender: Recommender) -> None:
    narrow = replace(recommender, rating_min=3.4, rating_max=3.6)
    predictions = narrow.predict(["ann"] * 4 + ["bob"] * 4, ["1", "2", "3", "007"] * 2)
    assert predictions.min() >= 3.4
    assert predictions.max() <= 3.6


def test_an_integer_means_its_decimal_text(recommender: Recommender) -> None:
    by_text = recommender.predict(["7", "7"], ["1", "7"])
    for ids in ([7, 7], np.array([7, 7]), pd.Series([7, 7])):
        assert recommender.predict(ids, [1, 7]).tolist() == by_text.tolist()
    assert recommender.predict([7], ["007"]).tolist() != recommender.predict([7], [7]).tolist()


def test_ids_that_are_neither_text_nor_numbers_are_refused(recommender: Recommender) -> None:
    with pytest.raises(VocabularyError, match="text or integers"):
        recommender.predict([True], ["1"])


def test_more_users_than_movies_are_refused(recommender: Recommender) -> None:
    with pytest.raises(DataError, match="got 2 users and 1 movies"):
        recommender.predict(["ann", "bob"], ["1"])


def test_no_pairs_give_no_predictions(recommender: Recommender) -> None:
    assert recommender.predict([], []).shape == (0,)


def test_predictions_do_not_depend_on_the_block_size(recommender: Recommender, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    users, movies = rng.integers(-1, 3, 100, dtype=np.int32), rng.integers(-1, 4, 100, dtype=np.int32)
    whole = recommender.predict_rows(users, movies)
    monkeypatch.setattr("cfmodel.recommending.recommender._BLOCK_ROWS", 7)
    assert recommender.predict_rows(users, movies).tolist() == whole.tolist()


def test_a_loaded_recommender_predicts_the_same_to_the_last_bit(recommender: Recommender, tmp_path: Path) -> None:
    digest = recommender.save(tmp_path / "model")
    state = torch.get_rng_state()
    loaded = Recommender.load(tmp_path / "model", digest=digest)
    assert torch.equal(torch.get_rng_state(), state)
    users, movies = ["7", "ann", "bob", "who"] * 5, ["1", "2", "3", "007", "what"] * 4
    assert loaded.predict(users, movies).tobytes() == recommender.predict(users, movies).tobytes()
    assert (loaded.rating_min, loaded.rating_max) == (0.5, 5.0)
    for name, tensor in recommender.model.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], tensor)


def test_the_folder_has_data_files_only_and_its_digest_is_the_manifests(
    recommender: Recommender, tmp_path: Path
) -> None:
    digest = recommender.save(tmp_path / "model")
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == sorted(FILES)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert digest == sha256((tmp_path / "model" / MANIFEST).read_bytes()).hexdigest()
    manifest = json.loads((tmp_path / "model" / MANIFEST).read_bytes())
    assert manifest["format_version"] == 2
    assert (manifest["num_users"], manifest["num_movies"], manifest["embedding_dim"]) == (3, 4, 2)


def test_the_same_recommender_has_the_same_digest_and_another_replaces_it(
    recommender: Recommender, tmp_path: Path
) -> None:
    first = recommender.save(tmp_path / "model")
    assert recommender.save(tmp_path / "model") == first
    other = replace(recommender, rating_max=4.5).save(tmp_path / "model")
    assert other != first
    assert Recommender.load(tmp_path / "model", digest=other).rating_max == 4.5


def test_a_folder_with_other_files_is_not_replaced(recommender: Recommender, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match="not a saved recommender"):
        recommender.save(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("name", FILES)
def test_one_flipped_byte_is_detected(recommender: Recommender, tmp_path: Path, name: str) -> None:
    digest = recommender.save(tmp_path / "model")
    path = tmp_path / "model" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DigestError, match=name):
        Recommender.load(tmp_path / "model", digest=digest)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(recommender: Recommender, tmp_path: Path, name: str) -> None:
    recommender.save(tmp_path / "model")
    (tmp_path / "model" / name).unlink()
    with pytest.raises(DigestError, match=rf"{name}: cannot be read"):
        Recommender.load(tmp_path / "model")


def test_a_newer_format_is_refused_with_the_version_to_upgrade_to(recommender: Recommender, tmp_path: Path) -> None:
    recommender.save(tmp_path)
    rewrite_manifest(tmp_path, format_version=3, cfmodel_version="9.1.0")
    with pytest.raises(DataError, match=r"format version 3.*upgrade cfmodel to 9\.1\.0"):
        Recommender.load(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format_version": "x"}'])
def test_an_invalid_manifest_is_refused(recommender: Recommender, tmp_path: Path, content: str) -> None:
    recommender.save(tmp_path)
    (tmp_path / MANIFEST).write_text(content)
    with pytest.raises(DigestError, match="damaged"):
        Recommender.load(tmp_path)


def test_weights_that_are_not_safetensors_are_refused_and_not_executed(
    recommender: Recommender, tmp_path: Path
) -> None:
    recommender.save(tmp_path)
    rewrite_weights(tmp_path, b"cos\nsystem\n(S'touch pwned'\ntR.")
    with pytest.raises(DataError, match="cannot be read as a recommender"):
        Recommender.load(tmp_path)


def test_weights_of_a_different_size_from_the_ids_are_refused(recommender: Recommender, tmp_path: Path) -> None:
    smaller = replace(recommender, model=CollaborativeFiltering(2, 4, 2))
    recommender.save(tmp_path / "a")
    smaller.save(tmp_path / "b")
    rewrite_weights(tmp_path / "a", (tmp_path / "b" / WEIGHTS).read_bytes())
    with pytest.raises(DataError, match="2 users and 4 movies, the ids 3 and 4"):
        Recommender.load(tmp_path / "a")


def test_file_names_in_the_manifest_are_never_opened(recommender: Recommender, tmp_path: Path) -> None:
    recommender.save(tmp_path / "model")
    rewrite_manifest(tmp_path / "model", sha256={"../../etc/passwd": "0" * 64})
    with pytest.raises(DigestError, match=WEIGHTS):
        Recommender.load(tmp_path / "model")
