"""The reference of settings is written from their declarations, and the README carries it."""

import tomllib
from pathlib import Path

from cfmodel.config import PipelineSettings
from cfmodel.reference import as_markdown, as_toml

README = Path(__file__).parent.parent / "README.md"


def test_the_toml_reference_reads_back_as_the_defaults() -> None:
    assert PipelineSettings.of(tomllib.loads(as_toml())) == PipelineSettings()


def test_the_reference_tells_range_and_choices() -> None:
    table = as_markdown()
    assert "(above 0, below 1)" in table
    assert "`train.batch_size` | |" in table


def test_the_readme_carries_the_reference_as_it_is() -> None:
    assert as_markdown() in README.read_text(encoding="utf-8")
