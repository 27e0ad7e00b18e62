"""Turn a table of ratings into a tracked recommender, and see what the gradients did.

The names below are the library for users, for instance in a notebook. They are imported when first used, so that
`import cfmodel` itself takes no time.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cfmodel.config import (
        EvaluationSettings,
        IngestSettings,
        MonitorSettings,
        PipelineSettings,
        SplitSettings,
        TrainSettings,
    )
    from cfmodel.data.ingest.ingest import ingest
    from cfmodel.data.splitting.split import split
    from cfmodel.errors import CFModelError
    from cfmodel.evaluation.evaluate import evaluate
    from cfmodel.recommending.recommender import Recommender
    from cfmodel.training.explain import explain
    from cfmodel.training.train import train

__version__ = "0.2.0"

__all__ = [
    "CFModelError",
    "EvaluationSettings",
    "IngestSettings",
    "MonitorSettings",
    "PipelineSettings",
    "Recommender",
    "SplitSettings",
    "TrainSettings",
    "evaluate",
    "explain",
    "ingest",
    "split",
    "train",
]

#: Modules of the names that are not in `cfmodel.config`.
_MODULES = {
    "CFModelError": "cfmodel.errors",
    "Recommender": "cfmodel.recommending.recommender",
    "evaluate": "cfmodel.evaluation.evaluate",
    "explain": "cfmodel.training.explain",
    "ingest": "cfmodel.data.ingest.ingest",
    "split": "cfmodel.data.splitting.split",
    "train": "cfmodel.training.train",
}


if not TYPE_CHECKING:  # else mypy would take any name

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_MODULES.get(name, "cfmodel.config")), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
