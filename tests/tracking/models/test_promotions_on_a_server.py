"""The same registry behind an MLflow server, which takes other addresses of a model than a database does."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow_servers import Server
from teams import Team

from cfmodel import tracking


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    with Server(tmp_path).running() as server:
        yield server.uri


def test_a_model_on_a_server_is_promoted_rolled_back_and_loaded(server: str, promotion_folder: Path) -> None:
    team = Team.new(server, promotion_folder)
    first = team.challenger(epochs=4)
    assert tracking.promote(team.settings).is_promotion
    second = team.challenger(epochs=12)
    assert tracking.promote(team.settings).is_promotion
    assert team.champion() == second.number
    assert tracking.rollback(team.settings).version == first.number
    assert tracking.load_model(team.settings).name == f"{team.name} version {first.number} (champion)"
