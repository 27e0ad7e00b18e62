"""Settings: defaults, layers, and refusals with their dotted names."""

from pathlib import Path
from typing import Any

import pytest

from cfmodel.config import PipelineSettings, TrackingSettings, TrainSettings, setting_fields
from cfmodel.errors import ConfigError


def refusal(overrides: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as refused:
        PipelineSettings.of(overrides=overrides)
    return str(refused.value)


def test_a_misspelt_setting_is_refused_with_its_dotted_name_and_the_one_meant() -> None:
    assert refusal({"train.epoch": 5}) == "train.epoch is not a setting; did you mean train.epochs?"
    assert refusal({"ingest.columns.user": "u"}).startswith("ingest.columns.user is not a setting")


def test_a_misspelt_section_is_refused_with_the_dotted_name() -> None:
    assert refusal({"trian.seed": 5}) == "trian.seed is not a setting; did you mean train.seed?"


def test_a_misspelt_setting_in_a_section_is_refused_with_its_dotted_name() -> None:
    with pytest.raises(ConfigError, match=r"split\.sead is not a setting; did you mean split\.seed\?"):
        PipelineSettings.of({"split": {"sead": 1}})


def test_a_name_below_a_leaf_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"train\.epochs"):
        PipelineSettings.of({"train": {"epochs": 5}}, overrides={"train.epochs.x": 3})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("train.epochs", 0),
        ("train.learning_rate", 0.0),
        ("split.test_fraction", 1.0),
        ("split.strategy", "rnadom"),
        ("runtime.device", "tpu"),
        ("ingest.rating_range", [5.0, 1.0]),
        ("evaluation.k", [0]),
        ("evaluation.k", []),
    ],
)
def test_a_value_outside_its_range_is_refused_with_the_dotted_name(name: str, value: Any) -> None:
    assert name in refusal({name: value}) or name.rpartition(".")[2] in refusal({name: value})


def test_a_predefined_split_and_its_test_file_go_together() -> None:
    assert "test_source" in refusal({"split.strategy": "predefined"})
    assert "test_source" in refusal({"split.test_source": "u1.test"})
    PipelineSettings.of(overrides={"split.strategy": "predefined", "split.test_source": "u1.test"})


def test_an_override_changes_one_setting_and_keeps_the_rest_of_its_section() -> None:
    settings = PipelineSettings.of({"train": TrainSettings(embedding_dim=8)}, overrides={"train.epochs": 3})
    assert (settings.train.embedding_dim, settings.train.epochs) == (8, 3)


def test_the_sections_given_are_left_as_they_are() -> None:
    sections = {"train": {"epochs": 5}}
    PipelineSettings.of(sections, overrides={"train.epochs": 3, "split.seed": 1})
    assert sections == {"train": {"epochs": 5}}


def test_settings_are_read_from_toml(tmp_path: Path) -> None:
    file = tmp_path / "cfmodel.toml"
    file.write_text('[train]\nepochs = 3\n[ingest.columns]\nuser_id = "customer"\n')
    settings = PipelineSettings.read(file, overrides={"train.seed": 7})
    assert (settings.train.epochs, settings.train.seed, settings.ingest.columns.user_id) == (3, 7, "customer")


def test_a_settings_file_that_is_missing_or_not_toml_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml: no such settings file"):
        PipelineSettings.read(tmp_path / "absent.toml")
    (tmp_path / "bad.toml").write_text("[train\n")
    with pytest.raises(ConfigError, match=r"bad\.toml: not a TOML file"):
        PipelineSettings.read(tmp_path / "bad.toml")


def test_the_flat_settings_name_every_setting_once() -> None:
    assert list(PipelineSettings().flat()) == [name for name, _ in setting_fields()]


def test_every_setting_has_a_description() -> None:
    assert [name for name, field in setting_fields() if not field.description] == []


@pytest.mark.parametrize("text", ["a = " + "9" * 5_000, "a = " + "[" * 5_000, "a = 1\nb", "\x00"])
def test_a_file_that_is_not_toml_is_refused_with_the_reason(text: str, tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"x.toml: not a TOML file: "):
        PipelineSettings.read(path)


def test_a_password_in_a_setting_is_refused_since_settings_are_stored() -> None:
    with pytest.raises(ConfigError, match="MLFLOW_TRACKING_PASSWORD") as refusal:
        PipelineSettings.of(overrides={"tracking.uri": "http://me:secret-word@host:5000"})
    assert "secret-word" not in str(refusal.value)
    predefined = {"split.strategy": "predefined", "split.test_source": "s3://key:secret-word@bucket/x.csv"}
    with pytest.raises(ConfigError, match=r"split\.test_source: holds a password or key") as refusal:
        PipelineSettings.of(overrides=predefined)
    assert "secret-word" not in str(refusal.value)
    with pytest.raises(ValueError, match="holds a password") as invalid:
        TrackingSettings(uri="postgresql://me:secret-word@host/mlflow")
    assert "secret-word" not in str(invalid.value)
    assert TrackingSettings(uri="http://me@host:5000").uri == "http://me@host:5000"
