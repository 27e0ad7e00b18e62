"""Which command opens MLflow on a store."""

from pathlib import Path

import pytest

from cfmodel.commands.ui import opening_command


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("sqlite:///{here}/mlflow.db", "make ui"),
        ("sqlite:///{here}/other.db", "cfmodel ui --set tracking.uri=sqlite:///{here}/other.db"),
        ("http://127.0.0.1:5000", None),
    ],
)
def test_the_command_that_opens_mlflow_fits_the_store(
    uri: str, expected: str | None, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    assert opening_command(uri.format(here=root)) == (expected and expected.format(here=root))
