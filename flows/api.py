"""The address of the Prefect server that a command uses, and whether it answers."""

from pathlib import Path

from cfmodel.errors import CFModelError


def configured_url() -> str | None:
    """Return the address of the server that PREFECT_API_URL or the active Prefect profile names, if any."""
    from prefect.settings import get_current_settings

    return get_current_settings().api.url


def local_url() -> str:
    """Return the address that `prefect server start` serves on this machine."""
    from prefect.settings import get_current_settings

    server = get_current_settings().server.api
    return f"http://{server.host}:{server.port}/api"


def prefect_home() -> Path:
    """Return the folder of Prefect's database on this machine."""
    from prefect.settings import get_current_settings

    return Path(get_current_settings().home)


def connection_error(url: str) -> Exception | None:
    """Return why no Prefect server answers at an address; None if one does."""
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: url}), get_client(sync_client=True) as client:
        return client.api_healthcheck()


def require_answer(url: str, *, remedy: str) -> None:
    """Refuse an address where no Prefect server answers.

    Args:
        url: Address of its API.
        remedy: What to do about it.

    Raises:
        CFModelError: None answers.
    """
    if (error := connection_error(url)) is not None:
        raise CFModelError(f"no Prefect server answers at {url} ({error}); {remedy}")
