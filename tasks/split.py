"""Ratings divided into train, val and test, once per content."""

from typing import Any

from prefect import task
from prefect.context import TaskRunContext

from cfmodel.config import PipelineSettings
from cfmodel.data.splitting.split import split
from cfmodel.refs import DatasetRef, SplitRef
from tasks.prefect_output import report
from tasks.retries import CACHED, cache_key


def _split_key(context: TaskRunContext, parameters: dict[str, Any]) -> str:  # noqa: ARG001 - Prefect's signature
    settings: PipelineSettings = parameters["settings"]
    datasets: list[DatasetRef | None] = [parameters["ratings"], parameters["test"]]
    # Equal ratings may come from another source, or from one of which other rows were set aside.
    told = [dataset.model_dump_json(exclude={"path", "seconds"}) if dataset else "none" for dataset in datasets]
    return cache_key(settings.runtime.data_dir, "split", *told, settings.split.model_dump_json())


@task(name="split", cache_key_fn=_split_key, **CACHED)
def split_ratings(ratings: DatasetRef, settings: PipelineSettings, test: DatasetRef | None = None) -> SplitRef:
    """Split a data set, or take the earlier result where neither data, settings nor code changed."""
    return split(ratings, settings.split, folder=settings.runtime.data_dir, test=test, on_record=report())
