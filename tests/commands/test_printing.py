"""How the commands print lines."""

from io import StringIO

from rich.console import Console

from cfmodel.commands.printing import print_line


def test_a_line_is_printed_as_it_is_however_long_and_with_brackets() -> None:
    console = Console(file=StringIO(), width=20)
    line = "cfmodel run [red]ratings.csv --set tracking.uri=sqlite:////home/me/mlflow.db"
    print_line(console, line)
    assert isinstance(console.file, StringIO)
    assert console.file.getvalue() == line + "\n"
