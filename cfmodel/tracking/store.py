"""The tracking store: its address, MLflow's client of it, and its errors in words. Only this file imports mlflow."""

import os
import sqlite3
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from filelock import FileLock

from cfmodel.config import TrackingSettings
from cfmodel.errors import DiskFullError, StoreAwayError, TrackingError
from cfmodel.system.addresses import redact
from cfmodel.system.homes import is_writable

_DEFAULT_URI = "sqlite:///mlflow.db"
#: A store that can be written nearly everywhere.
_ELSEWHERE = f"sqlite:///{tempfile.gettempdir()}/mlflow.db"
_DEFAULT_EXPERIMENT = "cfmodel"

#: Set before MLflow is imported, unless the environment sets them: few log lines, and one time-out for a
#: server that is away, where MLflow would retry for four minutes. The outbox retries instead.
_ENVIRONMENT = {
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    # Models recorded here hold no pickle; loading one would run code from it.
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
}

#: MLflow's error codes for a wrong record or a missing run. Other errors may pass: a server that is
#: starting, a proxy without a server, an expired password.
_REFUSALS = {
    "ALREADY_EXISTS",
    "BAD_REQUEST",
    "FEATURE_DISABLED",
    "INVALID_PARAMETER_VALUE",
    "INVALID_STATE",
    "NOT_FOUND",
    "NOT_IMPLEMENTED",
    "RESOURCE_ALREADY_EXISTS",
    "RESOURCE_DOES_NOT_EXIST",
}
#: SQLite's errors for a file that cannot be used.
_NO_DATABASE = {"SQLITE_CANTOPEN", "SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_PERM", "SQLITE_READONLY"}


@cache
def mlflow() -> Any:
    """Import MLflow, with our defaults for the environment variables that are not set."""
    set_defaults()
    with warnings.catch_warnings():
        # MLflow warns about its own types: hidden on a terminal, an error with `-W error`.
        warnings.filterwarnings("ignore", message=".*type hint is inferred as AnyType")
        import mlflow.artifacts
        import mlflow.models
        import mlflow.pyfunc
        import mlflow.types.schema
    return mlflow


def set_defaults() -> None:
    """Set those environment variables of MLflow that are not set."""
    reporting = os.environ.get("DO_NOT_TRACK", "true").lower() in ("false", "0", "no")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", str(not reporting).lower())
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def client(uri: str) -> Any:
    """Return MLflow's client of the store at `uri`; a missing SQLite store is created."""
    return mlflow().MlflowClient(tracking_uri=uri)


def resolve_uri(settings: TrackingSettings) -> str:
    """Return the address of the store: the setting, else MLFLOW_TRACKING_URI, else sqlite:///mlflow.db.

    A relative SQLite path is made absolute, so that the address means the same file to a process in
    another working folder.
    """
    uri = settings.uri or os.environ.get("MLFLOW_TRACKING_URI") or _DEFAULT_URI
    path = _sqlite_path(uri)
    if path is None or path.is_absolute():
        return uri
    return uri.replace(":///", f":///{Path.cwd()}/", 1)


def experiment_of(settings: TrackingSettings) -> str:
    """Return the name of the experiment: the setting, else MLFLOW_EXPERIMENT_NAME, else cfmodel."""
    return settings.experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME") or _DEFAULT_EXPERIMENT


def require_room(settings: TrackingSettings) -> None:
    """Refuse a store that no run can be recorded in: a database that cannot be written, or a deleted experiment.

    A store that is away is no hindrance, nor is one without the experiment.

    Raises:
        TrackingError: MLflow would record no run there; the message has the ways out.
    """
    path = _sqlite_path(uri := resolve_uri(settings))
    if path is not None and not (is_writable(path.parent) and (not path.exists() or os.access(path, os.W_OK))):
        raise TrackingError(f"{redact(uri)}: this account cannot write there; {_remedy(uri)}")
    require_experiment(settings)


def require_experiment(settings: TrackingSettings) -> None:
    """Refuse an experiment that was deleted; a store that is away, or without the experiment, is no hindrance.

    Raises:
        TrackingError: It was deleted, and MLflow records no run in it; the message has both ways out.
    """
    uri, name = resolve_uri(settings), experiment_of(settings)
    if is_missing(uri):
        return
    try:
        with reaching(uri, "looking for the experiment"):
            found = client(uri).get_experiment_by_name(name)
    except StoreAwayError:
        return
    if found is not None and found.lifecycle_stage == "deleted":
        raise TrackingError(
            f"{redact(uri)}: experiment {name!r} was deleted, and MLflow records no run in it; restore it: "
            f"MLFLOW_TRACKING_URI={redact(uri)} mlflow experiments restore --experiment-id {found.experiment_id}; or "
            "record in another: set tracking.experiment"
        )


