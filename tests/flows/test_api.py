"""The Prefect server that a command uses."""

from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, PREFECT_SERVER_API_PORT, temporary_settings

from cfmodel.errors import CFModelError
from flows.api import configured_url, connection_error, local_url, prefect_home, require_answer


def test_addresses_and_home_are_those_of_prefects_settings(tmp_path: Path) -> None:
    ours = {PREFECT_API_URL: "http://host/api", PREFECT_SERVER_API_PORT: 4242, PREFECT_HOME: tmp_path}
    with temporary_settings(ours):
        assert (configured_url(), local_url(), prefect_home()) == (
            "http://host/api",
            "http://127.0.0.1:4242/api",
            tmp_path,
        )


def test_a_server_that_answers_has_no_error(prefect_api: str) -> None:
    assert connection_error(prefect_api) is None
    require_answer(prefect_api, remedy="start it")


def test_an_address_without_a_server_is_refused_with_the_remedy() -> None:
    with pytest.raises(CFModelError, match=r"^no Prefect server answers at http://127.0.0.1:9/api \(.+\); start it$"):
        require_answer("http://127.0.0.1:9/api", remedy="start it")
