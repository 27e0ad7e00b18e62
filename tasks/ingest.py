"""Read ratings from their source into typed Parquet, once per content."""

from prefect import task
from prefect.logging import get_run_logger

from cfmodel.config import PipelineSettings
from cfmodel.data.ingest.ingest import ingest
from cfmodel.data.reading.read_as import lines_of
from cfmodel.refs import DatasetRef
from tasks.prefect_output import record_logger
from tasks.retries import RETRIES


@task(name="ingest", **RETRIES)
def ingest_ratings(source: str, settings: PipelineSettings) -> DatasetRef:
    """Ingest a source, or reuse the earlier result if data, settings and code are the same."""
    ratings = ingest(source, settings.ingest, folder=settings.runtime.data_dir, on_record=record_logger())
    logger = get_run_logger()
    # At the level of information: as warnings, they would be on the terminal twice.
    for line in lines_of(ratings.read_as, ratings.warnings):
        logger.info(line)
    return ratings


#: The test file of a predefined split, as a step of its own.
ingest_test_ratings = ingest_ratings.with_options(name="ingest-test")
