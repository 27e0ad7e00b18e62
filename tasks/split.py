"""Divide ratings into train, val and test, once per content."""

from prefect import task

from cfmodel.config import PipelineSettings
from cfmodel.data.splitting.split import split
from cfmodel.refs import DatasetRef, SplitRef
from tasks.prefect_output import record_logger
from tasks.retries import RETRIES


@task(name="split", **RETRIES)
def split_ratings(ratings: DatasetRef, settings: PipelineSettings, test: DatasetRef | None = None) -> SplitRef:
    """Split a data set, or reuse the earlier result if data, settings and code are the same."""
    return split(ratings, settings.split, folder=settings.runtime.data_dir, test=test, on_record=record_logger())
