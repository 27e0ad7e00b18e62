"""When an earlier result may be taken, and when a failure is worth another try."""

from pathlib import Path
from typing import Any

from prefect.client.schemas import State, TaskRun
from prefect.serializers import JSONSerializer
from prefect.tasks import Task

from cfmodel.system.digests import code_digest, sha256_of_text


def cache_key(data_dir: Path, *parts: str) -> str:
    """Return a key that changes with any part, with the folder and with cfmodel's own source.

    The task's source alone would not do: the work is done in cfmodel, whose code may change while
    the thin task stays as it is.
    """
    return sha256_of_text(str(data_dir.resolve()), code_digest(), *parts)


def is_worth_a_retry(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:  # noqa: ARG001 - Prefect's names
    """Retry what the network or the disk did, never a refusal of ours nor a failure of the numbers."""
    try:
        state.result()
    except OSError:
        return True
    except BaseException:
        return False
    return False


#: What every cached step is declared with. Results are small refs: JSON keeps them readable and free of pickle.
CACHED: dict[str, Any] = {
    "persist_result": True,
    "result_serializer": JSONSerializer(),
    "retries": 2,
    "retry_delay_seconds": 10,
    "retry_condition_fn": is_worth_a_retry,
}
