"""The reference of all settings, generated from their declarations."""

import json
from collections.abc import Iterator
from itertools import groupby
from typing import Any, get_args

from annotated_types import Ge, Gt, Le, Lt

from cfmodel.config import PipelineSettings, setting_fields

_SIGNS = {Ge: "at least", Gt: "above", Le: "at most", Lt: "below"}


def settings_toml() -> str:
    """Return a TOML file with every setting at its default; a setting that is null is commented out."""
    defaults = PipelineSettings().flat()
    lines = ["# Every setting of cfmodel at its default: cfmodel run SOURCE --config FILE"]
    for section, names in groupby(setting_fields(), key=lambda named: named[0].rpartition(".")[0]):
        lines += ["", f"[{section}]"]
        for dotted, field in names:
            leaf, value = dotted.rpartition(".")[2], defaults[dotted]
            setting = f"# {leaf} =" if value is None else f"{leaf} = {json.dumps(value)}"
            lines += [f"# {field.description}{_range(field)}", setting]
    return "\n".join(lines) + "\n"


def settings_table() -> str:
    """Return a Markdown table of every setting: dotted name, default, meaning and range."""
    return "\n".join(["| setting | default | meaning |", "|---|---|---|", *_rows()]) + "\n"


def _rows() -> Iterator[str]:
    defaults = PipelineSettings().flat()
    for dotted, field in setting_fields():
        value = "" if defaults[dotted] is None else f"`{json.dumps(defaults[dotted])}`"
        yield f"| `{dotted}` | {value} | {field.description}{_range(field)} |".replace("  ", " ")


def _range(field: Any) -> str:
    bounds = [
        f"{words} {getattr(limit, sign.__name__.lower()):,}"
        for limit in field.metadata
        for sign, words in _SIGNS.items()
        if isinstance(limit, sign)
    ]
    annotations = (field.annotation, *get_args(field.annotation))  # Literal, or Literal | None
    choices = [repr(choice) for each in annotations for choice in get_args(each) if isinstance(choice, str)]
    described = all(choice.strip("'") in field.description for choice in choices)
    limits = bounds if described else [*bounds, "one of " + ", ".join(choices)]
    return f" ({', '.join(limits)})" if limits else ""


if __name__ == "__main__":
    print(settings_table(), end="")
