"""What tests share: one Prefect server for the session, folders of their own, real ratings where there are some."""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from xdist.remote import Producer
    from xdist.scheduler import LoadScopeScheduling

# Prefect reads its environment when first imported, so this comes before any test module is.
_HOME = tempfile.TemporaryDirectory(prefix="cfmodel-tests-")
os.environ |= {
    "PREFECT_HOME": f"{_HOME.name}/prefect",
    "PREFECT_PROFILES_PATH": f"{_HOME.name}/prefect/profiles.toml",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "OMP_WAIT_POLICY": "passive",
    "GOMP_SPINCOUNT": "10000",
    # Where tests give a command a home of its own, it still finds what is compiled, instead of half a minute's work.
    "NUMBA_CACHE_DIR": os.environ.get("NUMBA_CACHE_DIR") or str(Path.home() / ".cache"),
}
# A server that other work slows down is not one that is away.
os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = "120"
for name in ("PREFECT_API_URL", "MLFLOW_TRACKING_URI"):
    os.environ.pop(name, None)

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile("steady", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("steady")

ROOT = Path(__file__).parent.parent
#: Tests of a clone that is deployed once for the session.
DEPLOYED = ROOT / "tests" / "flows" / "deployed"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the longest tests, so that no process is left alone with them at the end."""
    slow = (DEPLOYED, ROOT / "tests" / "end_to_end", DEPLOYED.parent)
    items.sort(key=lambda item: next((n for n, folder in enumerate(slow) if folder in item.path.parents), len(slow)))


def pytest_xdist_make_scheduler(config: pytest.Config, log: "Producer") -> "LoadScopeScheduling":
    """Keep a module's tests in one process, with the fixtures they share; so those of the deployed checkout."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFixtures(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            module = ROOT / nodeid.partition("::")[0]
            return str(DEPLOYED if DEPLOYED in module.parents else module)

    return ByFixtures(config, log)


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with real ratings, named by CFMODEL_DATA_DIR."""
    folder = os.environ.get("CFMODEL_DATA_DIR")
    if not folder or not Path(folder, "ml-100k").is_dir():
        pytest.skip("CFMODEL_DATA_DIR names no folder with ml-100k/: real ratings are needed here")
    return Path(folder).resolve()


@pytest.fixture(scope="session")
def prefect_api() -> Iterator[str]:
    """Address of a Prefect server that this process' flows use, for the whole session."""
    from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    from flows.server import prefect_server, send_records_at_end

    with (
        prefect_server(Path(os.environ["PREFECT_HOME"])) as url,
        temporary_settings({PREFECT_API_URL: url, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}),
        send_records_at_end(),
    ):
        yield url


@pytest.fixture(scope="session")
def make_mlflow_store(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], str]:
    """Make an empty MLflow store in a folder, and return its address: a copy, as to create its tables takes seconds."""
    from mlflow import MlflowClient

    tables = tmp_path_factory.mktemp("tables") / "mlflow.db"
    MlflowClient(f"sqlite:///{tables}").search_experiments()

    def made(folder: Path) -> str:
        with closing(sqlite3.connect(tables)) as original, closing(sqlite3.connect(folder / "mlflow.db")) as copy:
            original.backup(copy)
        return f"sqlite:///{folder}/mlflow.db"

    return made


@pytest.fixture(scope="session")
def mlflow_store(make_mlflow_store: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """Address of an MLflow store in a file, for the whole session."""
    return make_mlflow_store(tmp_path_factory.mktemp("mlflow"))


# Nothing a browser does in the background may reach beyond this machine.
_QUIET = ("background-networking", "component-update", "default-apps", "extensions", "sync", "gpu")


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    """A headless Chromium."""
    names = ("chromium", "chromium-browser", "google-chrome")
    executable = next(filter(None, map(shutil.which, names)), None)
    if executable is None:
        pytest.skip(f"none of {', '.join(names)} is on the path: a browser is needed here")
    from playwright.sync_api import sync_playwright

    arguments = ["--no-sandbox", "--no-first-run", *(f"--disable-{what}" for what in _QUIET)]
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=executable, args=arguments)


@pytest.fixture(scope="session")
def screenshots(root: Path) -> Path:
    """Folder that screenshots are kept in."""
    folder = root / "screenshots"
    folder.mkdir(exist_ok=True)
    return folder
