"""Ratings from their source to typed Parquet, once per content."""

from typing import Any

from prefect import task
from prefect.context import TaskRunContext

from cfmodel.config import PipelineSettings
from cfmodel.data.ingest.ingest import ingest, previous_digest, source_digest
from cfmodel.errors import CFModelError
from cfmodel.refs import DatasetRef
from tasks.prefect_output import report
from tasks.retries import CACHED, cache_key


def _ingest_key(context: TaskRunContext, parameters: dict[str, Any]) -> str | None:  # noqa: ARG001 - Prefect's signature
    settings: PipelineSettings = parameters["settings"]
    source: str = parameters["source"]
    folder = settings.runtime.data_dir
    try:
        digest = source_digest(source, folder=folder)
    except CFModelError:
        return None  # the task itself says what is wrong with the source
    previous = previous_digest(source, folder=folder, now=digest)
    return cache_key(folder, "ingest", source, digest, previous, settings.ingest.model_dump_json())


@task(name="ingest", cache_key_fn=_ingest_key, **CACHED)
def ingest_ratings(source: str, settings: PipelineSettings) -> DatasetRef:
    """Ingest a source, or take the earlier result where neither data, settings nor code changed."""
    return ingest(source, settings.ingest, folder=settings.runtime.data_dir, on_record=report())


#: The file that a predefined split tests on, as a step of its own.
ingest_test_ratings = ingest_ratings.with_options(name="ingest-test")
