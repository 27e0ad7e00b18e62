"""The Prefect server that cfmodel starts."""

from pathlib import Path

import pytest

from cfmodel.errors import CFModelError
from flows.server import prefect_server


def test_a_server_that_does_not_start_is_an_error_that_names_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_DATABASE_CONNECTION_URL", "sqlite+aiosqlite:////no/such/folder/prefect.db")
    with (
        pytest.raises(CFModelError, match=r"the Prefect server that records this run ended; its log is .*server\.log"),
        prefect_server(tmp_path),
    ):
        pass
    assert (tmp_path / "server.log").read_text()
