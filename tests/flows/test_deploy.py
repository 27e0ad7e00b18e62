"""What `make deploy` refuses: unset variables, and passwords that Prefect's pages would show."""

import pytest

from cfmodel.errors import ConfigError
from flows.deploy import require_no_password, require_no_secrets, require_variables, without_source


def test_every_variable_of_the_file_must_be_set() -> None:
    project = {"pull": [{"directory": "{{ $PWD }}"}], "parameters": {"source": "{{ $RATINGS }}/{{ $DAY }}.csv"}}
    with pytest.raises(ConfigError, match=r"not set in this environment: DAY, RATINGS; export"):
        require_variables(project, {"PWD": "/here", "DAY": ""})
    require_variables(project, {"PWD": "/here", "DAY": "monday", "RATINGS": "/there"})


def test_a_password_in_the_stores_address_is_not_deployed() -> None:
    with pytest.raises(ConfigError, match="MLFLOW_TRACKING_PASSWORD") as refused:
        require_no_password("http://me:secret@127.0.0.1:5000")
    assert "secret" not in str(refused.value)
    require_no_password("http://127.0.0.1:5000")


def test_a_password_in_a_sources_address_is_not_deployed() -> None:
    project = {"deployments": [{"name": "cpu", "parameters": {"source": "s3://{{ $KEY }}@bucket/x.csv"}}]}
    with pytest.raises(ConfigError, match=r"deployment 'cpu': source holds a password or key") as refused:
        require_no_secrets(project, {"KEY": "me:secret-word"})
    assert "secret-word" not in str(refused.value)
    require_no_secrets(project, {"KEY": "me"})


def test_schedules_wait_for_a_source_where_they_are_to_follow_it() -> None:
    schedules = [{"cron": "0 3 * * *", "active": "{{ $CFMODEL_SCHEDULES_ACTIVE }}"}]

    def waiting(source: str | None, **changes: object) -> list[str]:
        parameters = {} if source is None else {"source": source}
        return without_source(
            {"deployments": [{"name": "cpu", "parameters": parameters, "schedules": schedules} | changes]}
        )

    assert waiting("synthetic") == waiting("synthetic:users=50") == ["deployment 'cpu'"]
    assert waiting("ratings.csv") == waiting(None) == []
    assert waiting("synthetic", schedules=[{"cron": "0 3 * * *", "active": False}]) == []
