"""Settings of one run, as typed after `--set` on a command line."""

import tomllib
from collections.abc import Iterable
from typing import Any, get_args

from cfmodel.config import setting_fields
from cfmodel.errors import ConfigError


def read_overrides(texts: Iterable[str]) -> dict[str, Any]:
    """Read `name=value` pairs.

    The value of a text setting is taken as it is, with `\\t` for a tab. Any other value is TOML, so numbers, `true`
    and lists are what they look like. `null` is null.

    Raises:
        ConfigError: A pair has no name or no equals sign.
    """
    return dict(map(_override, texts))


def _override(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ConfigError(f"--set {text}: expected NAME=VALUE, such as train.epochs=5")
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
