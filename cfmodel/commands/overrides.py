"""Settings of one run, as typed after `--set` on a command line."""

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

from cfmodel.config import PipelineSettings, setting_fields
from cfmodel.errors import CFModelError, ConfigError


def read_overrides(texts: Iterable[str]) -> dict[str, Any]:
    """Read `name=value` pairs.

    The value of a text setting is taken as it is, with `\\t` for a tab. Any other value is TOML, so numbers, `true`
    and lists are what they look like. `null` is null.

    Raises:
        ConfigError: Pairs have no name or no equals sign.
    """
    given = list(texts)
    if wrong := _not_pairs(given):
        raise ConfigError("\n".join(wrong))
    return dict(map(_override, given))


def read_settings(config: Path | None, overrides: Iterable[str], *, source: str | None) -> PipelineSettings:
    """Return all settings of a command.

    Args:
        config: TOML file of settings.
        overrides: `name=value` pairs, which win.
        source: The ratings, if the command takes some; what is wrong with them is told together with the settings.

    Raises:
        ConfigError: The file or a setting is wrong.
    """
    given = list(overrides)
    wrong = _not_pairs(given)
    pairs = read_overrides(filter(_is_pair, given))
    try:
        settings = PipelineSettings.read(config, overrides=pairs)
    except ConfigError as refusal:
        wrong.append(str(refusal))
    if not wrong:
        return settings
    if source is not None:
        wrong += _wrong_with(source, config, pairs)
    raise ConfigError("\n".join(wrong))


def _wrong_with(source: str, config: Path | None, given: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with a source; its columns only if the settings about them are right."""
    from cfmodel.data.ingest.look import look
    from cfmodel.data.sources.sources import check_source

    known = {name for name, _ in setting_fields()}
    about_data = {name: given[name] for name in given if name.startswith(("ingest.", "split.")) and name in known}
    try:
        settings = PipelineSettings.read(config, overrides=about_data)
    except ConfigError:
        settings = None
    try:
        if settings is None:
            check_source(source)
        else:
            look(source, settings.ingest, settings.split)
    except CFModelError as refusal:
        return [str(refusal)]
    return []


def _is_pair(text: str) -> bool:
    return "=" in text and not text.startswith("=")


def _not_pairs(texts: Iterable[str]) -> list[str]:
    return [f"--set {text}: expected NAME=VALUE, such as train.epochs=5" for text in texts if not _is_pair(text)]


def _override(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    if value == "null":
        return name, None
    if _is_text(name):
        return name, value.replace("\\t", "\t")
    try:
        return name, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return name, value


def _is_text(name: str) -> bool:
    kinds = {dotted: field.annotation for dotted, field in setting_fields()}
    return name in kinds and str in (kinds[name], *get_args(kinds[name]))
