"""Lines and tables as the commands print them."""

from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table


def print_line(console: Console, text: str) -> None:
    """Print a line as it is: unwrapped, so that a command or a path in it can be copied, and without markup."""
    console.print(text, soft_wrap=True, highlight=False, markup=False)


def new_table(**options: Any) -> Table:
    """Return an empty table without borders; options are those of rich."""
    return Table(box=box.SIMPLE_HEAD, pad_edge=False, **options)
