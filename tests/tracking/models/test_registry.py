"""Versions and aliases in a real MLflow store, read back with its client."""

import pytest
from mlflow import MlflowClient
from teams import Team

from cfmodel import tracking
from cfmodel.errors import TrackingError
from cfmodel.tracking.models.registry import remove_alias, set_alias


def test_a_model_registered_twice_is_one_version(team: Team, client: MlflowClient) -> None:
    version = team.challenger(epochs=1)
    run = tracking.read_run(version.tracking_uri, version.run_id).run
    again = tracking.register_challenger(run, version.tags["model_uri"], team.settings.promotion)
    assert again.number == version.number
    assert len(client.search_model_versions(f"name = '{team.name}'")) == 1


def test_an_alias_points_at_one_version_until_it_is_removed(team: Team) -> None:
    one, other = team.challenger(epochs=1), team.challenger(epochs=2)
    uri = one.tracking_uri

    def aliases() -> list[tuple[str, ...]]:
        return [tracking.version_of(uri, team.name, version.number).aliases for version in (one, other)]

    assert aliases() == [(), ("challenger",)]
    set_alias(one, "challenger")
    assert aliases() == [("challenger",), ()]
    remove_alias(one, "challenger")
    assert aliases() == [(), ()]
    assert tracking.find_version(uri, team.name, "challenger") is None
    with pytest.raises(TrackingError, match="no version or alias 'challenger'"):
        tracking.version_of(uri, team.name, "challenger")
