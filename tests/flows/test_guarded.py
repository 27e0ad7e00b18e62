"""Flows called from Python with a secret in an address: it is not stored, and nothing is started."""

import logging
import os
import re
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
from prefect import Flow
from prefect.client.orchestration import get_client

from cfmodel.errors import ConfigError
from flows.comparison import comparison
from flows.guarded import GuardedFlow, flow
from flows.pipeline import pipeline
from flows.scoring import scoring

WORD = "secret-word"
SOURCE = f"s3://key:{WORD}@bucket/x.csv"
REFUSED: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "source": (pipeline, {"source": SOURCE}),
    "overrides.split.test_source": (pipeline, {"overrides": {"split.test_source": f"s3://bucket/x.csv?sig={WORD}"}}),
    "tracking.uri": (pipeline, {"tracking": {"uri": f"http://me:{WORD}@host:5000"}}),
    "overrides.tracking.uri": (scoring, {"overrides": {"tracking.uri": f"postgresql://me:{WORD}@host/mlflow"}}),
    "runs.1": (comparison, {"runs": ["one", f"https://host/x?token={WORD}"]}),
}


def runs() -> int:
    with get_client(sync_client=True) as client:
        return len(client.read_flow_runs())


def contents(folder: Path) -> dict[Path, bytes]:
    """Return what is in the files of a folder; the server that works in it may remove some meanwhile."""
    found = {}
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            if path.is_file():
                found[path] = path.read_bytes()
    return found


@pytest.mark.usefixtures("prefect_api")
@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("kept_state", [False, True])
def test_a_secret_in_an_address_is_refused_and_neither_stored_nor_logged(
    name: str, kept_state: bool, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    refusing, parameters = REFUSED[name]
    before = runs()
    with caplog.at_level(logging.DEBUG), pytest.raises(ConfigError) as refused:
        refusing(**parameters, return_state=kept_state)
    assert str(refused.value).startswith(f"{name} holds a password or key, and Prefect stores")
    said = capfd.readouterr()
    assert WORD not in str(refused.value) + caplog.text + said.out + said.err
    assert runs() == before
    files = contents(Path(os.environ["PREFECT_HOME"]))
    assert any(path.name == "prefect.db" for path in files)
    assert not [path for path, content in files.items() if WORD.encode() in content]


@pytest.mark.usefixtures("prefect_api")
def test_a_flow_with_other_options_refuses_it_too() -> None:
    with pytest.raises(ConfigError, match="source holds a password or key"):
        pipeline.with_options(name="renamed")(SOURCE)


def test_a_flow_with_other_options_is_changed_in_these_alone() -> None:
    changed = pipeline.with_options(name="renamed", retries=2)
    assert (changed.name, changed.retries, pipeline.name, pipeline.retries) == ("renamed", 2, "pipeline", 0)
    plain = Flow.with_options(pipeline, name="renamed", retries=2)
    upgrade = f"Prefect {version('prefect')} makes flows otherwise: adapt GuardedFlow.with_options in flows/guarded.py"
    assert type(changed) is GuardedFlow, upgrade
    assert vars(changed).keys() == vars(plain).keys(), upgrade


def test_parameters_without_a_secret_are_stored() -> None:
    train = signature(pipeline.fn).parameters["train"].default
    parameters = {"source": "s3://bucket/x.csv", "overrides": {"train.epochs": 3}, "train": train}
    assert pipeline.serialize_parameters(parameters)["train"]["epochs"] == 15


@pytest.mark.usefixtures("prefect_api")
def test_an_error_that_nobody_foresaw_ends_a_flow_in_one_sentence(tmp_path: Path) -> None:
    @flow(name="reads a folder")
    def reads() -> str:
        return tmp_path.read_text()

    state = reads(return_state=True)
    assert state.is_failed()
    assert (
        f"UnforeseenError: {tmp_path}: Is a directory; it is a folder where a file is needed: move it away (the"
        in str(state.message)
    )
    (log,) = re.findall(r"the traceback is in (\S+)\)", str(state.message))
    assert "Traceback" in Path(log).read_text()
    Path(log).unlink()
