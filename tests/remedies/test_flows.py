"""Remedies of refusals of the command, the flows and the servers, followed."""

import re
from pathlib import Path

import pytest
from following import refused
from httpx import ConnectError
from refusals import remedy_of

from cfmodel import terminal
from cfmodel.commands.overrides import read_overrides
from cfmodel.commands.run import _explain_import_error
from cfmodel.config import PipelineSettings
from cfmodel.refs import RunRef
from flows.api import require_answer
from flows.deploy import _prefect, require_no_password, require_no_secrets, require_variables
from flows.guarded import flow
from flows.outage import run_after_outage, tolerate_outage
from flows.server import prefect_server
from flows.worker import _stores_of, require_one_card


def test_a_setting_with_a_name_and_a_value() -> None:
    with refused("--set epochs: expected NAME=VALUE, such as train.epochs=5"):
        read_overrides(["epochs"])
    assert PipelineSettings.of(overrides=read_overrides(["train.epochs=5"])).train.epochs == 5


@remedy_of("cfmodel/commands/run.py", "needs the flows of a checkout")
@remedy_of("cfmodel/commands/run.py", "needs Prefect, which is not installed")
def test_what_a_run_needs_is_in_a_checkout_with_its_extra(root: Path) -> None:
    import tomllib

    said = str(_explain_import_error(ModuleNotFoundError(name="flows")))
    assert "clone cfmodel and use `make run` in it" in said
    assert (root / "flows" / "local.py").exists()
    assert re.search(r"^run:", (root / "Makefile").read_text(), re.MULTILINE)
    said = str(_explain_import_error(ModuleNotFoundError(name="prefect")))
    assert "pip install -e '.[flows]'" in said
    extras = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert any(requirement.startswith("prefect") for requirement in extras["flows"])


@remedy_of("flows/api.py", "no Prefect server answers at {} ({}); {}")
def test_a_server_that_was_started_answers(prefect_api: str) -> None:
    with refused("no Prefect server answers", "start it"):
        require_answer("http://127.0.0.1:9/api", remedy="start it")
    require_answer(prefect_api, remedy="start it")


@remedy_of("flows/server.py", "Read the log, or set PREFECT_API_URL to a server of yours")
def test_the_log_of_a_server_says_why_it_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefect_api: str
) -> None:
    monkeypatch.setenv("PREFECT_API_DATABASE_CONNECTION_URL", "sqlite+aiosqlite:////no/such/folder/prefect.db")
    with refused("ended; its log is ", "Read the log") as raised, prefect_server(tmp_path):
        pass
    (log,) = re.findall(r"its log is (\S+)\. Read", str(raised.value))
    assert "unable to open database file" in Path(log).read_text()
    require_answer(prefect_api, remedy="")  # a server of one's own


@remedy_of("flows/outage.py", "start the server and run again")
def test_a_run_that_is_started_again_completes() -> None:
    done = RunRef(
        run_id="r", tracking_uri="u", experiment_id="1", model_path=Path("m"), model_digest="d", model_uri="x"
    )
    with terminal.use_screen(terminal.SilentScreen()):
        with tolerate_outage():
            raise ConnectError("refused")
        with refused("did not complete; start the server and run again"):
            run_after_outage("http://127.0.0.1:9/api")
        terminal.current_screen().complete(done)
        assert terminal.current_screen().completed in (None, done)


@remedy_of("flows/guarded.py", "leave it to the store's own configuration where the flow runs")
@pytest.mark.usefixtures("prefect_api")
def test_a_flow_without_the_password_in_the_address_runs() -> None:
    @flow(name="reads")
    def reads(source: str) -> str:
        return source

    with refused("source holds a password or key", "leave it to the store's own configuration"):
        reads("s3://key:secret-word@bucket/x.csv")
    assert reads("s3://bucket/x.csv") == "s3://bucket/x.csv"


@remedy_of("flows/deploy.py", "export what is missing")
@remedy_of("flows/deploy.py", "take it out of the address and export MLFLOW_TRACKING_USERNAME")
@remedy_of("flows/deploy.py", "leave it to the store's own configuration where the workers start")
def test_an_environment_and_addresses_as_the_refusals_ask_are_deployed() -> None:
    with refused("not set in this environment: RATINGS; export what is missing"):
        require_variables({"source": "{{ $RATINGS }}"}, {})
    require_variables({"source": "{{ $RATINGS }}"}, {"RATINGS": "x.csv"})
    with refused("take it out of the address and export MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"):
        require_no_password("http://me:secret-word@host:5000")
    require_no_password("http://host:5000")
    holding = {"deployments": [{"name": "cpu", "parameters": {"source": "s3://key:secret-word@bucket/x.csv"}}]}
    with refused("leave it to the store's own configuration where the workers start"):
        require_no_secrets(holding, {})
    holding["deployments"][0]["parameters"] = {"source": "s3://bucket/x.csv"}
    require_no_secrets(holding, {})


@remedy_of("flows/deploy.py", "failed; see its output above")
def test_the_output_of_a_command_that_failed_says_what_to_change(capfd: pytest.CaptureFixture[str]) -> None:
    import os

    with refused("`prefect no-such-command` failed; see its output above"):
        _prefect("no-such-command", environment=os.environ)
    assert "no-such-command" in capfd.readouterr().err
    _prefect("version", environment=os.environ)


class _Deployed:
    """A deployment as far as the worker asks."""

    def __init__(self, **environment: str) -> None:
        self.name, self.parameters, self.job_variables = "cpu", {}, {"env": environment}


@remedy_of("flows/worker.py", "does not name the MLflow store it records in")
@remedy_of("flows/worker.py", "unset it here, or deploy with the store you mean")
def test_a_deployment_with_a_store_and_no_other_one_here() -> None:
    bare, named = _Deployed(), _Deployed(MLFLOW_TRACKING_URI="sqlite:////a.db")
    with refused("deploy it with `make deploy`, which sets MLFLOW_TRACKING_URI"):
        _stores_of("cpu", [bare], environment={})  # type: ignore[list-item]
    with refused("unset it here, or deploy with the store you mean"):
        _stores_of("cpu", [named], environment={"MLFLOW_TRACKING_URI": "sqlite:////b.db"})  # type: ignore[list-item]
    assert _stores_of("cpu", [named], environment={}) == ["sqlite:////a.db"]  # type: ignore[list-item]


@remedy_of("flows/worker.py", "start one worker per GPU")
def test_a_worker_of_one_card_gets_to_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with refused("serves one GPU, and CUDA_VISIBLE_DEVICES is '0,1'", "make worker POOL=gpu CARD=0"):
        require_one_card("gpu", "0,1")
    with refused("runtime.device: 'cuda'"):  # true: there is no such card
        require_one_card("gpu", "99")
