"""cfmodel executes nothing that it reads, and shows or stores no secret."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cfmodel.config import PipelineSettings, TrackingSettings
from cfmodel.errors import ConfigError
from cfmodel.system.addresses import holds_password, holds_secret, shown

ROOT = Path(__file__).parent.parent
SOURCES = sorted(
    path for folder in ("cfmodel", "tasks", "flows", "benchmarks") for path in (ROOT / folder).rglob("*.py")
)
#: Modules that unpickle, or write files that only unpickling reads back.
PICKLERS = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "jsonpickle"}
#: Calls that execute text, or may read or write a pickle, as `module.function` or the bare name.
RUNNERS = {"eval", "exec", "compile", "os.system", "os.popen", "torch.load", "torch.save", "yaml.load"}


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_source_unpickles_evaluates_or_starts_a_shell(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert not PICKLERS & {module.split(".")[0] for module in modules}
    for name, call in calls(tree):
        assert name not in RUNNERS, f"line {call.lineno}: {name}"
        options = {option.arg: ast.unparse(option.value) for option in call.keywords}
        assert options.get("shell", "False") == "False", f"line {call.lineno}: a shell"
        assert options.get("allow_pickle", "False") == "False", f"line {call.lineno}: a pickle"


def test_the_check_for_pickles_detects_them() -> None:
    for text in ("torch.load(file)", "eval(text)"):
        assert {name for name, _ in calls(ast.parse(text))} & RUNNERS


def test_mlflow_is_configured_to_load_no_pickle() -> None:
    code = "from cfmodel.tracking.store import mlflow; mlflow(); import os; print(os.environ[NAME])"
    name = "MLFLOW_ALLOW_PICKLE_DESERIALIZATION"
    environment = {key: value for key, value in os.environ.items() if key != name}
    command = [sys.executable, "-c", code.replace("NAME", repr(name))]
    assert subprocess.run(command, env=environment, capture_output=True, text=True).stdout == "false\n"


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("http://me:secret-word@host:5000/x", "http://***@host:5000/x"),
        ("postgresql://me:secret-word@host/mlflow", "postgresql://***@host/mlflow"),
        ("https://host/a.csv?sig=secret-word&b=1", "https://host/a.csv?sig=***&b=1"),
        ("s3://b/a?X-Amz-Signature=secret-word", "s3://b/a?X-Amz-Signature=***"),
        ("look at http://a:secret-word@b and ftp://c:secret-word@d", "look at http://***@b and ftp://***@d"),
        ("s3://key:secret/word@bucket/a.csv", "s3://***@bucket/a.csv"),
        ("https://host/a?page=2", "https://host/a?page=2"),
        ("sqlite:////home/me/mlflow.db", "sqlite:////home/me/mlflow.db"),
    ],
)
def test_secrets_in_an_address_are_masked(address: str, public: str) -> None:
    assert shown(address) == public
    assert holds_password(public) is False


@pytest.mark.parametrize(
    "address",
    [
        "s3://key:secret@b/x",
        "s3://key:secret/word@b/x",
        "http://me:@h",
        "simplecache::s3://k:s@b/x",
        "gs://b/x?Token=s",
    ],
)
def test_a_secret_in_an_address_is_detected(address: str) -> None:
    assert holds_secret(address)


@pytest.mark.parametrize(
    "address",
    [
        "synthetic:users=5,movies=9",
        "s3://b/10:30@home.csv",
        "abfs://box@account.net/x",
        "hdfs://host:8020/x?.csv",
        "http://[::1]:5000",
        "postgresql://me@host:5432/mlflow",
        "file:///a/b:c@d",
        "sqlite:////home/me/mlflow.db",
        "a::b",
    ],
)
def test_an_address_without_a_secret_is_accepted(address: str) -> None:
    assert not holds_secret(address)
    assert not holds_password(address)


def test_a_setting_with_a_password_is_refused_because_settings_are_stored() -> None:
    with pytest.raises(ConfigError, match="MLFLOW_TRACKING_PASSWORD") as refusal:
        PipelineSettings.of(overrides={"tracking.uri": "http://me:secret-word@host:5000"})
    assert "secret-word" not in str(refusal.value)
    predefined = {"split.strategy": "predefined", "split.test_source": "s3://key:secret-word@bucket/x.csv"}
    with pytest.raises(ConfigError, match=r"split\.test_source: holds a password or key") as refusal:
        PipelineSettings.of(overrides=predefined)
    assert "secret-word" not in str(refusal.value)
    with pytest.raises(ValueError, match="holds a password") as invalid:
        TrackingSettings(uri="postgresql://me:secret-word@host/mlflow")
    assert "secret-word" not in str(invalid.value)
    assert TrackingSettings(uri="http://me@host:5000").uri == "http://me@host:5000"
