"""The reference of settings is generated from their declarations, and docs/settings.md holds it."""

import tomllib
from pathlib import Path

from cfmodel.config import PipelineSettings
from cfmodel.reference import settings_table, settings_toml


def test_the_toml_reference_reads_back_as_the_defaults() -> None:
    assert PipelineSettings.of(tomllib.loads(settings_toml())) == PipelineSettings()


def test_the_reference_gives_range_and_choices() -> None:
    table = settings_table()
    assert "(above 0, below 1)" in table
    assert "`train.batch_size` | |" in table
    assert "(one of 's', 'ms', 'us', 'ns')" in table


def test_the_docs_hold_the_reference_as_it_is(root: Path) -> None:
    page = (root / "docs" / "settings.md").read_text(encoding="utf-8")
    assert settings_table() in page, "replace the table with what `python -m cfmodel.reference` prints"
