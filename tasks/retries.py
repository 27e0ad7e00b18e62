"""Which failures of a task are worth another try."""

import errno
from typing import Any

from prefect.client.schemas import State, TaskRun
from prefect.tasks import Task


def is_worth_a_retry(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:  # noqa: ARG001 - Prefect's names
    """Return whether the network or the disk failed; a refusal, of ours or for want of rights, would be the same."""
    try:
        state.result()
    except (PermissionError, FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return False
    except OSError as error:
        return error.errno != errno.EROFS
    except BaseException:
        return False
    return False


#: Options of every task that reads or writes much: `@task(name=..., **RETRIES)`.
RETRIES: dict[str, Any] = {"retries": 2, "retry_delay_seconds": 10, "retry_condition_fn": is_worth_a_retry}
