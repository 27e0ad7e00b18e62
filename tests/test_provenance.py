"""What makes two runs equal: data, settings of the training and code; not where they run."""

from pathlib import Path

from cfmodel.config import PipelineSettings
from cfmodel.provenance import inputs_digest
from cfmodel.refs import DatasetRef


def dataset(digest: str) -> DatasetRef:
    return DatasetRef(
        path=Path(digest), digest=digest, source="s", source_digest="d", rows=1, users=1, movies=1, rating_min=1.0,
        rating_max=5.0, has_timestamps=False, seconds=0.1,
    )  # fmt: skip


def digest(data: str = "a", **overrides: object) -> str:
    named = {name.replace("__", "."): value for name, value in overrides.items()}
    return inputs_digest(PipelineSettings.of(overrides=named), dataset(data), None)


def test_other_data_other_settings_and_another_test_file_make_another_run() -> None:
    assert digest() == digest()
    assert digest("b") != digest()
    assert digest(train__epochs=3) != digest()
    settings = PipelineSettings()
    assert inputs_digest(settings, dataset("a"), dataset("b")) != inputs_digest(settings, dataset("a"), None)


def test_where_a_run_happens_and_is_recorded_does_not() -> None:
    assert digest(runtime__device="cpu", tracking__uri="http://127.0.0.1:1", keep__days=1) == digest()