def experiment_named(uri: str, name: str) -> str:
    """Return the id of an experiment; create it, and a SQLite store, if they are missing.

    The artifacts of an experiment in SQLite go to `mlruns` beside the file. MLflow's own default is
    `./mlruns` of the process that came first.
    """
    with _exclusive(uri):
        found = client(uri).get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        path = _sqlite_path(uri)
        location = None if path is None else (path.parent / "mlruns" / quote(name, safe=" ")).as_uri()
        return str(client(uri).create_experiment(name, artifact_location=location))


def is_missing(uri: str) -> bool:
    """Tell whether the store is a missing SQLite file: MLflow would create it when asked."""
    path = _sqlite_path(uri)
    return path is not None and not path.exists()


@contextmanager
def reaching(uri: str, doing: str) -> Iterator[None]:
    """Turn the errors of MLflow, its database, disk and network into a TrackingError that says what to do.

    Raises:
        StoreAwayError: The store is away, busy or full: a retry may succeed.
        TrackingError: A retry cannot succeed.
    """
    from sqlalchemy.exc import SQLAlchemyError

    of_mlflow = mlflow().exceptions.MlflowException
    refusals = (of_mlflow, SQLAlchemyError, sqlite3.Error, OSError, DiskFullError, ImportError)
    try:
        yield
    except refusals as error:
        message = f"{uri}: {doing} failed: {_reason(error)}"
        if _may_pass(error):
            raise StoreAwayError(redact(f"{message}; {_remedy(uri)}")) from error
        refused = isinstance(error, of_mlflow) and uri.startswith(("http", "sqlite"))
        raise TrackingError(redact(message if refused else f"{message}; {_remedy(uri)}")) from error


@contextmanager
def _exclusive(uri: str) -> Iterator[None]:
    """Let one process at a time create a SQLite store: of two at once one would fail.

    SQLite checks first whether it can use the file, because MLflow would retry for a minute and a half.
    """
    path = _sqlite_path(uri)
    if path is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA schema_version")
    with FileLock(f"{path}.lock"):
        yield


def _sqlite_path(uri: str) -> Path | None:
    """Return the file of a SQLite store; None for other stores and for a database in memory."""
    scheme, _, path = uri.partition(":///")
    if not scheme.startswith("sqlite") or not path or path.startswith(":memory:"):
        return None
    return Path(path.partition("?")[0])


def _may_pass(error: BaseException) -> bool:
    """Tell whether a retry may succeed: the store is away, busy or full."""
    from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError, TimeoutError

    causes = list(_chain(error))
    if any(getattr(cause, "sqlite_errorname", None) in _NO_DATABASE for cause in causes):
        return False
    if any(isinstance(cause, OSError | OperationalError | InterfaceError | TimeoutError) for cause in causes):
        return True
    if isinstance(error, mlflow().exceptions.MlflowException):
        return error.error_code not in _REFUSALS
    return not isinstance(error, ImportError | SQLAlchemyError)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and its causes, down to the root; urllib3 has the root as an argument."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        inside = cause.args[-1] if cause.args else None
        cause = cause.__cause__ or cause.__context__ or (inside if isinstance(inside, BaseException) else None)


def _reason(error: BaseException) -> str:
    """Return one line: the system's message if the network or the disk is the root cause, else MLflow's."""
    *_, root = _chain(error)
    if "timed out" in str(error):
        return "it does not answer"
    text = str(root if isinstance(root, OSError) else error).strip()
    return text.splitlines()[0].rstrip(".") if text else type(error).__name__


def _remedy(uri: str) -> str:
    if uri.startswith("http"):
        return "start the server there, or set tracking.uri (or MLFLOW_TRACKING_URI) to one that runs"
    if "://" not in uri or uri.startswith("file:"):
        return "MLflow keeps no new runs in plain folders; set tracking.uri to sqlite:///mlflow.db"
    return f"let this account write there, or set tracking.uri to another, such as {_ELSEWHERE}"
