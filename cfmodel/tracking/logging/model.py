"""Log the trained model of a run."""

from pathlib import Path

from cfmodel.system.digests import sha256_of_file
from cfmodel.tracking.outbox.entries import SavedModel
from cfmodel.tracking.outbox.log_entries import log_entries
from cfmodel.tracking.run import TrackedRun


def log_model(run: TrackedRun, folder: Path) -> str:
    """Log a saved recommender as the run's model; return its MLflow address, `models:/<id>`.

    `mlflow.pyfunc.load_model` loads it wherever cfmodel is installed: it holds weights as safetensors
    and ids as Parquet, no pickle and no code. A request with the columns `user_id` and `movie_id` gets
    ratings, one with `user_id` only gets recommendations. The model counts as recorded once it was
    loaded back from the store and gave the recommender's answers.

    Args:
        run: The run that trained it.
        folder: Folder that `Recommender.save` wrote; it must stay until the store has the model.

    Returns:
        The address; empty if the store is away and the run has a journal.

    Raises:
        DigestError: The folder is damaged.
        TrackingError: The store refuses it.
    """
    from cfmodel.recommending.recommender import Recommender
    from cfmodel.recommending.saved_files import MANIFEST

    Recommender.load(folder)
    progress = log_entries(run, [SavedModel(str(folder.resolve()), sha256_of_file(folder / MANIFEST))])
    return f"models:/{progress.model_id}" if progress.model_id else ""
