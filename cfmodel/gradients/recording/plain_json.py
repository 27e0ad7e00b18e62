"""Conversion of frozen records to plain JSON values and back, by their type hints."""

import math
import types
import typing
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any

import numpy as np


def to_plain(value: Any) -> Any:
    """Return a record as dicts, lists and numbers.

    A float that is not finite becomes text, as JSON has none. An optional field that is empty is left out.
    """
    if is_dataclass(value):
        found = ((field, getattr(value, field.name)) for field in fields(value))
        return {field.name: to_plain(item) for field, item in found if not _is_optional(field) or item}
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
    """Rebuild a value of a type from what `to_plain` returned; ignore keys that the type does not have.

    Raises:
        KeyError: A field without a default is missing.
        ValueError: A value is not a number where the type has one.
    """
    if is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        given = (field.name for field in fields(kind) if field.name in value or not _has_default(field))
        return kind(**{name: from_plain(hints[name], value[name]) for name in given})  # type: ignore[operator]
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


def _has_default(field: Field[Any]) -> bool:
    return _is_optional(field) or field.default is not MISSING


def _is_optional(field: Field[Any]) -> bool:
    return field.default_factory is not MISSING
