"""The job templates for Docker and Kubernetes, checked with the schemas of Prefect and Kubernetes; no job is run."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import prefect
import pytest
import yaml
from prefect.client.orchestration import SyncPrefectClient
from prefect.utilities.templating import apply_values, find_placeholders
from sites import Site

KINDS = ["docker", "kubernetes"]
#: Values that Prefect's worker fills in itself.
FROM_THE_WORKER = {"name": "pipeline", "command": ["prefect", "flow-run", "execute"], "labels": {"app": "cfmodel"}}


def ours(root: Path, kind: str) -> dict[str, Any]:
    return json.loads((root / "deploy" / f"{kind}.json").read_text())


def shipped(kind: str) -> dict[str, Any]:
    """Return the template that Prefect's own release of that kind of worker has."""
    views = Path(prefect.__file__).parent / "server/api/collections_data/views/aggregate-worker-metadata.json"
    return json.loads(views.read_text())[f"prefect-{kind}"][kind]["default_base_job_configuration"]


def defaults(template: dict[str, Any]) -> dict[str, Any]:
    properties = template["variables"]["properties"]
    return {name: schema["default"] for name, schema in properties.items() if "default" in schema}


@pytest.mark.parametrize("kind", KINDS)
def test_the_worker_knows_every_key_of_the_template(root: Path, kind: str) -> None:
    assert set(ours(root, kind)["job_configuration"]) <= set(shipped(kind)["job_configuration"])


@pytest.mark.parametrize("kind", KINDS)
def test_every_variable_is_declared_and_used(root: Path, kind: str) -> None:
    template = ours(root, kind)
    used = {placeholder.name for placeholder in find_placeholders(template["job_configuration"])}
    assert used == set(template["variables"]["properties"])


@pytest.mark.parametrize("kind", KINDS)
def test_variables_are_a_schema_that_the_defaults_fulfil(root: Path, kind: str) -> None:
    schema = ours(root, kind)["variables"]
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(defaults(ours(root, kind)), schema)


@pytest.mark.parametrize("kind", KINDS)
def test_a_variable_that_prefect_has_too_means_the_same(root: Path, kind: str) -> None:
    theirs = shipped(kind)["variables"]["properties"]
    for name, mine in ours(root, kind)["variables"]["properties"].items():
        if name in theirs:
            assert mine["type"] == theirs[name]["type"], name
            assert set(mine.get("enum", ())) <= set(theirs[name].get("enum", ())), name


@pytest.mark.parametrize("cards", [0, 1])
def test_the_kubernetes_job_fulfils_kubernetes_own_schema(root: Path, cards: int) -> None:
    template = ours(root, "kubernetes")
    environment = [{"name": "MLFLOW_TRACKING_URI", "value": "http://mlflow:5000"}]
    values = defaults(template) | FROM_THE_WORKER | {"env": environment, "cards": cards}
    job = apply_values(template["job_configuration"]["job_manifest"], values)
    kubernetes_validate.validate(job, kubernetes_validate.latest_version(), strict=True)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == cards


def test_the_volume_that_kubernetes_jobs_name_fulfils_kubernetes_own_schema(root: Path) -> None:
    volume = yaml.safe_load((root / "deploy/volume.yaml").read_text())
    kubernetes_validate.validate(volume, kubernetes_validate.latest_version(), strict=True)
    assert volume["metadata"]["name"] == defaults(ours(root, "kubernetes"))["data_claim"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_variable_is_in_the_guide(root: Path, kind: str) -> None:
    guide = (root / "docs/operating.md").read_text()
    assert [name for name in ours(root, kind)["variables"]["properties"] if f"`{name}`" not in guide] == []


@pytest.mark.parametrize("kind", KINDS)
def test_prefects_server_takes_the_template(site: Site, client: SyncPrefectClient, kind: str) -> None:
    file = f"deploy/{kind}.json"
    made = site.prefect("work-pool", "create", f"{kind}-jobs", "--type", kind, "--base-job-template", file)
    assert made.returncode == 0, made.stdout + made.stderr
    assert client.read_work_pool(f"{kind}-jobs").base_job_template == ours(site.folder, kind)
