"""Frozen records as plain JSON values and back, by their type hints."""

import math
import types
import typing
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np


def to_plain(value: Any) -> Any:
    """Return a record as dicts, lists and numbers; a float that is not finite becomes text, as JSON has none."""
    if is_dataclass(value):
        return {field.name: to_plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return to_plain(value.tolist())
    if isinstance(value, tuple | list):
        return [to_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def from_plain(kind: Any, value: Any) -> Any:
    """Rebuild a value of a type from what `to_plain` made of it; keys the type does not know are left out.

    Raises:
        KeyError: A field is missing.
        ValueError: A number is none.
    """
    if is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return kind(**{name: from_plain(hint, value[name]) for name, hint in hints.items()})  # type: ignore[operator]
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is dict:
        return {key: from_plain(inner[1], item) for key, item in value.items()}
    if origin is tuple:
        return tuple(from_plain(inner[0], item) for item in value)
    if origin is np.ndarray:
        return np.asarray(value, dtype=typing.get_args(inner[1])[0])
    if origin in (typing.Union, types.UnionType):
        return None if value is None else from_plain(inner[0], value)
    return kind(value) if kind in (int, float) else value
