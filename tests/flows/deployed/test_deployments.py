"""`make deploy` from a clean clone and an empty database: what it prints, checks and creates."""

import pytest
import yaml
from prefect.client.orchestration import SyncPrefectClient
from sites import Done, Site


def by_hand(client: SyncPrefectClient) -> int:
    """Return how many runs there are that no schedule made; the scheduler goes on making some."""
    return sum(not run.auto_scheduled for run in client.read_flow_runs())


def test_deploying_prints_each_command_it_runs(deploying: Done, bare_site: Site) -> None:
    said = [line for line in deploying.stdout.splitlines() if line.startswith("$ ")]
    assert said == [
        f"$ prefect server start >{bare_site.environment['PREFECT_HOME']}/server.log 2>&1 &",
        "$ prefect work-pool create cpu --type process --overwrite",
        "$ prefect work-pool create gpu --type process --overwrite",
        "$ prefect --no-prompt deploy --all",
    ]
    assert "Traceback" not in deploying.stdout + deploying.stderr


def test_it_ends_with_the_commands_for_the_workers(deploying: Done, bare_site: Site) -> None:
    assert f"recording in sqlite:///{bare_site.folder}/mlflow.db" in deploying.stdout
    assert "make worker POOL=cpu" in deploying.stdout
    assert "make worker POOL=gpu CARD=0" in deploying.stdout


def are_active(client: SyncPrefectClient) -> dict[str, list[bool]]:
    """Return which schedules are on, by flow and deployment."""
    found = {f"{each.entrypoint.rpartition(':')[2]}/{each.name}": each for each in client.read_deployments()}
    return {name: [schedule.active for schedule in each.schedules] for name, each in found.items()}


def test_nothing_runs_by_itself_until_a_source_is_set(deploying: Done, site: Site, client: SyncPrefectClient) -> None:
    assert set(map(tuple, are_active(client).values())) == {(False,)}
    (said,) = [line for line in deploying.stdout.splitlines() if line.startswith("The schedules are paused")]
    assert "deployment 'cpu' of prefect.yaml would train on generated ratings every night" in said
    assert "Set `source` under its parameters to your ratings, and run `make deploy` again" in said


def test_deploying_with_a_source_uses_the_server_that_is_there_and_turns_the_schedules_on(
    site: Site, client: SyncPrefectClient
) -> None:
    before = {(each.name, each.entrypoint): each.id for each in client.read_deployments()}
    file = site.folder / "prefect.yaml"
    written = file.read_text()
    file.write_text(written.replace("source: synthetic", "source: ratings.csv", 1))
    again = site.make("deploy")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "server start" not in again.stdout.replace("make deploy", "")
    assert "paused" not in again.stdout
    assert {(each.name, each.entrypoint): each.id for each in client.read_deployments()} == before
    off = [name for name, active in are_active(client).items() if active != [True]]
    assert sorted(off) == ["pipeline/gpu", "scoring/gpu"]
    file.write_text(written)
    assert site.make("deploy").returncode == 0
    assert set(map(tuple, are_active(client).values())) == {(False,)}


def test_every_deployment_of_the_file_is_there_as_it_says(site: Site, client: SyncPrefectClient) -> None:
    written = yaml.safe_load((site.folder / "prefect.yaml").read_text())["deployments"]
    deployed = {(found.name, found.entrypoint): found for found in client.read_deployments()}
    assert len(written) == len(deployed)
    for wanted in written:
        found = deployed[wanted["name"], wanted["entrypoint"]]
        assert found.description == wanted["description"]
        assert found.tags == wanted["tags"]
        assert found.work_pool_name == wanted["work_pool"]["name"]
        assert found.concurrency_options is not None
        assert found.concurrency_options.collision_strategy == wanted["concurrency_limit"]["collision_strategy"]
        assert [schedule.schedule.timezone for schedule in found.schedules] == ["UTC"]
        assert found.job_variables["env"]["MLFLOW_TRACKING_URI"] == f"sqlite:///{site.folder}/mlflow.db"
        # As in a terminal: a server that is away costs seconds, and warnings about a store are in the run's log.
        assert found.job_variables["env"]["PREFECT_CLIENT_MAX_RETRIES"] == "3"
        assert found.job_variables["env"]["PREFECT_LOGGING_EXTRA_LOGGERS"] == "cfmodel"
        assert found.enforce_parameter_schema


def test_of_the_two_nightly_deployments_one_is_for_the_cpu(site: Site, client: SyncPrefectClient) -> None:
    cpu, gpu = (client.read_deployment_by_name(f"pipeline/{name}") for name in ("cpu", "gpu"))
    assert (cpu.parameters["runtime"], gpu.parameters["runtime"]) == ({"device": "cpu"}, {"device": "cuda"})


def test_no_deployment_for_gpus_names_a_gpu(site: Site, client: SyncPrefectClient) -> None:
    gpu = client.read_deployment_by_name("pipeline/gpu")
    assert "CUDA_VISIBLE_DEVICES" not in gpu.job_variables["env"]  # it would win over the worker's


def test_the_settings_show_as_a_form_with_descriptions_and_bounds(site: Site, client: SyncPrefectClient) -> None:
    schema = client.read_deployment_by_name("pipeline/cpu").parameter_openapi_schema
    train = schema["definitions"]["TrainSettings"]["properties"]
    assert train["epochs"]["minimum"] == 1
    assert train["learning_rate"]["exclusiveMinimum"] == 0
    assert "Adam" in train["learning_rate"]["description"]
    assert schema["definitions"]["SplitSettings"]["properties"]["strategy"]["enum"]
    assert "by name" in schema["properties"]["source"]["description"]


@pytest.mark.parametrize(
    ("section", "reason"),
    [
        ('train={"epochs": 0}', "field 'train.epochs'. Failure reason: 0 is less than the minimum of 1"),
        ('train={"epoch": 5}', "field 'train'. Failure reason: Additional properties are not allowed ('epoch'"),
    ],
)
def test_a_setting_that_is_refused_is_refused_before_any_run(site: Site, section: str, reason: str) -> None:
    refused = site.prefect("deployment", "run", "pipeline/cpu", "-p", section)
    assert refused.returncode == 1
    assert reason in refused.stdout


@pytest.mark.parametrize(
    "parameter",
    [
        "source=s3://key:secret-word@bucket/x.csv",
        'overrides={"split.test_source": "s3://bucket/x.csv?sig=secret-word"}',
        'tracking={"uri": "http://me:secret-word@host:5000"}',
    ],
)
def test_an_address_with_a_password_is_refused_as_a_parameter(
    site: Site, client: SyncPrefectClient, parameter: str
) -> None:
    before = by_hand(client)
    refused = site.prefect("deployment", "run", "pipeline/cpu", "-p", parameter)
    assert refused.returncode == 1
    assert "Validation failed for field" in refused.stdout
    assert by_hand(client) == before
    assert b"secret-word" not in b"".join(path.read_bytes() for path in site.home.glob("prefect.db*"))


def test_a_variable_that_is_not_set_stops_before_anything_is_started(bare_site: Site) -> None:
    file = bare_site.folder / "prefect.yaml"
    before = file.read_text()
    file.write_text(before.replace("source: synthetic", 'source: "{{ $RATINGS }}"'))
    refused = bare_site.make("deploy")
    file.write_text(before)
    assert refused.returncode != 0
    assert refused.stderr.startswith("Error: prefect.yaml: not set in this environment: RATINGS;")
    assert refused.stdout == ""
