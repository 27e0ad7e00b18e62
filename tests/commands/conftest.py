"""A registered model with a champion and a challenger, and commands on it."""

from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result
from teams import Team

from cfmodel import tracking
from cfmodel.cli import main


@pytest.fixture(scope="session")
def team(mlflow_store: str, tmp_path_factory: pytest.TempPathFactory) -> Team:
    """Return a team whose champion replaced an earlier one, and whose challenger is no better."""
    made = Team.new(mlflow_store, tmp_path_factory.mktemp("models"))
    for epochs in (4, 12):
        made.challenger(epochs=epochs)
        assert tracking.promote(made.settings).is_promotion
    made.challenger(epochs=1)
    return made


@pytest.fixture(scope="session")
def run(team: Team) -> Callable[..., Result]:
    """Run a command on the team's model, in this process."""
    own = {"promotion.model_name": team.name, "tracking.uri": team.settings.tracking.uri}
    own |= {"tracking.experiment": team.settings.tracking.experiment, "scoring.k": "3"}
    sets = [part for name, value in own.items() for part in ("--set", f"{name}={value}")]
    return lambda *arguments: CliRunner().invoke(main, [*arguments, *sets], catch_exceptions=False)
